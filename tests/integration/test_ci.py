"""What is exported for CI systems, followed job by job: each on a machine of its own, artifacts between them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.integration.catalogs import CATALOG, CHILD
from tests.integration.conftest import Work, copied, digests

pytestmark = pytest.mark.integration


def run_job(work: Work, name: str, job: dict[str, Any], earlier: Sequence[Work]) -> Work:
    """Run a job's script in a checkout of its own, with the artifacts of the jobs before."""
    machine = copied(work, f"job-{name.replace('/', '-')}")
    for one in earlier:
        shutil.copytree(one.root / "layouts", machine.root / "layouts", dirs_exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for line in job["script"]:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=machine.root,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {line}: {done.stderr}"
    return machine


def test_a_gitlab_pipeline_gives_the_digests_of_one_machine(work: Work) -> None:
    work.prepare({**CATALOG, **CHILD})
    work.run("build")
    pipeline = YAML(typ="safe").load(copied(work, "fresh").run("plan", "--format", "gitlab").stdout)
    jobs = {name: job for name, job in pipeline.items() if name != "stages"}
    done: dict[str, Work] = {}
    for name, job in jobs.items():
        needs = job.get("needs", [one for one in jobs if one != name])
        done[name] = run_job(work, name, job, [done[one] for one in needs])
        assert (done[name].root / job["artifacts"]["paths"][0]).is_dir()
    assert digests(done["merge"]) == digests(work)
