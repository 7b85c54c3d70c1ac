"""The packages that a RUN installs: the same for lint and review, in every spelling of the command."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.commands.lint.dockerfile import check
from dfgen.commands.review.diff import compare
from dfgen.dockerfile import parse
from dfgen.dockerfile.packages import installed


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("apt-get update && apt-get install -y -t sid curl=8.1 'git' && rm x", {"curl": "8.1", "git": ""}),
        ("apk add --no-cache --virtual .build gcc~=12 tini", {"gcc": "12", "tini": ""}),
        (
            "microdnf install -y bash-5.2.26-3.el9 zlib; microdnf clean all",
            {"bash": "5.2.26-3.el9", "zlib": ""},
        ),
        ("sudo /usr/bin/dnf -y install python3-pip", {"python3-pip": ""}),
        ("pip install flask==3.0 'requests>=2'", {"flask": "3.0", "requests": "2"}),
        ("python3 -m pip install a[b]==1 -r requirements.txt", {"a[b]": "1"}),
        ("zypper -n in curl", {"curl": ""}),
        ("retry 3 apt-get install -y a", {"a": ""}),
        ("apt-get install -y a=$V b=\"${W}\" c$(uname -r) 'd e'", {"a": "$V", "b": "${W}"}),
        ("apt-get install 'a' -o", {"a": ""}),
        ("apt-get remove curl | tee install", {}),
        ("apt-get install $PACKAGES", {}),
        ("make install", {}),
        ("echo apt-get install a; rm -rf /var/cache/yum install", {}),
        ("cat > x <<E\napt-get install a\nE\n", {}),
        ("echo 'apt-get install a' \"; apt-get install b\"", {}),
        ("true # && apt-get install a", {}),
    ],
)
def test_packages_are_read_from_every_manager(script: str, found: dict[str, str]) -> None:
    assert installed(script) == found


MANAGERS = (
    "apt-get install -y",
    "apk add",
    "dnf -y install",
    "yum install",
    "/usr/bin/apt install",
    "zypper -n in",
)
name = st.from_regex(r"[a-z][a-z0-9]{1,5}", fullmatch=True).filter(lambda one: one not in ("in", "add"))
# Spellings of the same command.
DECORATIONS: tuple[Callable[[str], str], ...] = (
    lambda text: f"{text} 2>/dev/null",
    lambda text: f"{text} >/dev/null 2>&1",
    lambda text: f"2>&1 {text}",
    lambda text: f"{text.replace(' ', ' 2>/dev/null ', 1)} </dev/null",
    lambda text: f"({text})",
    lambda text: f"( {text} )",
    lambda text: f"{{ {text}; }}",
    lambda text: f"{text} & wait",
    lambda text: f"{text}& wait",
    lambda text: f"if ! {text}; then exit 1; fi",
    lambda text: f"for i in a; do {text}; done",
    lambda text: f"case $x in y|z) :;; *) {text};; esac",
    lambda text: f"A=b C='d e' {text}",
    lambda text: f"sudo -E {text}",
    lambda text: f"exec {text}",
    lambda text: f"{text};:",
    lambda text: f"set -e;{text}&&:",
    lambda text: f"! {text}||:",
    lambda text: f"sh -ec {shlex.quote(text)}",
    lambda text: " ".join(f"'{word}'" if at else word for at, word in enumerate(text.split(" "))),
    lambda text: " ".join(f'{word[:1]}"{word[1:]}"' for word in text.split(" ")),
)
HEREDOCS: tuple[Callable[[str], str], ...] = (
    lambda text: f"<<EOF\n{text}\nEOF",
    lambda text: f"<<EOF\n# it's y\n{text}\nEOF",
    lambda text: f"<<EOF bash -e\n{text}\nEOF",
    lambda text: f"bash -euo pipefail <<'EOF'\n{text}\nEOF",
    lambda text: f"<<-EOF\n\tcat <<'E F' >/dev/null\n\tapk add y\n\tE F\n\t{text}\nEOF",
    lambda text: f"<<EOF\nsh <<'IN'\n{text}\nIN\nEOF",
)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str]:
    """Draw an install command, and the same with decorations around it."""
    names = draw(st.lists(name, min_size=1, max_size=4, unique=True))
    plain = f"{draw(st.sampled_from(MANAGERS))} {' '.join(names)}"
    quoting = st.booleans().map(lambda is_quoted: DECORATIONS[-2] if is_quoted else str)
    text = draw(quoting)(plain)
    for decorate in draw(st.lists(st.sampled_from(DECORATIONS[:-2]), max_size=3, unique=True)):
        text = decorate(f"{{ {text}; }}") if _is_group(decorate) else decorate(plain)
    if draw(st.booleans()):
        return plain, draw(st.sampled_from(HEREDOCS))(text)
    return plain, f"{text} # it's y" if draw(st.booleans()) else text


def _is_group(decorate: Callable[[str], str]) -> bool:
    """Whether it accepts any command, and not only a simple one: `exec { x; }` is invalid."""
    return decorate("x y").startswith(("(", "{", "if", "for", "case", "sh", "!", "set"))


def packages(old: str, new: str) -> list[str]:
    """Return the packages that review reports as changed between two RUNs."""
    steps = compare(f"FROM a\nRUN {old}\n", f"FROM a\nRUN {new}\n", "Dockerfile").steps
    return [f"{move.name} {move.before} {move.after}" for step in steps for move in step.packages]


def hits(run: str) -> list[str]:
    """Return the findings of lint about a RUN's packages."""
    found = check(parse(f"FROM a\nRUN {run}\n"))
    return [f"{hit.rule}: {hit.message}" for hit in found if hit.rule in ("apt-recommends", "package-cache")]


