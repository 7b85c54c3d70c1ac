"""A plan as a child pipeline of GitLab: a job for each image, and the merge that joins them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dfgen.commands.plan.inputs import Plan, Step
from dfgen.errors import InputError, Problem
from dfgen.exports.ci import check_pinned, parents_of, plain_names, runners
from dfgen.oci.platform import Platform

_RUNNERS = {
    Platform.parse("amd64"): "saas-linux-small-amd64",
    Platform.parse("arm64"): "saas-linux-small-arm64",
}
# What GitLab allows where nobody has changed its limits.
_MOST_NEEDS = 50
_HEAD = "# Written by `dfgen plan --format gitlab`: a job for each image, and the merge that joins them.\n"


def gitlab(plan: Plan, runner: Iterable[str] = ()) -> str:
    """Write what has to be built; how a job gets dfgen and an engine is said by a file included beside.

    Errors: InputError for an image whose parents have no pin yet, for a runner that is none, or
    for one that waits for more jobs than GitLab takes.
    """
    check_pinned(plan.needed)
    on = runners(_RUNNERS, runner, _RUNNERS[Platform.parse("amd64")])
    names = plain_names(plan)
    parents = parents_of(plan.needed)
    _check_needs(plan.needed, parents)
    jobs: dict[str, Any] = {"stages": ["build", "merge"]}
    for step in plan.needed:
        above = [one.image.name for one in parents[step.image.name]]
        jobs[step.image.name] = _job(step, above, names, on[step.image.platform])
    jobs["merge"] = _merge([f"layouts/{names[step.image.name]}" for step in plan.needed])
    return _HEAD + "".join(f"{line}\n" for line in _yaml(jobs, 0))


def _check_needs(steps: Sequence[Step], parents: Mapping[str, Sequence[Step]]) -> None:
    problems = [
        Problem(
            step.image.place,
            f"{step.image.name} has to wait for {number} jobs, and GitLab takes {_MOST_NEEDS}; build the"
            " parents in a pipeline before, or give fewer platforms",
        )
        for step in steps
        if (number := len(parents[step.image.name])) > _MOST_NEEDS
    ]
    if problems:
        raise InputError(problems)


def _job(step: Step, parents: Sequence[str], names: Mapping[str, str], label: str) -> dict[str, Any]:
    layout = f"layouts/{names[step.image.name]}"
    joined = " ".join(f"layouts/{names[name]}" for name in parents)
    return {
        "stage": "build",
        "tags": [label],
        "needs": parents,
        "script": [
            *([f"dfgen join {joined}"] if parents else []),
            f"dfgen build --locked --cache-from-registry {shlex.quote(step.image.name)}",
            f"mkdir -p layouts && mv dist {layout}",
        ],
        "artifacts": {"paths": [layout], "expire_in": "3 days"},
    }


def _merge(layouts: list[str]) -> dict[str, Any]:
    """The joining job: as it names no needs it has the artifacts of all jobs before, however many."""
    script = [f"dfgen join {' '.join(layouts)}"] if layouts else ["echo nothing to build"]
    return {"stage": "merge", "script": script, "artifacts": {"paths": ["dist"]}}


def _yaml(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Write mappings as blocks; names and texts are JSON's, all of which YAML reads."""
    for name, one in value.items():
        key = f"{'  ' * depth}{json.dumps(name)}:"
        if isinstance(one, dict):
            yield key
            yield from _yaml(one, depth + 1)
        elif isinstance(one, list) and len(one) > 1:
            yield key
            yield from (f"{'  ' * depth}  - {json.dumps(text)}" for text in one)
        else:
            yield f"{key} {json.dumps(one)}"
