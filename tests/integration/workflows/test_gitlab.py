"""docs/workflows/gitlab.yml, job by job: the scripts run, and GitLab's API is a fake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dfgen.catalog.lockfile import LOCK_FILE
from tests.fakes.gitlab import OURS, FakeGitLab
from tests.integration.workflows.conftest import PARENT_MOVED, Project

pytestmark = pytest.mark.integration

WORKFLOW = Path(__file__).parents[3] / "docs/workflows/gitlab.yml"
MARK = "<!-- dfgen review -->\n"


@pytest.fixture
def checkout(project: Project, tmp_path: Path) -> Path:
    """Return the clone in which a job runs."""
    subprocess.run(["git", "clone", "-q", project.root, tmp_path / "job"], check=True)
    return tmp_path / "job"


def _run(project: Project, folder: Path, name: str, given: Mapping[str, str]) -> tuple[int, str]:
    """Run a job like a runner: its commands form one script, which stops at the first error."""
    workflow = YAML(typ="safe").load(WORKFLOW.read_text())
    job: dict[str, Any] = {**workflow["default"], **workflow[name]}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", "\n".join([*job["before_script"], *job["script"]])],
        cwd=folder,
        env={**os.environ, **project.environment, **workflow["variables"], **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def _report(folder: Path) -> list[dict[str, Any]]:
    """Read the one report of the job `check`: GitLab rejects jobs with several."""
    name = YAML(typ="safe").load(WORKFLOW.read_text())["check"]["artifacts"]["reports"]["codequality"]
    found: list[dict[str, Any]] = json.loads((folder / name).read_text())
    return found


@pytest.mark.parametrize("merged_results", [False, True])
def test_the_check_compares_with_the_target_branch(
    project: Project, tmp_path: Path, merged_results: bool
) -> None:
    base = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "-b", "change")
    (project.root / "templates/t.j2").write_text("FROM {{ parent }}\nRUN curl x | sh\n")
    project.commit("change")
    project.git("checkout", "-q", "main")
    (project.root / "bases/app/notes").write_text("merged in the meantime\n")
    target = project.commit("other")
    if merged_results:
        project.git("merge", "-q", "--no-ff", "change", "-m", "merge")
    else:
        project.git("checkout", "-q", "change")
    folder = tmp_path / "job"
    subprocess.run(["git", "clone", "-q", project.root, folder], check=True)
    given = {
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
        "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": target if merged_results else "",
    }
    status, shown = _run(project, folder, "check", given)
    assert status == 1, shown
    review = (folder / "review.md").read_text()
    assert review.startswith("**dfgen review**")
    assert "templates/t.j2" in review
    assert "notes" not in review
    rules = {one["check_name"] for one in _report(folder)}
    assert {"pipefail", "not-rendered"} <= rules


def test_the_check_passes_without_changes(project: Project, checkout: Path) -> None:
    given = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": project.git("rev-parse", "HEAD")}
    status, shown = _run(project, checkout, "check", given)
    assert status == 0, shown
    assert _report(checkout) == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed; run: apt-get install curl")
def test_the_comment_is_written_once_and_then_updated(project: Project, tmp_path: Path) -> None:
    with FakeGitLab("t0ken") as gitlab:
        # A user quotes a review, and the comment of the job is on the second page.
        others = [{"id": at, "author": {"id": 1}, "body": f"{MARK}quoted"} for at in range(1, 121)]
        ours = {"id": 121, "author": OURS, "body": "another job's"}
        gitlab.notes = [*others, ours]
        given = {
            "CI_API_V4_URL": f"{gitlab.url}/api/v4",
            "CI_PROJECT_ID": "1",
            "CI_MERGE_REQUEST_IID": "2",
            "DFGEN_COMMENT_TOKEN": "t0ken",
        }
        for body in ("**dfgen review**: `first`\n\"'$(x) %0A 100% + &a=b;\n", "**dfgen review**: nothing\n"):
            (tmp_path / "review.md").write_text(body)
            status, shown = _run(project, tmp_path, "comment", given)
            assert (status, shown) == (0, "")
            assert gitlab.notes[:121] == [*others, ours]
            assert [note["body"] for note in gitlab.notes[121:]] == [MARK + body]
        status, shown = _run(project, tmp_path, "comment", {**given, "DFGEN_COMMENT_TOKEN": "other"})
        assert status, shown
        assert len(gitlab.notes) == 122


def test_newer_pins_are_pushed_with_options_that_open_a_merge_request(
    project: Project, checkout: Path
) -> None:
    options = project.root.parent / "options"
    bare = project.root.parent / "images.git"
    subprocess.run(["git", "clone", "-q", "--bare", project.root, bare], check=True)
    subprocess.run(["git", "-C", bare, "config", "receive.advertisePushOptions", "true"], check=True)
    hook = bare / "hooks/post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION_[0-9] | sort > "{options}"\n')
    hook.chmod(0o755)
    given = {
        "CI_PROJECT_URL": f"file://{bare.with_suffix('')}",
        "CI_DEFAULT_BRANCH": "main",
        "DFGEN_PUSH_TOKEN": "t0ken",
    }
    status, shown = _run(project, checkout, "upgrade", given)
    assert (status, options.exists()) == (0, False), shown

    project.publish(PARENT_MOVED)
    status, shown = _run(project, checkout, "upgrade", given)
    assert status == 0, shown
    assert [line.partition("=")[2] for line in options.read_text().splitlines()] == [
        "merge_request.create",
        "merge_request.target=main",
        "merge_request.title=Parents: newer pins",
        "merge_request.remove_source_branch",
    ]
    show = ["git", "-C", bare, "show", f"dfgen/upgrade:{LOCK_FILE}"]
    assert project.index in subprocess.run(show, capture_output=True, text=True, check=True).stdout
    assert "t0ken" not in shown

    project.add_lost_parent()
    project.publish(b"third")
    folder = checkout.parent / "another job"
    subprocess.run(["git", "clone", "-q", project.root, folder], check=True)
    status, shown = _run(project, folder, "upgrade", given)
    assert (status, "/team/os:lost no longer exists; its pins stay" in shown) == (1, True), shown
    assert project.index in subprocess.run(show, capture_output=True, text=True, check=True).stdout
