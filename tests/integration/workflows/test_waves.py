"""docs/workflows/github.yml from the push on: each image is built by a job of its own, and all are published."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.actions import Ran, Runner
from tests.integration.conftest import Work, digests, states
from tests.integration.test_build import CATALOG, CHILD
from tests.integration.workflows.test_github import workflow

pytestmark = pytest.mark.integration

SECRETS = {"secrets.REGISTRY_USER": "u", "secrets.REGISTRY_TOKEN": "t0ken"}
DOCKER = '#!/bin/sh\nif [ "$1" = login ]; then cat > "{0}/login"; echo "$@" >> "{0}/login"; else exec {1} "$@"; fi\n'


@pytest.fixture
def runner(work: Work, tmp_path: Path) -> Runner:
    """Commit a catalog whose pins are known, and give the runner that clones it."""
    registry = f"{os.environ['DFGEN_DEMO_REGISTRY']}/dfgen-test/{uuid.uuid4().hex}"
    work.prepare(
        {**CATALOG, **CHILD, "bases/catalog.yaml": f"registry: {registry}\n", ".gitignore": "dist/\n"}
    )
    work.run("build")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "catalog"]):
        name = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *name, *words], cwd=work.root, check=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    nothing = "#!/bin/sh\nexit 0\n"
    docker = DOCKER.format(programs, shutil.which("docker"))
    for program, text in (("pip", nothing), ("sudo", nothing), ("docker", docker)):
        (programs / program).write_text(text)
        (programs / program).chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return Runner(workflow=workflow(), origin=work.root, root=tmp_path / "runner", environment={"PATH": path})


def _run(runner: Runner, job: str, context: Mapping[str, str]) -> Ran:
    done = runner.run(job, context)
    assert done.failed == [], "".join(done.printed)
    return done


def _wave(runner: Runner, job: str, matrix: str) -> Sequence[tuple[dict[str, Any], Ran]]:
    entries = json.loads(matrix)["include"]
    return [
        (entry, _run(runner, job, {f"matrix.{key}": str(value) for key, value in entry.items()}))
        for entry in entries
    ]


def test_what_is_pushed_is_built_an_image_a_job_and_published(
    work: Work, runner: Runner, tmp_path: Path
) -> None:
    planned = _run(runner, "plan", {})
    jobs = [
        *_wave(runner, "wave1", planned.outputs["wave1"]),
        *_wave(runner, "wave2", planned.outputs["wave2"]),
    ]
    built = Work(tmp_path / "runner/publish-0", work.parent)
    for entry, job in jobs:
        machine = Work(job.folder, work.parent)
        (machine.root / "built" / entry["artifact"]).rename(machine.root / "dist")
        assert [name for name, state in states(machine).items() if state == "built"] == [entry["select"]]
    assert [entry["parents"] for entry, _ in jobs] == ["", "", *["{base-1_0-amd64,base-1_0-arm64}"] * 2]
    done = _run(runner, "publish", SECRETS)
    assert digests(built) == digests(work)
    login = (tmp_path / "bin/login").read_text()
    assert login == "t0ken\nlogin registry.example.com --username u --password-stdin\n"
    assert "2 versions, 4 images verified: nothing amiss" in "".join(done.printed)
