"""What exports for CI systems share: which machine runs the build of which platform."""

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
    """Refuse images whose parents have no pin yet: what they are built from is not known.

    Errors: InputError with all of them.
    """
    problems = [_unpinned(step) for step in steps if step.inputs is None]
    if problems:
        raise InputError(problems)


def _unpinned(step: Step) -> Problem:
    keys = " ".join(dict.fromkeys(parent.key for parent in step.image.all_parents if parent.family))
    message = f"{step.image.name} cannot be exported: there is no pin yet of {step.detail}"
    return Problem(step.image.place, f"{message}; run `dfgen build {keys}`, which writes it into the lock")


def versions_of(plan: Plan) -> Mapping[str, Sequence[Image]]:
    """The images of each version in the plan, by `java-base:1.0`."""
    found: dict[str, list[Image]] = {}
    for step in plan.steps:
        found.setdefault(step.image.merged_name, []).append(step.image)
    return found


def parents_of(steps: Sequence[Step]) -> Mapping[str, tuple[Step, ...]]:
    """The steps that each image waits for: all platforms of its parents, as a version is pinned whole."""
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
    """Sort steps into waves: those of one need only what is in the waves before it."""
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


def plain_names(plan: Plan) -> Mapping[str, str]:
    """Name each image, by `java-base:1.0@arm64`, with letters, digits, `-` and `_` alone; none twice."""
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
    """Say which runner each platform has: what `arm64=LABEL` words say, else the default of its own.

    The platforms that nothing is said of have the `fallback`, and are emulated there.
    Errors: InputError for a word that is none.
    """
    found = defaultdict(lambda: fallback, defaults)
    for word in words:
        alias, equals, label = word.partition("=")
        if not equals or not label:
            expected = "expected PLATFORM=LABEL, such as arm64=my-arm"
            raise InputError(f"--runner {word}: does not say which runner; {expected}")
        found[Platform.parse(alias)] = label
    return found