@settings(max_examples=400, deadline=None)
@given(both=written())
def test_lint_and_review_agree_on_installed_packages(both: tuple[str, str]) -> None:
    plain, decorated = both
    assert packages(plain, decorated) == []
    assert hits(plain) == hits(decorated)
    names = sorted(plain.partition(" -y ")[2].removeprefix("install ").split() or plain.split()[2:])
    assert sorted(packages(":", decorated)) == sorted(
        f"{one} None " for one in names if one not in ("-n", "in")
    )


@settings(max_examples=50, deadline=None)
@given(both=written(), new=name.map(lambda one: f"{one}x1"))
def test_an_added_package_is_found_in_every_spelling(both: tuple[str, str], new: str) -> None:
    plain, decorated = both
    last = plain.rpartition(" ")[2]
    assert packages(plain, f"{plain} {new}") == [f"{new} None "]
    assert packages(decorated, decorated.replace(last, new)) == packages(plain, plain.replace(last, new))


@pytest.mark.parametrize(
    ("old", "new", "summary"),
    [
        ("apt-get install -y curl", "apt-get install -y curl 2>/dev/null", "RUN: + 2>/dev/null"),
        ("apt-get install -y curl", "(apt-get install -y curl)", "RUN: apt-get → (apt-get, curl → curl)"),
        (
            "(apt-get install -y curl)",
            "(apt-get install -y git) 2>&1",
            "RUN: curl removed, git added, + 2>&1",
        ),
        ("apk add a # why", "apk add a b", "RUN: b added"),
    ],
)
def test_a_summary_omits_unchanged_packages(old: str, new: str, summary: str) -> None:
    steps = compare(f"FROM a\nRUN {old}\n", f"FROM a\nRUN {new}\n", "Dockerfile").steps
    assert [step.summary for step in steps] == [summary]


def test_nested_scripts_of_any_depth_are_read() -> None:
    script = "".join(f"sh <<'E{at}'\n" for at in range(2_000)) + "apk add a\n"
    assert installed(script + "".join(f"E{at}\n" for at in reversed(range(2_000)))) == {"a": ""}


def test_a_run_of_another_shell_has_no_packages() -> None:
    start = 'FROM a\nSHELL ["powershell"]\n'
    steps = compare(f"{start}RUN apk add a\n", f"{start}RUN apk add b\n", "Dockerfile").steps
    assert [step.packages for step in steps] == [()]
