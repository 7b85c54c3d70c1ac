"""Risks of a version whose architectures differ: undeclared differences, and changes of some of them only."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace

from dfgen.catalog.model import Image
from dfgen.commands import lint
from dfgen.commands.lint.parity import same
from dfgen.commands.lint.records import Sources as LintSources
from dfgen.commands.review.diff import is_pin, neutral
from dfgen.commands.review.records import Group, Kind, State, Step
from dfgen.dockerfile.names import platform_names
from dfgen.errors import InputError, Place
from dfgen.findings import Finding, Level
from dfgen.oci.platform import Platform


def parity(
    images: Sequence[Image], rendered: Mapping[str, str], sources: Callable[[], LintSources]
) -> tuple[Finding, ...]:
    """Return the `arch-parity` findings that lint has for versions, given all their images.

    `rendered` are texts by path, which are not rendered again. `sources` is called only if the texts of a
    version differ in more than platform names: most reviews need no lint.
    """
    texts = {id(image): rendered[path] for image in images if (path := image.path) in rendered}
    chosen = [image for version in _differing(images, texts) for image in version]
    if not chosen:
        return ()
    linting = sources()

    def render(image: Image) -> str:
        return texts.get(id(image)) or linting.render(image)

    return lint.arch_parity(chosen, replace(linting, render=render))


def _differing(images: Sequence[Image], texts: Mapping[int, str]) -> Iterator[list[Image]]:
    """Yield the versions whose texts differ in more than platform names, or are not all rendered."""
    versions: dict[str, list[Image]] = {}
    for image in images:
        versions.setdefault(image.merged_name, []).append(image)
    for first, *others in versions.values():
        here, *rest = [texts.get(id(image)) for image in (first, *others)]
        for other, there in zip(others, rest, strict=True):
            if here is None or there is None or not same(here, there, (first.platform, other.platform)):
                yield [first, *others]
                break


def uneven(after: State, groups: Sequence[Group], known: Sequence[Finding]) -> Iterator[Finding]:
    """Note, once a group, that other architectures of the same versions do not change in the same way.

    That may be intended. FROM, digests and the platform's own names may differ. A version is reported with
    the first of its groups. Left out are versions of which a file has another risk in `known`, and families
    with undeclared differences: their architectures always differ.
    """
    siblings = _siblings(after)
    risky = {place.file for one in known for place in (one.place, one.generated) if place}
    undeclared = {_family(one.generated.file) for one in known if one.rule == "arch-parity" and one.generated}
    reported: set[str] = set()
    same_change: dict[Hashable, set[str]] = {}
    for group in groups:
        same_change.setdefault(_change(group), set()).update(group.files)
    for group in groups:
        if group.kind is not Kind.CHANGED or all(map(_may_differ, group.steps)):
            continue
        if _family(group.files[0]) in undeclared:
            continue
        own = same_change[_change(group)]
        folders = {path.rpartition("/")[0]: path for path in reversed(group.files)}
        odd = {one: path for one, path in folders.items() if not own.issuperset(siblings.get(one, ()))}
        new = sorted(
            path
            for folder, path in odd.items()
            if folder not in reported and path not in risky and risky.isdisjoint(siblings.get(folder, ()))
        )
        reported.update(odd)
        if new:
            line = next((step.after_line for step in group.steps if step.after_line), 0)
            versions = f" (in {len(new)} versions)" if len(new) > 1 else ""
            message = (
                f"the other architectures do not change in the same way{versions}; check whether this is"
                " intended"
            )
            yield Finding(rule="arch-change", level=Level.NOTE, message=message, place=Place(new[0], line))


def _siblings(after: State) -> Mapping[str, list[str]]:
    """Return the Dockerfiles of each version, by its folder."""
    found: dict[str, list[str]] = {}
    for path in sorted(after.dockerfiles):
        found.setdefault(path.rpartition("/")[0], []).append(path)
    return found


def _family(path: str) -> str:
    return "/".join(path.split("/")[:2])


def _may_differ(step: Step) -> bool:
    return step.keyword == "FROM" or is_pin(step)


def _change(group: Group) -> Hashable:
    """Return the change of a group with its platform's names masked; equal for groups that change alike."""
    mask = _mask(group.files[0].rpartition("_")[2])
    return tuple((step.kind, mask(step.before), mask(step.after)) for step in group.steps)


def _mask(suffix: str) -> Callable[[str], str]:
    """Return a function that masks all names of the platform with this Dockerfile suffix."""
    try:
        names = platform_names(Platform.parse(suffix))
    except InputError:
        return neutral
    return lambda text: names.sub("<platform>", neutral(text))
