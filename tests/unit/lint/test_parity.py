"""The rule arch-parity: allowed differences, and the messages of others."""

from __future__ import annotations

import pytest

from dfgen.commands.lint.parity import differences
from dfgen.dockerfile import parse
from dfgen.oci.platform import Platform

PLATFORMS = (Platform.parse("amd64"), Platform.parse("arm64"))
END = " — declare the difference under platforms in base.yaml, or remove it"


def _found(here: str, there: str) -> list[str]:
    sides = (parse(f"FROM x:1\n{side}\n") for side in (here, there))
    return [f"{side}:{hit.line}: {hit.message}" for side, hit in differences(*sides, PLATFORMS)]


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("RUN a", "RUN a"),
        ("RUN get x-amd64.tgz", "RUN get x-arm64.tgz"),
        ("RUN get x_x86_64.rpm linux/amd64", "RUN get x_aarch64.rpm linux/arm64"),
        (f"LABEL d=sha256:{'a' * 64}", f"LABEL d=sha256:{'b' * 64}"),
        ("# a comment\nRUN a", "RUN a"),
    ],
)
def test_names_of_platforms_and_digests_may_differ(here: str, there: str) -> None:
    assert _found(here, there) == []


def test_from_may_differ() -> None:
    sides = (parse(f"FROM {image}\nRUN a\n") for image in ("a:1", "b:2"))
    assert [*differences(*sides, PLATFORMS)] == []


@pytest.mark.parametrize(
    ("here", "there", "found"),
    [
        ("RUN a", "RUN b", f"0:2: amd64: `RUN a` | arm64: `RUN b`{END}"),
        ("RUN a\nUSER 1", "USER 1", f"0:2: amd64: `RUN a` | arm64: nothing{END}"),
        ("USER 1", "RUN a\nUSER 1", f"1:2: amd64: nothing | arm64: `RUN a`{END}"),
        ("USER 1", "USER 1\nRUN a", f"1:3: amd64: nothing | arm64: `RUN a`{END}"),
        ("RUN <<E\na\nE", "RUN <<E\nb\nE", f"0:2: amd64: `RUN <<E a` | arm64: `RUN <<E b`{END}"),
        (
            "RUN get arm64",
            "RUN get arm64",
            "0:2: amd64 and arm64 both have `RUN get arm64`, which names one platform; use {{ arch }} or"
            " {{ platform }}, or declare it under platforms in base.yaml",
        ),
        (
            f"RUN {'word ' * 20}\\\n  a",
            f"RUN {'word ' * 20}\\\n  b",
            f"0:2: amd64: `RUN … word a` | arm64: `RUN … word b`{END}",
        ),
    ],
)
def test_other_differences_show_both_sides(here: str, there: str, found: str) -> None:
    assert _found(here, there) == [found]


@pytest.mark.parametrize(
    ("own", "here", "there", "found"),
    [
        ("ENV L=/usr/x86_64/l", "ENV L=/usr/aarch64/l", "ENV L=/usr/aarch64/l", []),
        ("ENV L=x86_64 A=amd64", "ENV L=aarch64 A=amd64", "ENV L=aarch64 A=arm64", []),
        ("ENV L=x86_64", "ENV L=aarch64\nRUN a", "ENV L=aarch64\nRUN b", ["RUN a"]),
        ("ENV L=aarch64", "ENV L=aarch64", "ENV L=aarch64", ["ENV L=aarch64"]),
        ("ENV L=x86_64", "ENV L=aarch64 A=arm64", "ENV L=aarch64 A=amd64", ["ENV L=aarch64 A=arm64"]),
    ],
)
def test_declared_values_may_contain_the_name_of_a_platform(
    own: str, here: str, there: str, found: list[str]
) -> None:
    files = [parse(f"FROM x:1\n{text}\n") for text in (here, there, own)]
    hits = [*differences(files[0], files[1], PLATFORMS, own=files[2])]
    assert [one.text for one in files[0].instructions if one.line in [hit.line for _, hit in hits]] == found


