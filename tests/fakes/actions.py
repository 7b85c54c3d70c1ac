"""A runner of GitHub Actions, as far as docs/workflows needs one: the shell of the steps is really run.

It has the actions that keep and bring artifacts, with their ways; a checkout is a clone of `origin`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

_EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


@dataclass(slots=True, kw_only=True)
class Ran:
    """What became of a job: the output of its steps, whether all held, and where it worked."""

    folder: Path
    printed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Runner:
    """Runs the jobs of one workflow, each in a folder of its own below `root`."""

    workflow: Mapping[str, Any]
    origin: Path
    root: Path
    environment: Mapping[str, str]

    @property
    def artifacts(self) -> Path:
        """Where artifacts are kept, a folder each."""
        return self.root / "artifacts"

    def run(self, name: str, context: Mapping[str, str]) -> Ran:
        """Run a job; `context` has what expressions name, such as `matrix.select`."""
        job = self.workflow["jobs"][name]
        done = Ran(folder=self.root / f"{name}-{sum(1 for _ in self.root.glob(f'{name}-*'))}")
        done.folder.mkdir(parents=True)
        known = {**context, "runner.temp": str(self.root)}
        for step in job["steps"]:
            if _is_wanted(step.get("if"), known, done):
                environment = {**self.workflow.get("env", {}), **job.get("env", {}), **step.get("env", {})}
                filled = {key: _filled(text, known) for key, text in environment.items()}
                self._step(step, filled, known, done)
        for key, text in job.get("outputs", {}).items():
            done.outputs[key] = _filled(text, known)
        return done

    def _step(
        self, step: Mapping[str, Any], env: Mapping[str, str], known: dict[str, str], done: Ran
    ) -> None:
        if "uses" in step:
            given = {key: _filled(str(text), known) for key, text in step.get("with", {}).items()}
            self._action(step["uses"], given, done)
            return
        output = self.root / "output"
        output.write_text("")
        own = {"RUNNER_TEMP": str(self.root), "GITHUB_OUTPUT": str(output)}
        # What GitHub runs a step by, where the workflow names no shell: without pipefail.
        ran = subprocess.run(
            ["bash", "-e", "-c", _filled(step["run"], known)],
            cwd=done.folder,
            env={**os.environ, **self.environment, **env, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        done.printed.append(ran.stdout)
        if ran.returncode:
            done.failed.append(step["run"])
        for line in output.read_text().splitlines():
            key, _, text = line.partition("=")
            known[f"steps.{step['id']}.outputs.{key}"] = text

    def _action(self, action: str, given: Mapping[str, str], done: Ran) -> None:
        kind = action.partition("@")[0]
        if kind == "actions/checkout":
            depth = f"--depth={given.get('fetch-depth', '1')}"
            subprocess.run(
                ["git", "clone", "-q", depth, f"file://{self.origin}", str(done.folder)], check=True
            )
        elif kind == "actions/upload-artifact":
            self._keep(done.folder / given["path"], self.artifacts / given["name"])
        elif kind == "actions/download-artifact":
            for source, target in self._brought(given):
                shutil.copytree(source, done.folder / target, dirs_exist_ok=True)
        else:
            raise AssertionError(f"this runner has no action {action}")

    def _keep(self, path: Path, artifact: Path) -> None:
        assert not artifact.exists(), f"{artifact.name}: artifacts are never changed"
        if path.is_dir():
            shutil.copytree(path, artifact)
        else:
            artifact.mkdir(parents=True)
            shutil.copy(path, artifact)

    def _brought(self, given: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
        """Find artifacts and where they go: one that stands alone has no folder of its own."""
        path = given.get("path", ".")
        patterns = [given["name"]] if "name" in given else _expanded(given["pattern"])
        found = [
            one for one in sorted(self.artifacts.iterdir()) if any(fnmatchcase(one.name, p) for p in patterns)
        ]
        flat = len(found) == 1 or given.get("merge-multiple") == "True"
        yield from ((one, path if flat else f"{path}/{one.name}") for one in found)


def _filled(text: str, known: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda found: known[found[1]], text)


def _is_wanted(condition: str | None, known: Mapping[str, str], done: Ran) -> bool:
    if condition == "always()":
        return True
    return not done.failed and (condition is None or bool(known[condition]))


def _expanded(pattern: str) -> Sequence[str]:
    """Write out braces, which hold two words at least, as a shell does."""
    found = _BRACES.search(pattern)
    if not found:
        return [pattern]
    return [pattern[: found.start()] + word + pattern[found.end() :] for word in found[1].split(",")]
