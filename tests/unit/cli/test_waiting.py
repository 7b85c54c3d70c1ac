"""Families whose parent is not built yet: everything but the digest is checked, and none is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.unit.catalogs import FAMILY, loaded, locked, write
from tests.unit.cli.run import dfgen
from tests.unit.repositories import commit, git

CHILD = "template: child.j2\nparent: {}\nversions: ['2']\nplatforms: [amd64]\n"
FILE = "bases/last/2/Dockerfile_amd64"
WAITS = f"{FILE}: waits for child:2 to be built; `dfgen build` pins and renders it"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Create a catalog in which `child` waits for `app`, and `last` for `child`."""
    children = {
        "child": CHILD.format("app:1.0"),
        "last": CHILD.format("child:2").replace("child.j2", "last.j2"),
    }
    texts = {f"templates/{name}.j2": "FROM {{ parent }}\n" for name in children}
    catalog = loaded(tmp_path, FAMILY + "platforms: [amd64]\n", **children, **texts)
    write(tmp_path, {LOCK_FILE: locked(catalog, "app:1.0", "child:2").to_text()})
    git(tmp_path, "init", "-q")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "codes", "said"),
    [
        ("RUN {{ nothing }}", {"render": 2, "check": 2, "lint": 1, "review": 1, "plan": 2, "explain": 2},  "'nothing' is not defined"),
        ("RUN {{ nothing", {"render": 2, "check": 2, "lint": 1, "review": 1, "plan": 2, "explain": 2}, "templates/last.j2:"),
        ("FROM docker.io/library/x:1", {"render": 2, "check": 2, "lint": 1, "review": 1, "plan": 2, "explain": 2}, "FROM uses 'docker.io/library/x:1'"),
        ("RUNN x", {"render": 0, "check": 0, "lint": 1, "review": 1, "plan": 0, "explain": 0}, "templates/last.j2:2: error: unknown instruction 'RUNN'"),
        ("COPY nothing /x", {"render": 0, "check": 0, "lint": 1, "review": 1, "plan": 2, "explain": 0}, "COPY takes 'nothing', which does not exist in the context bases/last"),
        ("RUN true", {"render": 0, "check": 0, "lint": 0, "review": 0, "plan": 0, "explain": 0}, ""),
    ],
)  # fmt: skip
def test_everything_but_the_digest_is_checked(
    root: Path, line: str, codes: dict[str, int], said: str
) -> None:
    commit(root)
    write(root, {"templates/last.j2": f"FROM {{{{ parent }}}}\n{line}\n"})
    commands = {
        "render": ("render",),
        "check": ("render", "--check"),
        "lint": ("lint",),
        "review": ("review", "HEAD"),
        "plan": ("plan",),
        "explain": ("explain", "last:2@amd64"),
    }
    if not codes["render"]:
        assert dfgen("-C", root, "render").status == 0
    for name, words in commands.items():
        done = dfgen("-C", root, *words)
        assert (name, done.status) == (name, codes[name])
        if done.status:
            assert said in done.out + done.err
    assert not (root / FILE).exists()
    files = [path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts]
    assert [path for path in files if b"sha256:0000" in path.read_bytes()] == []


def test_each_command_says_what_waits(root: Path) -> None:
    commit(root)
    write(root, {"templates/last.j2": "FROM {{ parent }}\nRUN true\n"})
    assert WAITS in dfgen("-C", root, "render").lines
    assert WAITS in dfgen("-C", root, "render", "--check").lines
    assert (
        "2 Dockerfiles wait for app:1.0 and child:2 to be built: checked, apart from the digest in FROM"
        in dfgen("-C", root, "lint").lines
    )
    assert dfgen("-C", root, "explain", "last:2@amd64").lines[-1] == (
        f"{FILE}: waits for child:2 to be built; until then, a digest that starts with zeros stands in for its"
        " pin"
    )
    assert "parent rebuilt: child:2" in dfgen("-C", root, "plan").out
    assert (
        "not rendered yet, so checked but not shown: last:2@amd64" in dfgen("-C", root, "review", "HEAD").out
    )


def test_a_stale_file_of_an_image_that_waits_fails_the_checks(root: Path) -> None:
    write(root, {FILE: "FROM x\n"})
    commit(root)
    assert dfgen("-C", root, "render").status == 0
    done = dfgen("-C", root, "render", "--check")
    assert (done.status, FILE in done.lines[-1]) == (1, True)
    assert (root / FILE).read_text() == "FROM x\n"


def test_a_stage_that_uses_two_platforms_of_a_parent_that_is_not_built(tmp_path: Path) -> None:
    base = CHILD.format("app:1.0") + "parents: {cross: {image: 'app:1.0', platform: arm64}}\n"
    template = "FROM {{ parents.cross }} AS cross\nFROM {{ parent }}\nCOPY --from=cross /a /a\n"
    catalog = loaded(tmp_path, FAMILY, child=base, **{"templates/child.j2": template})
    write(tmp_path, {LOCK_FILE: locked(catalog, "app:1.0").to_text(), "templates/child.j2": template})
    assert dfgen("-C", tmp_path, "render").status == 0
    assert dfgen("-C", tmp_path, "lint").status == 0
