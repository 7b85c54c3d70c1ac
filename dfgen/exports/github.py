"""Export a plan as the matrix of a GitHub Actions job: each image on a runner of its architecture.

Format: https://docs.github.com/actions/using-jobs/using-a-matrix-for-your-jobs
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dfgen.commands.plan.inputs import Plan, Step
from dfgen.exports.ci import check_pinned, parents_of, plain_names, runners, waves
from dfgen.oci.platform import Platform

_RUNNERS = {Platform.parse("amd64"): "ubuntu-24.04", Platform.parse("arm64"): "ubuntu-24.04-arm"}
# GitHub rejects larger matrices: https://docs.github.com/actions/reference/limits
_MAX_JOBS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Images of one wave and platform that one job builds one after another; usually a single image."""

    wave: int
    steps: Sequence[Step]
    artifact: str

    @property
    def name(self) -> str:
        """The job's name in GitHub: the first image, and the number of others."""
        first, *others = (step.image.name for step in self.steps)
        return f"{first} and {len(others)} more" if others else first


def github(plan: Plan, runner: Iterable[str] = (), wave: int = 0) -> str:
    """Return the images to build as one line of JSON, for `fromJSON`: one wave, from 1, or all for 0.

    A matrix has no order, so a workflow has a job for each wave, which needs the job of the wave before. If
    there are more images than GitHub allows jobs, several images of a platform share a job.
    Raises InputError for images whose parents have no pin yet, and for a malformed runner.
    """
    check_pinned(plan.needed)
    on = runners(_RUNNERS, runner, "ubuntu-24.04")
    names = plain_names(plan)
    numbered = enumerate(waves(plan.needed), start=1)
    jobs = [job for number, steps in numbered for job in _jobs(number, steps, names)]
    parents = _parents(jobs, plan.needed)
    entries = [
        {
            "name": job.name,
            "platform": str(job.steps[0].image.platform),
            "runner": on[job.steps[0].image.platform],
            "select": " ".join(step.image.name for step in job.steps),
            "artifact": job.artifact,
            "parents": parents[job.artifact],
            "wave": job.wave,
        }
        for job in jobs
        if wave in (0, job.wave)
    ]
    return f"{json.dumps({'include': entries}, separators=(',', ':'))}\n"


def _jobs(wave: int, steps: Sequence[Step], names: Mapping[str, str]) -> list[_Job]:
    """Distribute the images of a wave over jobs, with as few images per job as GitHub's limit allows."""
    groups: dict[Platform, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.image.platform, []).append(step)
    each = 1
    while sum(-(-len(group) // each) for group in groups.values()) > _MAX_JOBS:
        each += 1
    shares = (group[at : at + each] for group in groups.values() for at in range(0, len(group), each))
    return [_Job(wave=wave, steps=share, artifact=names[share[0].image.name]) for share in shares]


def _parents(jobs: Sequence[_Job], needed: Sequence[Step]) -> Mapping[str, str]:
    """The artifacts of each job's parents, as a glob: empty, `a`, or `{a,b}`."""
    artifacts = {step.image.name: job.artifact for job in jobs for step in job.steps}
    parents = parents_of(needed)
    found = {}
    for job in jobs:
        above = (parent for step in job.steps for parent in parents[step.image.name])
        named = list(dict.fromkeys(artifacts[parent.image.name] for parent in above))
        found[job.artifact] = f"{{{','.join(named)}}}" if len(named) > 1 else "".join(named)
    return found
