"""BuildKit's own checks, in lint: at the template's line, and switched off with a reason."""

from __future__ import annotations

import json
import subprocess

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


def test_an_engine_that_does_not_answer(work: Work) -> None:
    work.prepare(CATALOG)
    work.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    assert work.run("lint", "--buildkit", code=3).stderr.splitlines()[1] == (
        "not checked by BuildKit: bases/app/1/Dockerfile_amd64: cannot connect to the Docker engine at"
        " unix:///nowhere/docker.sock; start it, or select another one with DOCKER_HOST or `docker context use`"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY x", "COPY requires at least two arguments, but only one was provided."),
        ("COPY --frm=x a b", ""),
        ('ENV a="b', "failed to process"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("EXPOSE x/y/z", ""),
        ("HEALTHCHECK --interval=x CMD a", ""),
        ("STOPSIGNAL a b", ""),
        ("RUN --mount=type=nothing,target=/x true", ""),
        ("USER 1", None),
    ],
)
def test_what_buildkit_rejects_is_an_error_at_the_template_line(
    work: Work, line: str, message: str | None
) -> None:
    template = f"FROM {{{{ parent }}}}\n# a comment\n{line}\n"
    work.write({**CATALOG, "templates/app.j2": template})
    work.run("lock")
    command = ["docker", "buildx", "build", "--call=check", "-"]
    real = subprocess.run(
        command, input=f"FROM scratch\n{line}\n", capture_output=True, text=True, check=False
    )
    done = work.run("lint", "--buildkit", code=1 if message is not None else 0)
    found = [one for one in done.stdout.splitlines() if "templates/app.j2:3: error: " in one]
    assert bool(found) == bool(real.returncode) == (message is not None)
    assert all(message in one for one in found if message)


def test_a_parent_that_the_engine_cannot_read(work: Work) -> None:
    work.prepare(CATALOG)
    lock = (work.root / "bases/lock.json").read_text()
    digest = json.loads(lock)["parents"][work.parent.reference]["platforms"]["linux/amd64"]["digest"]
    (work.root / "bases/lock.json").write_text(lock.replace(digest, f"sha256:{'1' * 64}"))
    done = work.run("lint", "--buildkit", code=3)
    assert done.stderr.splitlines()[1].startswith(
        f"not checked by BuildKit: bases/app/1/Dockerfile_amd64: parent {work.parent.reference}"
    )
