"""BuildKit's own checks, in lint: at the template's line, and switched off with a reason."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Work

pytestmark = pytest.mark.integration

CATALOG = {
    "bases/catalog.yaml": "registry: localhost\nplatforms: [amd64]\n",
    "templates/app.j2": "FROM {{ parent }}\nENV a b\nUSER 1\n",
    "bases/app/base.yaml": "template: app.j2\nparent: PARENT\nversions: ['1']\n",
}
FOUND = (
    'templates/app.j2:2: warning: "ENV key=value" should be used instead of legacy "ENV key value" format'
    " [LegacyKeyValueFormat] (in bases/app/1/Dockerfile_amd64:7)"
)


def test_the_checks_of_buildkit(work: Work) -> None:
    work.prepare(CATALOG)
    assert FOUND not in work.run("lint").stdout
    done = work.run("lint", "--buildkit", "--strict", code=1)
    assert FOUND in done.stdout.splitlines()
    assert "BuildKit" not in done.stderr

    ignored = "lint: {ignore: {LegacyKeyValueFormat: the way of the house}}\n"
    work.write({"bases/app/base.yaml": CATALOG["bases/app/base.yaml"] + ignored})
    work.run("render")
    assert "LegacyKeyValueFormat" not in work.run("lint", "--buildkit").stdout


def test_an_engine_that_does_not_answer_is_told(work: Work) -> None:
    work.prepare(CATALOG)
    work.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    assert work.run("lint", "--buildkit", code=3).stderr.strip() == (
        "cannot connect to the Docker engine at unix:///nowhere/docker.sock; start it, or select"
        " another one with DOCKER_HOST or `docker context use`"
    )
