"""docs/workflows/github.yml, job by job: a fake runner executes the shell steps, and GitHub is a fake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.fakes.actions import JobResult, Runner
from tests.fakes.gh import OURS
from tests.integration.workflows.conftest import PARENT_MOVED, Project, workflow

pytestmark = pytest.mark.integration

CONTEXT = {"github.token": "t0ken", "github.event.number": "7"}


class GitHub:
    """A runner, and the fake state of GitHub: comments and pull requests."""

    def __init__(self, project: Project, folder: Path) -> None:
        self._state = folder / "github.json"
        self.save({"comments": [], "pulls": []})
        environment = {
            **project.environment,
            "GH_STATE": str(self._state),
            "GITHUB_REPOSITORY": "team/images",
        }
        self._runner = Runner(
            workflow=workflow(), origin=project.root, root=folder / "runner", environment=environment
        )

    def run(self, job: str) -> JobResult:
        return self._runner.run(job, CONTEXT)

    def artifact(self, name: str, text: str) -> None:
        path = self._runner.artifacts / name / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def artifacts(self) -> Path:
        return self._runner.artifacts

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._state.read_text())
        return found

    def save(self, state: dict[str, Any]) -> None:
        self._state.write_text(json.dumps(state))


@pytest.fixture
def github(project: Project, tmp_path: Path) -> GitHub:
    return GitHub(project, tmp_path)


def _request(project: Project, template: str) -> None:
    """Create a pull request and check out its merge commit, as GitHub does."""
    project.git("checkout", "-q", "-b", "change")
    (project.root / "templates/t.j2").write_text(template)
    project.commit("change")
    project.git("checkout", "-q", "main")
    (project.root / "README").write_text("another change was merged in the meantime\n")
    project.commit("other")
    project.git("merge", "-q", "--no-ff", "change", "-m", "merge")


def test_every_step_checks_a_pull_request_and_the_review_is_an_artifact(
    project: Project, github: GitHub
) -> None:
    _request(project, "FROM {{ parent }}\nRUN curl x | sh\n")
    done = github.run("check")
    assert [step.split(" --")[0] for step in done.failed] == ["dfgen review", "dfgen render"]
    shown = "".join(done.logs)
    assert "::error file=bases/app/1/Dockerfile_amd64,line=6,title=not-rendered::" in shown
    assert "::warning file=templates/t.j2,line=2,title=pipefail::" in shown
    review = (github.artifacts / "review/review.md").read_text()
    assert review.startswith("**dfgen review**")
    assert "templates/t.j2" in review
    assert "README" not in review


def test_a_pull_request_without_catalog_changes_passes(project: Project, github: GitHub) -> None:
    (project.root / "README").write_text("x")
    project.commit("no catalog change")
    done = github.run("check")
    assert done.failed == []


def test_the_comment_is_written_once_and_then_updated(github: GitHub) -> None:
    # A user quotes a review, and the comment of the bot is on the second page.
    others = [{"id": at, "user": {"login": "a"}, "body": "**dfgen review** is fine"} for at in range(1, 41)]
    ours = {"id": 41, "user": {"login": OURS}, "body": "another program's"}
    github.save({**github.state, "comments": [*others, ours]})
    bodies = ["**dfgen review**: `first`\n\"'$(x) %0A 100%\n", "**dfgen review**: nothing any more\n"]
    for body in bodies:
        github.artifact("review", body)
        assert github.run("comment").failed == []
        comments = github.state["comments"]
        assert comments[:41] == [*others, ours]
        assert [(one["user"]["login"], one["body"]) for one in comments[41:]] == [(OURS, body)]


def test_newer_pins_open_one_pull_request_and_then_update_it(project: Project, github: GitHub) -> None:
    assert github.run("upgrade").failed == []
    assert (github.state["pulls"], project.git("branch", "--list", "dfgen/upgrade")) == ([], "")

    for layer in (PARENT_MOVED, b"third"):
        project.publish(layer)
        assert github.run("upgrade").failed == []
        (pull,) = github.state["pulls"]
        assert project.git("rev-parse", "dfgen/upgrade^") == project.git("rev-parse", "main")
        changed = project.git("diff", "--name-only", "main", "dfgen/upgrade").splitlines()
        assert changed == ["bases/app/1/Dockerfile_amd64", "bases/app/1/Dockerfile_arm64", LOCK_FILE]
    assert project.index in project.git("show", f"dfgen/upgrade:{LOCK_FILE}")
    assert (pull["headRefName"], pull["title"]) == ("dfgen/upgrade", "Parents: newer pins")
    assert pull["body"].startswith("**dfgen review**")


def test_newer_pins_are_proposed_if_another_parent_fails(project: Project, github: GitHub) -> None:
    project.add_lost_parent()
    done = github.run("upgrade")
    assert (len(done.failed), github.state["pulls"]) == (1, [])
    assert "/team/os:lost no longer exists; its pins stay" in "".join(done.logs)

    project.publish(PARENT_MOVED)
    done = github.run("upgrade")
    assert [step.splitlines()[-1] for step in done.failed] == ['exit "$failed"']
    assert len(github.state["pulls"]) == 1
    assert project.index in project.git("show", f"dfgen/upgrade:{LOCK_FILE}")


def test_only_the_last_step_of_upgrade_has_the_token() -> None:
    job = workflow()["jobs"]["upgrade"]
    assert "env" not in job
    assert ["github.token" in str(step) for step in job["steps"]] == [False] * 5 + [True]
