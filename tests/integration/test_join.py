"""Two machines build an architecture each; joined, their layouts give what one machine builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.oci.layout import Layout
from tests.integration.catalogs import CATALOG, CHILD
from tests.integration.conftest import Work, copied, digests, states

pytestmark = pytest.mark.integration


def dist(work: Work) -> str:
    return str(work.root / "dist")


def test_layouts_of_two_machines_joined_give_the_digests_of_one(work: Work) -> None:
    work.prepare({**CATALOG, **CHILD})
    work.run("build")
    one, two, last = (copied(work, name) for name in ("one", "two", "last"))
    one.run("build", "--locked", "base@amd64")
    two.run("build", "--locked", "base@arm64")
    assert sorted(digests(one)) == ["base:1.0-x86_64"]

    # A child needs the whole version that it is built on: it is joined from both, and not built again.
    child = copied(work, "child")
    child.run("join", dist(one), dist(two))
    child.run("build", "--locked", "child")
    assert [name for name, state in states(child).items() if state == "built"] == [
        "child:2@amd64",
        "child:2@arm64",
    ]
    done = last.run("join", dist(one), dist(two), dist(child))
    assert digests(last) == digests(work)
    assert done.stderr.splitlines() == [f"{name}: {digests(work)[name]}" for name in ("base:1.0", "child:2")]
    last.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    last.run("build", "--locked")
    assert set(states(last).values()) == {"up to date"}


def test_one_machine_alone_leaves_a_version_unmerged_and_other_sources_are_refused(work: Work) -> None:
    work.prepare(CATALOG)
    work.run("build", "base@amd64")
    last = copied(work, "last")
    done = last.run("join", dist(work))
    assert done.stderr.splitlines() == ["base:1.0: not merged yet, missing linux/arm64"]
    last.write({"bases/base/files/hello": "other\n"})
    done = last.run("join", dist(work), code=1)
    assert done.stderr.splitlines() == [
        f"{Path(dist(work))}: base:1.0-x86_64 was built from other inputs than the catalog's:"
        " files/hello; rebuild it from this commit"
    ]
    assert Layout(last.root / "dist").is_intact(Layout(last.root / "dist").entries()["base:1.0-x86_64"])
