"""Waves, parents, names and runners of a plan, for all export formats."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from dfgen.catalog.model import Image
from dfgen.commands.plan.inputs import Plan, Step
from dfgen.errors import InputError, Problem
from dfgen.oci.platform import Platform

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9-]")


def check_pinned(steps: Sequence[Step]) -> None:
    """Raise InputError with all images whose parents have no pin yet, since their inputs are not known."""
    problems = [_unpinned(step) for step in steps if step.inputs is None]
    if problems:
        raise InputError(problems)


def _unpinned(step: Step) -> Problem:
    keys = " ".join(dict.fromkeys(parent.key for parent in step.image.all_parents if parent.family))
    message = f"{step.image.name} cannot be exported, because {step.detail} has no pin yet"
    return Problem(step.image.place, f"{message}; run `dfgen build {keys}` to pin it")


def versions_of(plan: Plan) -> Mapping[str, Sequence[Image]]:
    """The images of each version in the plan, by `java-base:1.0`."""
    found: dict[str, list[Image]] = {}
    for step in plan.steps:
        found.setdefault(step.image.merged_name, []).append(step.image)
    return found


def parents_of(steps: Sequence[Step]) -> Mapping[str, tuple[Step, ...]]:
    """The steps that each image needs: its parents with all platforms, since the lock pins them all."""
    versions: dict[str, list[Step]] = {}
    for step in steps:
        versions.setdefault(step.image.merged_name, []).append(step)
    return {
        step.image.name: tuple(
            one
            for key in dict.fromkeys(parent.key for parent in step.image.all_parents if parent.family)
            for one in versions.get(key, ())
        )
        for step in steps
    }


def waves(steps: Sequence[Step]) -> tuple[tuple[Step, ...], ...]:
    """Group steps into waves: the images of a wave only need images of earlier waves."""
    above = parents_of(steps)
    left: dict[str, set[str]] = {}
    for step in steps:
        parents = {one.image.merged_name for one in above[step.image.name]}
        left.setdefault(step.image.merged_name, set()).update(parents)
    found: list[tuple[Step, ...]] = []
    while left:
        ready = {name for name, parents in left.items() if not parents & left.keys()}
        found.append(tuple(step for step in steps if step.image.merged_name in ready))
        left = {name: parents for name, parents in left.items() if name not in ready}
    return tuple(found)


def wave_numbers(steps: Sequence[Step]) -> Mapping[str, int]:
    """The wave of each image by name, from 1."""
    numbered = enumerate(waves(steps), start=1)
    return {step.image.name: number for number, wave in numbered for step in wave}


def plain_names(plan: Plan) -> Mapping[str, str]:
    """Map image names, `java-base:1.0@arm64`, to unique names of letters, digits, `-` and `_`."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for step in plan.steps:
        image = step.image
        stem = f"{image.family.name}-{image.version}-{image.platform.row.dockerfile}"
        name = plain = _NOT_IN_A_NAME.sub("_", stem)
        count = 1
        while name in taken:
            count += 1
            name = f"{plain}-{count}"
        taken.add(name)
        found[image.name] = name
    return found


def runners(defaults: Mapping[Platform, str], words: Iterable[str], fallback: str) -> Mapping[Platform, str]:
    """The runner of each platform: from `arm64=LABEL` words, else from `defaults`.

    Other platforms use the `fallback`, where they are emulated. Raises InputError for a malformed word.
    """
    found = defaultdict(lambda: fallback, defaults)
    for word in words:
        alias, equals, label = word.partition("=")
        if not equals or not label:
            raise InputError(
                f"--runner {word}: runner label is missing; use PLATFORM=LABEL, for example arm64=my-arm"
            )
        found[Platform.parse(alias)] = label
    return found
