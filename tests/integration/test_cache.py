"""A fresh machine builds nothing that another has built and published."""

from __future__ import annotations

import os
import shutil
import uuid

import pytest

from tests.integration.conftest import Work, digests, states

pytestmark = pytest.mark.integration

FAMILIES = {
    "templates/base.j2": "FROM {{ parent }}\nRUN echo {{ version }} > /version\n",
    "bases/base/base.yaml": "template: base.j2\nparent: PARENT\nversions: ['1']\ntests:\n  - run: cat /version\n",
    "templates/child.j2": "FROM {{ parent }}\nRUN cat /version > /child\n",
    "bases/child/base.yaml": "template: child.j2\nparent: base:1\nversions: ['2']\n",
}


def test_a_fresh_runner_takes_what_was_published_and_builds_only_what_changed(work: Work) -> None:
    registry = f"{os.environ['DFGEN_DEMO_REGISTRY']}/dfgen-cache/{uuid.uuid4().hex}"
    work.prepare({**FAMILIES, "bases/catalog.yaml": f"registry: {registry}\nprovenance: true\n"})
    work.run("build")
    work.run("publish")
    built = digests(work)

    shutil.rmtree(work.root / "dist")
    work.run("build", "--cache-from-registry", "--locked")
    assert set(states(work).values()) == {"taken"}
    assert digests(work) == built
    assert "0 of 4 images to build" in work.run("plan").stderr

    shutil.rmtree(work.root / "dist")
    work.write({"templates/child.j2": "FROM {{ parent }}\nRUN cat /version > /other\n"})
    work.run("render")
    work.run("build", "--cache-from-registry", "--locked")
    assert states(work) == {
        "base:1@amd64": "taken",
        "base:1@arm64": "taken",
        "child:2@amd64": "built",
        "child:2@arm64": "built",
    }
    work.run("publish", "--force")
    work.run("verify")
