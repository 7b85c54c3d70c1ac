"""Settings that images inherit from their parents in the catalog: SHELL, and the configuration of apt."""

from __future__ import annotations

import pytest

from tests.unit.catalogs import write
from tests.unit.lint.catalogs import HADOLINT, Linting, T

BASH = 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]\n'
CHILD = "template: child.j2\nparent: app:1.0\nversions: ['2']\nplatforms: [amd64]\n"
PIPE = "FROM {{ parent }}\nRUN a | b\n"


@pytest.mark.parametrize(("shell", "found"), [(BASH, []), ("", ["templates/child.j2:2"])])
def test_a_child_inherits_the_shell_of_its_parent(linting: Linting, shell: str, found: list[str]) -> None:
    files = {"bases/child/base.yaml": CHILD, "templates/child.j2": PIPE}
    linting.catalog("FROM {{ parent }}\n" + shell, **files)
    assert [line.partition(": ")[0] for line in linting.found()] == found
    # The parent is read even if it is not selected.
    assert [line.partition(": ")[0] for line in linting.found("child")] == found


@pytest.mark.parametrize(("line", "number"), [("COPY apt.conf /etc/apt/apt.conf.d/x\n", 0), ("", 1)])
def test_a_child_inherits_the_apt_configuration_of_its_parent(
    linting: Linting, line: str, number: int
) -> None:
    grandchild = CHILD.replace("app:1.0", "child:2")
    files = {"bases/child/base.yaml": CHILD, "templates/child.j2": "FROM {{ parent }}\n"}
    files |= {"bases/last/base.yaml": grandchild.replace("child.j2", "last.j2")}
    files |= {"templates/last.j2": "FROM {{ parent }}\nRUN apt-get install x\n"}
    linting.catalog("FROM {{ parent }}\n" + line, **files, **{"bases/app/apt.conf": ""})
    assert len(linting.found()) == len(linting.found("last")) == number


def test_a_parent_that_does_not_render_may_set_anything(linting: Linting) -> None:
    linting.catalog(
        "FROM {{ parent }}\n{{ nope }}\n", **{"bases/child/base.yaml": CHILD, "templates/child.j2": PIPE}
    )
    assert linting.found("child") == []


def test_hadolint_is_overruled_if_a_parent_sets_pipefail(linting: Linting) -> None:
    template = "FROM {{ parent }}\n" + BASH
    linting.catalog(template, **{"bases/child/base.yaml": CHILD, "templates/child.j2": PIPE})
    write(linting.root, {T: template, "bin/hadolint": HADOLINT.replace("DL3008", "DL4006")})
    (linting.root / "bin/hadolint").chmod(0o755)
    assert linting.found("child") == []
