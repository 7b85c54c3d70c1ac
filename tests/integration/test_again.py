"""Reuse of published images, builds that are not reproducible, and BuildKit's cache."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import pytest

from tests.integration.conftest import Work, digests, states

pytestmark = pytest.mark.integration

FAMILIES = {
    "templates/base.j2": "FROM {{ parent }}\nRUN echo {{ version }} > /version\n",
    "bases/base/base.yaml": "template: base.j2\nparent: PARENT\nversions: ['1']\ntests:\n  - run: cat /version\n",
    "templates/child.j2": "FROM {{ parent }}\nRUN cat /version > /child\n",
    "bases/child/base.yaml": "template: child.j2\nparent: base:1\nversions: ['2']\n",
}


def builds(work: Work) -> list[str]:
    """The images that BuildKit built, by their logs."""
    logs = (work.root / "dist" / "logs").glob("*.log")
    return sorted(log.stem for log in logs if "load build definition" in log.read_text())


def test_a_fresh_runner_downloads_published_images_and_builds_only_changed_ones(work: Work) -> None:
    registry = f"{os.environ['DFGEN_DEMO_REGISTRY']}/dfgen-cache/{uuid.uuid4().hex}"
    work.prepare({**FAMILIES, "bases/catalog.yaml": f"registry: {registry}\nprovenance: true\n"})
    work.run("build")
    work.run("publish")
    built = digests(work)

    shutil.rmtree(work.root / "dist")
    work.run("build", "--cache-from-registry", "--locked")
    assert set(states(work).values()) == {"taken"}
    assert builds(work) == []
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
    assert builds(work) == ["child-2-amd64", "child-2-arm64"]
    work.run("publish", "--force")
    work.run("verify")


def test_an_image_that_is_not_reproducible_is_reported_with_its_first_difference(work: Work) -> None:
    work.prepare(
        {
            **FAMILIES,
            "bases/catalog.yaml": "registry: localhost\nplatforms: [amd64]\n",
            "templates/child.j2": "FROM {{ parent }}\nRUN mkdir /run\nRUN cat /proc/uptime > /run/up; sleep 1\n",
        }
    )
    done = work.run("build", "--twice", code=1)
    assert states(work) == {"base:1@amd64": "built", "child:2@amd64": "failed"}
    assert (
        "bases/child/2/Dockerfile_amd64: not reproducible: layer 4 of 4"
        " (RUN /bin/sh -c cat /proc/uptime > /run/up; sleep 1): /run/up: "
    ) in done.stderr


def test_the_build_cache_is_exported_and_imported_as_configured(work: Work, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    work.prepare(
        {
            **FAMILIES,
            "bases/catalog.yaml": (
                "registry: localhost\nplatforms: [amd64]\nbuild_cache:\n"
                f"  from: ['type=local,src={cache}/{{family}}-{{arch}}']\n"
                f"  to: ['type=local,dest={cache}/{{family}}-{{arch}},mode=max']\n"
            ),
        }
    )
    work.run("build")
    assert sorted(path.name for path in cache.iterdir()) == ["base-x86_64", "child-x86_64"]
    built = digests(work)
    shutil.rmtree(work.root / "dist")
    work.run("build")
    assert digests(work) == built
    log = (work.root / "dist" / "logs" / "base-1-amd64.log").read_text()
    assert "importing cache manifest from local:" in log
