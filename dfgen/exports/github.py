"""A plan as the matrix of a GitHub Actions job: one entry an image, on a runner of its architecture."""

from __future__ import annotations

import json
from collections.abc import Iterable

from dfgen.exports.ci import runners
from dfgen.exports.steps import check_pinned, plain_names, waves
from dfgen.images.plan import Plan
from dfgen.values.platform import Platform

_RUNNERS = {Platform.parse("amd64"): "ubuntu-24.04", Platform.parse("arm64"): "ubuntu-24.04-arm"}


def github(plan: Plan, runner: Iterable[str] = (), wave: int = 0) -> str:
    """Write what has to be built in one line, for `fromJSON`: of one wave, from 1 on, or of all.

    A matrix knows no order: a workflow has a job for each wave, which needs that of the wave before.
    Errors: InputError for an image whose parents have no pin yet, or for a runner that is none.
    """
    check_pinned(plan.needed)
    on = runners(_RUNNERS, runner, "ubuntu-24.04")
    names = plain_names(plan)
    entries = [
        {
            "image": step.image.family.name,
            "version": step.image.version,
            "platform": str(step.image.platform),
            "runner": on[step.image.platform],
            "select": step.image.name,
            "artifact": names[step.image.name],
            "wave": number,
        }
        for number, steps in enumerate(waves(plan.needed), start=1)
        for step in steps
        if wave in (0, number)
    ]
    return f"{json.dumps({'include': entries}, separators=(',', ':'))}\n"
