"""A version that changes for one architecture and not in the same way for another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from dfgen.dockerfile.names import platform_names
from dfgen.errors import InputError, Place
from dfgen.findings import Finding, Level
from dfgen.oci.platform import Platform
from dfgen.reviewing.instructions import is_pin, neutral
from dfgen.reviewing.records import Group, Kind, State, Step


def _siblings(after: State) -> Mapping[str, list[str]]:
    """The Dockerfiles of each version, by its folder."""
    found: dict[str, list[str]] = {}
    for path in sorted(after.dockerfiles):
        found.setdefault(path.rpartition("/")[0], []).append(path)
    return found


def _family(path: str) -> str:
    return "/".join(path.split("/")[:2])


def _may_differ(step: Step) -> bool:
    return step.keyword == "FROM" or is_pin(step)


def _likeness(group: Group) -> Hashable:
    """What a group's files have in common, whatever each says of its own platform."""
    names = _names(group.files[0].rpartition("_")[2])
    return tuple((step.kind, names(step.before), names(step.after)) for step in group.steps)


def _names(suffix: str) -> Callable[[str], str]:
    """Write one word for all that the platform of a Dockerfile's name is called."""
    try:
        names = platform_names(Platform.parse(suffix))
    except InputError:
        return neutral
    return lambda text: names.sub("<platform>", neutral(text))


def uneven(after: State, groups: Sequence[Group], known: Sequence[Finding]) -> Iterator[Finding]:
    """Tell, once a group, of files whose version has another file that is not of the group.

    That may be meant, so it is a note; a version stands with the first of the groups that have it. FROM,
    digests and the platform's own names may differ. Of versions with a file that is `known` to have something
    else, or of a family whose architectures differ without a word in the catalog, enough is told already.
    """
    siblings = _siblings(after)
    worse = {place.file for one in known for place in (one.place, one.generated) if place}
    unlike = {_family(one.generated.file) for one in known if one.rule == "arch-parity" and one.generated}
    told: set[str] = set()
    alike: dict[Hashable, set[str]] = {}
    for group in groups:
        alike.setdefault(_likeness(group), set()).update(group.files)
    for group in groups:
        if group.kind is not Kind.CHANGED or all(map(_may_differ, group.steps)):
            continue
        if _family(group.files[0]) in unlike:
            continue
        own = alike[_likeness(group)]
        folders = {path.rpartition("/")[0]: path for path in reversed(group.files)}
        odd = {one: path for one, path in folders.items() if not own.issuperset(siblings.get(one, ()))}
        new = sorted(
            path
            for folder, path in odd.items()
            if folder not in told and path not in worse and worse.isdisjoint(siblings.get(folder, ()))
        )
        told.update(odd)
        if new:
            line = next((step.after_line for step in group.steps if step.after_line), 0)
            versions = f" (in {len(new)} versions)" if len(new) > 1 else ""
            message = (
                f"the other architectures do not change in the same way{versions}; see whether that is meant"
            )
            yield Finding(rule="arch-change", level=Level.NOTE, message=message, place=Place(new[0], line))
