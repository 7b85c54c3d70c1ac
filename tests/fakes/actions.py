"""A minimal runner for GitHub Actions, as far as docs/workflows needs one. It really runs the steps' shell.

It imitates the actions that upload and download artifacts; a checkout is a clone of `origin`.
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
class JobResult:
    """The result of a job: its folder, the log of each step, the failed steps and the job's outputs."""

    folder: Path
    logs: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Runner:
    """Runs the jobs of one workflow, each in its own folder below `root`."""

    workflow: Mapping[str, Any]
    origin: Path
    root: Path
    environment: Mapping[str, str]

    @property
    def artifacts(self) -> Path:
        """The folder of the artifacts, one subfolder each."""
        return self.root / "artifacts"

    def run(self, name: str, context: Mapping[str, str]) -> JobResult:
        """Run a job; `context` has the values of expressions, for example of `matrix.select`."""
        job = self.workflow["jobs"][name]
        done = JobResult(folder=self.root / f"{name}-{sum(1 for _ in self.root.glob(f'{name}-*'))}")
        done.folder.mkdir(parents=True)
        values = {**context, "runner.temp": str(self.root)}
        for step in job["steps"]:
            if _is_wanted(step.get("if"), values, done):
                environment = {**self.workflow.get("env", {}), **job.get("env", {}), **step.get("env", {})}
                filled = {key: _expand(text, values) for key, text in environment.items()}
                self._step(step, filled, values, done)
        for key, text in job.get("outputs", {}).items():
            done.outputs[key] = _expand(text, values)
        return done

    def _step(
        self, step: Mapping[str, Any], env: Mapping[str, str], values: dict[str, str], done: JobResult
    ) -> None:
        if "uses" in step:
            inputs = {key: _expand(str(text), values) for key, text in step.get("with", {}).items()}
            self._action(step["uses"], inputs, done)
            return
        output = self.root / "output"
        output.write_text("")
        own = {"RUNNER_TEMP": str(self.root), "GITHUB_OUTPUT": str(output)}
        # GitHub's default if a workflow sets no shell: without pipefail.
        ran = subprocess.run(
            ["bash", "-e", "-c", _expand(step["run"], values)],
            cwd=done.folder,
            env={**os.environ, **self.environment, **env, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        done.logs.append(ran.stdout)
        if ran.returncode:
            done.failed.append(step["run"])
        for line in output.read_text().splitlines():
            key, _, text = line.partition("=")
            values[f"steps.{step['id']}.outputs.{key}"] = text

    def _action(self, action: str, inputs: Mapping[str, str], done: JobResult) -> None:
        kind = action.partition("@")[0]
        if kind == "actions/checkout":
            depth = f"--depth={inputs.get('fetch-depth', '1')}"
            subprocess.run(
                ["git", "clone", "-q", depth, f"file://{self.origin}", str(done.folder)], check=True
            )
        elif kind == "actions/upload-artifact":
            self._upload(done.folder / inputs["path"], self.artifacts / inputs["name"])
        elif kind == "actions/download-artifact":
            for source, target in self._downloads(inputs):
                shutil.copytree(source, done.folder / target, dirs_exist_ok=True)
        else:
            raise AssertionError(f"this runner has no action {action}")

    def _upload(self, path: Path, artifact: Path) -> None:
        assert not artifact.exists(), f"{artifact.name}: artifacts are immutable"
        if path.is_dir():
            shutil.copytree(path, artifact)
        else:
            artifact.mkdir(parents=True)
            shutil.copy(path, artifact)

    def _downloads(self, inputs: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
        """Yield artifacts and their target folders; a single artifact gets no subfolder."""
        path = inputs.get("path", ".")
        patterns = [inputs["name"]] if "name" in inputs else _expand_braces(inputs["pattern"])
        found = [
            one for one in sorted(self.artifacts.iterdir()) if any(fnmatchcase(one.name, p) for p in patterns)
        ]
        flat = len(found) == 1 or inputs.get("merge-multiple") == "True"
        yield from ((one, path if flat else f"{path}/{one.name}") for one in found)


def _expand(text: str, values: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda found: values[found[1]], text)


def _is_wanted(condition: str | None, values: Mapping[str, str], done: JobResult) -> bool:
    if condition == "always()":
        return True
    return not done.failed and (condition is None or bool(values[condition]))


def _expand_braces(pattern: str) -> Sequence[str]:
    """Expand braces with at least two words, like a shell."""
    found = _BRACES.search(pattern)
    if not found:
        return [pattern]
    return [pattern[: found.start()] + word + pattern[found.end() :] for word in found[1].split(",")]
