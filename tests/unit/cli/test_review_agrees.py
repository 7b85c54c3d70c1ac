"""`render --check` and `review` report the same stale Dockerfiles, whatever changed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dfgen.catalog.lockfile import LOCK_FILE, Lock
from tests.unit.cli.run import Done, dfgen
from tests.unit.repositories import TEMPLATE, commit
from tests.unit.review.world import DEBIAN, locked, put

# Spellings of the template name {0}; {1} is the name in capitals.
_SPELLINGS = (
    ' "{0}" ',
    '"{0}" ',
    '("{0}")',
    ' "./{0}" ',
    ' "{0}" ~ "" ',
    ' "{1}" | lower ',
    ' ["gone.j2", "{0}"] ',
    ' "{0}" if yes else "gone.j2" ',
    ' names["{0}"] ',
    " '{0}' ",
)
_FAMILY = """\
template: t.j2
parent: {parent}
variables: {{yes: true, one: 1, unused: 2, names: {{part.j2: part.j2, macros.j2: macros.j2, frame.j2: frame.j2}}}}
versions: ["1.0", "2.0"]
"""
_FAMILIES = {"app": DEBIAN, "lib": DEBIAN, "tool": "app:1.0"}
_PARTS = {
    "templates/part.j2": "RUN echo part\n{% include 'deep/er.j2' %}",
    "templates/deep/er.j2": "ENV DEEPER=1\n",
    "templates/macros.j2": "{% macro line() %}\nENV MACRO={{ caller() }}\n{% endmacro %}\n",
    "templates/frame.j2": "FROM {{ parent }}\n{% block body %}{% endblock %}\nENV FRAME=1\n",
    "templates/other.j2": "FROM {{ parent }}\nENV OTHER={{ one }}\n",
}
Change = Callable[[Path], object]


def _template(include: str, imported: str, extended: str | None) -> str:
    """Return a template that includes a part, calls an imported macro and may extend another template."""
    name = ("{0}" if "gone" in imported and "[" in imported else imported).replace("{0}", "macros.j2")
    name = name.replace("{1}", "MACROS.J2")
    name = name if name != "macros.j2" else ' "macros.j2" '
    body = (
        f"{{% include{include.format('part.j2', 'PART.J2')}%}}\nENV ONE={{{{ one }}}}\n"
        f"{{% from{name}import line without context %}}{{% call line() %}}x{{% endcall %}}\n"
    )
    if extended is None:
        return f"FROM {{{{ parent }}}}\n{body}"
    return (
        f"{{% extends{extended.format('frame.j2', 'FRAME.J2')}%}}{{% block body %}}\n{body}{{% endblock %}}\n"
    )


_SINGLE = tuple(one for one in _SPELLINGS if "[" not in one and "names" not in one and "yes" not in one)
_TEMPLATES = st.builds(
    _template,
    st.sampled_from(_SPELLINGS),
    st.sampled_from(_SINGLE),
    st.none() | st.sampled_from([one for one in _SPELLINGS if 'gone.j2", ' not in one]),
)


def _edited(name: str, old: str, new: str) -> Change:
    """Replace a text of a file if it is there."""

    def change(root: Path) -> None:
        path = root / name
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))

    return change


def _moved_pin(root: Path) -> None:
    _lock(root, build="2")


def _removed(name: str) -> Change:
    return lambda root: (root / name).unlink(missing_ok=True)


def _render(root: Path) -> None:
    dfgen("-C", root, "render")


_APP, _LIB, _TOOL = (f"bases/{name}/1.0/Dockerfile_amd64" for name in _FAMILIES)
_CHANGES: dict[str, Change] = {
    "render": _render,
    "render one family": lambda root: dfgen("-C", root, "render", "app"),
    "part": _edited("templates/part.j2", "echo part", "echo parts"),
    "part of a part": _edited("templates/deep/er.j2", "=1", "=2"),
    "macro": _edited("templates/macros.j2", "MACRO", "MACROS"),
    "frame": _edited("templates/frame.j2", "FRAME=1", "FRAME=2"),
    "comment": _edited("templates/part.j2", "RUN", "{# why #}RUN"),
    "variable": _edited("bases/lib/base.yaml", "one: 1", "one: 2"),
    "unused variable": _edited("bases/lib/base.yaml", "unused: 2", "unused: 3"),
    "another template": _edited("bases/app/base.yaml", "t.j2", "other.j2"),
    "another version": _edited("bases/app/base.yaml", '"2.0"', '"3.0"'),
    "a platform less": _edited("bases/lib/base.yaml", "versions", "platforms: [amd64]\nversions"),
    "a family less": lambda root: (root / "bases/lib/base.yaml").unlink(missing_ok=True),
    "pin": _moved_pin,
    "not built": lambda root: _lock(root, waits=True),
    "hand edit": _edited(_APP, "ENV ONE", "ENV TWO"),
    "hand edit of another": _edited(_LIB, "\n", "\n# mine\n"),
    "hand edit of what may wait": _edited(_TOOL, "ENV ONE", "ENV TWO"),
    "line ends": _edited(_LIB, "\n", "\r\n"),
    "missing": _removed(_APP),
    "missing, may wait": _removed(_TOOL),
    "not generated": lambda root: put(root, {_LIB: "FROM scratch\n"}),
    "of no version": lambda root: put(root, {"bases/app/1.0/Dockerfile_mine": "FROM scratch\n"}),
    "left over": lambda root: _copied(root / _APP, root / "bases/app/0.9/Dockerfile_amd64"),
    "broken": _edited("templates/part.j2", "echo", "{{ nobody }}"),
}


def _copied(path: Path, to: Path) -> None:
    if path.is_file():
        to.parent.mkdir(exist_ok=True)
        shutil.copy(path, to)


def _lock(root: Path, build: str = "1", *, waits: bool = False) -> None:
    """Pin the parents; `waits` if the one in the catalog was never built."""
    parents = {DEBIAN: locked(build=build)} | ({} if waits else {"app:1.0": locked("app:1.0", build)})
    put(root, {LOCK_FILE: Lock(parents).to_text()})


def _make(root: Path, template: str) -> None:
    shutil.rmtree(root, ignore_errors=True)
    put(root, {f"bases/{name}/base.yaml": _FAMILY.format(parent=of) for name, of in _FAMILIES.items()})
    put(root, {"templates/t.j2": template, **_PARTS})
    _lock(root)
    assert dfgen("-C", root, "render").status == 0


def _checked(root: Path) -> tuple[Done, set[str]]:
    """Run `render --check`; returns the rejected files, too."""
    done = dfgen("-C", root, "render", "--check")
    lines = [re.match(r"(bases/\S+/Dockerfile_\w+): (waits for)?", line) for line in done.lines]
    return done, {line[1] for line in lines if line and not line[2]}


def _reviewed(before: Path, after: Path) -> tuple[Done, set[tuple[str, str]], bool]:
    """Review; returns rule and file of each error of a file, and whether the new state is broken, too."""
    done = dfgen("--format", "json", "review", before, after)
    risks = [one for one in json.loads(done.out)["risks"] if one["level"] == "error"]
    files = {
        (one["rule"], one["place"]["file"]) for one in risks if one["rule"] in ("not-rendered", "hand-edited")
    }
    return done, files, any(one["rule"] == "broken" for one in risks)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    template=_TEMPLATES,
    first=st.lists(st.sampled_from([*_CHANGES]), max_size=2),
    then=st.lists(st.sampled_from([*_CHANGES]), max_size=4),
)
@example(template=_template(*_SINGLE[:2], None), first=[], then=["a family less", "not generated"])
def test_render_check_and_review_agree(
    tmp_path: Path, template: str, first: Sequence[str], then: Sequence[str]
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    _make(before, template)
    for name in first:
        _CHANGES[name](before)
    shutil.rmtree(after, ignore_errors=True)
    shutil.copytree(before, after)
    for name in then:
        _CHANGES[name](after)
    check, rejected = _checked(after)
    review, found, is_broken = _reviewed(before, after)
    if is_broken:
        assert (check.status, review.status) == (2, 1)
        return
    assert {path for _, path in found} == rejected
    if rejected:
        assert (check.status, review.status) == (1, 1)


@pytest.mark.parametrize("spelling", _SPELLINGS)
def test_included_template_changed_since_a_commit(repository: Path, catalog: Path, spelling: str) -> None:
    base = (catalog / "bases/app/base.yaml").read_text()
    include = f"{{% include{spelling.format('part.j2', 'PART.J2')}%}}\n"
    variables = "variables: {yes: true, names: {part.j2: part.j2}}\n"
    put(catalog, {"bases/app/base.yaml": base + variables, "templates/t.j2": TEMPLATE + include})
    put(catalog, {"templates/part.j2": "RUN echo one\n"})
    _render(catalog)
    commit(repository)
    put(catalog, {"templates/part.j2": "RUN echo two\n"})
    for words in ((), ("HEAD",)):
        found = json.loads(dfgen("-C", catalog, "--format", "json", "review", *words).out)
        assert [risk["rule"] for risk in found["risks"]] == ["not-rendered"] * 2
    (reasons,) = {tuple(one["reasons"]) for one in found["radius"]["rebuilt"]}
    assert reasons == ("template templates/part.j2",)
    commit(repository)  # stale in both states
    assert dfgen("-C", catalog, "review", "HEAD").status == 1
