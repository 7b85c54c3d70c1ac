"""Three levels on a real engine: a parent whose digest changes rebuilds all its descendants in one run."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Work, digests, record, states

pytestmark = pytest.mark.integration

LEVELS = {"a": "PARENT", "b": "a:1", "c": "b:1"}
CATALOG = {
    "bases/catalog.yaml": "registry: localhost\nplatforms: [amd64]\n",
    **{f"templates/{name}.j2": "FROM {{ parent }}\nCOPY files/ /\n" for name in (*LEVELS, "x")},
    **{f"bases/{name}/files/{name}": "1\n" for name in (*LEVELS, "x")},
    **{
        f"bases/{name}/base.yaml": f"template: {name}.j2\nparent: {parent}\nversions: ['1']\n"
        for name, parent in {**LEVELS, "x": "PARENT"}.items()
    },
}


def test_a_changed_parent_locks_renders_and_builds_three_levels_and_nothing_else(work: Work) -> None:
    work.prepare(CATALOG)
    work.run("build")
    before = digests(work)
    work.write({"bases/a/files/a": "2\n"})
    refused = work.run("build", "--locked", code=1)
    assert "b:1@amd64: the digest of parent a:1 changed: locked " in refused.stderr
    assert (work.root / "bases/b/1/Dockerfile_amd64").read_text().count(str(before["a:1-x86_64"])) == 1

    done = work.run("build")
    after = digests(work)
    assert {image["name"]: image["reason"] for image in record(work)["images"]} == {
        "a:1@amd64": "up to date",
        "b:1@amd64": "parent rebuilt: a:1",
        "c:1@amd64": "parent rebuilt: b:1",
        "x:1@amd64": "up to date",
    }
    assert [name for name in before if before[name] == after[name]] == ["x:1", "x:1-x86_64"]
    for child, parent in (("b", "a"), ("c", "b")):
        path = f"bases/{child}/1/Dockerfile_amd64"
        assert f"{path}: rendered again, because the digest of a parent changed" in done.stderr.splitlines()
        pinned = f"localhost/{parent}:1@{after[f'{parent}:1-x86_64']}\n"
        assert pinned in (work.root / path).read_text()
    work.run("render", "--check")
    work.run("build", "--locked")
    assert set(states(work).values()) == {"up to date"}