CHOICES = {
    "case": "case $(uname -m) in x86_64) s=1 ;; aarch64) s=2 ;; *) exit 1 ;; esac",
    "case of one": 'case "${a##*-}" in amd64 | i386) f=12 ;; *) f=16 ;; esac',
    "case in a substitution": 'u="$(case $TARGETARCH in arm64) echo x-aarch64 ;; *) echo other ;; esac)"',
    "if": 'if [ "$(dpkg --print-architecture)" = arm64 ]; then apt-get install gold-arm64; fi',
    "if of a question": 'if [ "$(uname -m)" = "$native" ]; then curl x-x86_64; fi',
    "elif": "if [ $a = s390x ]; then true; elif [ $a = arm64 ]; then get arm64; else get other; fi",
    "if with grep": "if uname -m | grep -q aarch64; then get arm64; fi",
    "double brackets": "[[ $(uname -m) == aarch64 ]] && get arm64 || get other",
    "test": "[ $TARGETARCH != amd64 ] || get x86_64",
    "test command": "set -e; test $(uname -m) = x86_64 && get x86_64; true",
    "grep": "uname -m | grep -q x86_64 && get x86_64",
    "array": "declare -A u=([x86_64]=a/x86_64 [s390x]=b); get ${u[$(uname -m)]}",
    "elements": "u[x86_64]=a; get ${u[$(uname -m)]}",
    "variables": "url_x86_64=https://a/x86_64; eval get '$'url_$(uname -m)",
    "exported variables": "export sum_arm64=a; eval check '$'sum_$(uname -m)",
    "sed": "a=$(uname -m | sed s/x86_64/amd64/); get $a",
    "sed with quotes": "a=$(uname -m | sed -e 's|aarch64|arm64|'); get $a",
    "replaced parameter": "get ${TARGETARCH/amd64/x64}",
    "cut parameter": "get ${a%-amd64}",
    "comment": "get it # on arm64, too",
    "nested": 'if [ -n "$x" ]; then case $a in arm64) get arm64 ;; esac; fi',
    "both": "get x-amd64 x-arm64",
    "no script": '["get", "amd64", "arm64"]',
}
HARD_CODED = {
    "download": "get tool-x86_64.tgz",
    "beside a table": "case $(uname -m) in x86_64) s=1 ;; aarch64) s=2 ;; esac; get tool-x86_64.tgz",
    "before a test": "get x86_64 && [ $a = x ]",
    "after the list of a test": "[ $a = arm64 ] && true; get x86_64",
    "in a list of the next line": "[ $a = arm64 ] || true\nget x86_64",
    "case of another value": "case $mode in fast) get x86_64 ;; *) get x86_64 ;; esac",
    "if of another value": "if [ -n $proxy ]; then get x86_64; fi",
    "test of another value": "[ -n $proxy ] && get x86_64",
    "array of others": "u=([a]=x86_64)",
    "variable": "url=https://a/x86_64",
    "default": "get ${tool:-x86_64}",
    "sed of another text": "sed -i s/@arch@/x86_64/ file",
    "argument of sed": "sed -i s/amd/intel/ x86_64.conf",
    "quoted": "echo 'case $a in arm64) ;; esac'; get arm64",
    "exec form": '["get", "arm64"]',
    "the name in a loop": "for a in arm64; do get $a; done",
}


@pytest.mark.parametrize("text", CHOICES.values(), ids=CHOICES)
def test_a_script_may_choose_by_architecture(text: str) -> None:
    assert _found(f"RUN {text}", f"RUN {text}") == []
    # The rest of the script still counts.
    different = f"0:2: amd64: `RUN a` | arm64: `RUN b`{END}"
    assert _found(f"RUN a\nRUN {text}", f"RUN b\nRUN {text}") == [different]


@pytest.mark.parametrize("text", HARD_CODED.values(), ids=HARD_CODED)
def test_a_script_that_names_one_platform_is_reported(text: str) -> None:
    text = text if text.startswith("[") and "," in text else f"<<E\n{text}\nE"
    (found,) = _found(f"RUN {text}", f"RUN {text}")
    assert "which names one platform" in found


def test_a_table_in_a_text_with_the_own_name() -> None:
    table = "case $a in amd64) s=1 ;; arm64) s=2 ;; esac; get"
    assert _found(f"RUN {table} x-amd64", f"RUN {table} x-arm64") == []
    assert len(_found(f"RUN {table} x-amd64", f"RUN {table} y-arm64")) == 1
    assert len(_found(f"RUN {table} x-arm64", f"RUN {table} x-amd64")) == 1


@pytest.mark.parametrize("text", ["COPY a-amd64 a-arm64 /", "ENV A=amd64,arm64", "LABEL a=x86_64 b=aarch64"])
def test_an_instruction_may_name_both_platforms(text: str) -> None:
    assert _found(text, text) == []


@pytest.mark.parametrize("text", ["COPY a-amd64 /", "ENV A=amd64", "ADD https://a/aarch64.tgz /"])
def test_an_instruction_that_names_one_platform_is_reported(text: str) -> None:
    assert len(_found(text, text)) == 1
