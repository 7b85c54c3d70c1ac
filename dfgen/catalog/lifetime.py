"""Versions that reach their end of life, or that outlive a parent in the catalog.

`end_of_life` is the last day of support. Dates are texts YYYY-MM-DD, which compare as dates do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from dfgen.catalog import layers
from dfgen.catalog.graph import find
from dfgen.catalog.model import Image, by_version
from dfgen.errors import Place

WARNED_DAYS = 90  # a quarter: enough to move the users of a version before it ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A problem with the lifetime of a version; `is_over` if the day has passed."""

    image: Image
    message: str
    place: Place
    is_over: bool


def is_over(image: Image, today: str) -> bool:
    """Whether the last day of support has passed."""
    return bool(image.end_of_life) and image.end_of_life < today


def summary(images: Iterable[Image], today: str) -> str:
    """Name the versions whose end of life has passed in one line; "" if there are none."""
    over = {image.merged_name: image.end_of_life for image in images if is_over(image, today)}
    return f"past end of life: {', '.join(f'{name} ({day})' for name, day in over.items())}" if over else ""


def endings(images: Sequence[Image], everything: Sequence[Image], today: str) -> Iterator[Ending]:
    """Check the lifetimes of versions; `everything` are all images of the catalog.

    A version is reported from `WARNED_DAYS` before its end of life, and always if it outlives a parent.
    """
    versions = by_version(everything)
    for image in {image.merged_name: image for image in reversed(images)}.values():
        yield from _own(image, today)
        for platform in versions[image.merged_name]:
            parents = (find(parent, versions) for parent in platform.all_parents)
            ends = {one.merged_name: one for one in parents if one and _outlives(image, one)}
            if ends:
                yield _after_parent(image, min(ends.values(), key=lambda one: one.end_of_life), today)
                break


def _own(image: Image, today: str) -> Iterator[Ending]:
    end = image.end_of_life
    if is_over(image, today):
        message = (
            f"{image.merged_name} reached its end of life on {end}; remove the version, or ignore this rule"
            " for it with a reason"
        )
        yield Ending(image=image, message=message, place=_place(image), is_over=True)
    elif end and (left := (date.fromisoformat(end) - date.fromisoformat(today)).days) <= WARNED_DAYS:
        when = f"in {left} days, on {end}" if left > 1 else f"tomorrow, {end}" if left else f"today, {end}"
        message = f"{image.merged_name} reaches its end of life {when}; move its users to another version"
        yield Ending(image=image, message=message, place=_place(image), is_over=False)


def _outlives(image: Image, parent: Image) -> bool:
    return bool(parent.end_of_life) and not "" < image.end_of_life <= parent.end_of_life


def _after_parent(image: Image, parent: Image, today: str) -> Ending:
    own = f"ends on {image.end_of_life}" if image.end_of_life else "has no end_of_life"
    ends = "ended" if is_over(parent, today) else "ends"
    message = (
        f"{image.merged_name} {own}, but its parent {parent.merged_name} {ends} on {parent.end_of_life};"
        f' use another parent, or write end_of_life: "{parent.end_of_life}"'
    )
    return Ending(image=image, message=message, place=_place(image), is_over=is_over(parent, today))


def _place(image: Image) -> Place:
    """Return the place of the date, or without one that of the parent."""
    found = layers.last(image.layers, "end_of_life")
    if found:
        return found[1].place("end_of_life")
    return image.parent.place if image.parent else image.place
