"""A plan as the matrix of a GitHub Actions job: one entry an image, on a runner of its architecture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dfgen.commands.plan.inputs import Plan, Step
from dfgen.exports.ci import check_pinned, parents_of, plain_names, runners, waves
from dfgen.oci.platform import Platform

_RUNNERS = {Platform.parse("amd64"): "ubuntu-24.04", Platform.parse("arm64"): "ubuntu-24.04-arm"}
# GitHub refuses a matrix of more jobs.
_MOST_JOBS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Images of one wave and platform that one job builds, one after another; mostly a single one."""

    wave: int
    steps: Sequence[Step]
    artifact: str

    @property
    def name(self) -> str:
        """What GitHub shows: the first image, and how many others share the job."""
        first, *others = (step.image.name for step in self.steps)
        return f"{first} and {len(others)} more" if others else first


def github(plan: Plan, runner: Iterable[str] = (), wave: int = 0) -> str:
    """Write what has to be built in one line, for `fromJSON`: of one wave, from 1 on, or of all.

    A matrix knows no order: a workflow has a job for each wave, which needs that of the wave before. Where
    there are more images than GitHub makes jobs of, several images of a platform share a job.
    Errors: InputError for an image whose parents have no pin yet, or for a runner that is none.
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
    """Share the images of a wave out, as few to a job as GitHub lets them be."""
    groups: dict[Platform, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.image.platform, []).append(step)
    each = 1
    while sum(-(-len(group) // each) for group in groups.values()) > _MOST_JOBS:
        each += 1
    shares = (group[at : at + each] for group in groups.values() for at in range(0, len(group), each))
    return [_Job(wave=wave, steps=share, artifact=names[share[0].image.name]) for share in shares]


def _parents(jobs: Sequence[_Job], needed: Sequence[Step]) -> Mapping[str, str]:
    """For each artifact those of its parents, as a pattern: nothing, `a`, or `{a,b}`."""
    artifacts = {step.image.name: job.artifact for job in jobs for step in job.steps}
    parents = parents_of(needed)
    found = {}
    for job in jobs:
        above = (parent for step in job.steps for parent in parents[step.image.name])
        named = list(dict.fromkeys(artifacts[parent.image.name] for parent in above))
        found[job.artifact] = f"{{{','.join(named)}}}" if len(named) > 1 else "".join(named)
    return found
