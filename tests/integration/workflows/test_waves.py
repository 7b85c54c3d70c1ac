"""The push jobs of docs/workflows/github.yml: every image is built in its own job, then all are published."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.actions import JobResult, Runner
from tests.integration.catalogs import CATALOG, CHILD
from tests.integration.conftest import Work, digests, states
from tests.integration.workflows.conftest import workflow

pytestmark = pytest.mark.integration

SECRETS = {"secrets.REGISTRY_USER": "u", "secrets.REGISTRY_TOKEN": "t0ken"}
DOCKER = '#!/bin/sh\nif [ "$1" = login ]; then cat > "{0}/login"; echo "$@" >> "{0}/login"; else exec {1} "$@"; fi\n'


@pytest.fixture
def runner(work: Work, tmp_path: Path) -> Runner:
    """Build and commit a catalog, and return the runner that clones it."""
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


def _run(runner: Runner, job: str, context: Mapping[str, str]) -> JobResult:
    done = runner.run(job, context)
    assert done.failed == [], "".join(done.logs)
    return done


def _wave(runner: Runner, job: str, matrix: str) -> Sequence[tuple[dict[str, Any], JobResult]]:
    entries = json.loads(matrix)["include"]
    return [
        (entry, _run(runner, job, {f"matrix.{key}": str(value) for key, value in entry.items()}))
        for entry in entries
    ]


def _push(work: Work, runner: Runner) -> tuple[Work, list[tuple[dict[str, Any], str]]]:
    """Run all jobs of a push; return the published layout, and each matrix entry with its image's state."""
    planned = _run(runner, "plan", {})
    jobs = [one for wave in ("wave1", "wave2") for one in _wave(runner, wave, planned.outputs[wave])]
    done: list[tuple[dict[str, Any], str]] = []
    for entry, job in jobs:
        machine = Work(job.folder, work.parent)
        (machine.root / "built" / entry["artifact"]).rename(machine.root / "dist")
        done.append((entry, states(machine)[entry["select"]]))
    last = _run(runner, "publish", SECRETS)
    assert "2 versions, 4 images verified: all match" in "".join(last.logs)
    return Work(last.folder, work.parent), done


def test_a_push_builds_every_image_in_its_own_job_and_publishes_them(
    work: Work, runner: Runner, tmp_path: Path
) -> None:
    published, done = _push(work, runner)
    assert [(entry["parents"], state) for entry, state in done] == [
        *[("", "built")] * 2,
        *[("{base-1_0-amd64,base-1_0-arm64}", "built")] * 2,
    ]
    assert digests(published) == digests(work)
    login = (tmp_path / "bin/login").read_text()
    assert login == "t0ken\nlogin registry.example.com --username u --password-stdin\n"

    published, done = _push(work, replace(runner, root=tmp_path / "again"))
    assert [state for _, state in done] == ["taken"] * 4
    assert digests(published) == digests(work)
