"""What a reviewer is told beside changes and risks: settings that no Dockerfile shows, and what waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dfgen.catalog.model import BASES, CATALOG_FILE, Catalog, Family, Image
from dfgen.errors import listing
from dfgen.reviewing.records import State

_SHOWN = 5  # names in a note
_OTHERS = ("builders", "build_cache", "insecure_registries", "lists_packages")
_WRITTEN = {"lists_packages": "sbom"}


def _some(names: Sequence[str]) -> str:
    left = len(names) - _SHOWN
    return f"{', '.join(names[:_SHOWN])} and {left} more" if left > 0 else listing(names)


def waiting(images: Sequence[Image], after: State) -> Iterator[str]:
    """Say which images have no Dockerfile, or the old one, for a parent is to be built first."""
    parents = {one.key: None for image in images for one in image.all_parents if after.lock.pin(one) is None}
    if parents:
        names = _some([one.name for one in images])
        yield (
            f"not rendered yet, so not reviewed: {names}; {listing(parents)} is to be built first; run"
            " `dfgen build`, and commit what it renders"
        )


def settings(old: Catalog, new: Catalog) -> Iterator[str]:
    """Say which settings changed that stand in no Dockerfile: where images go, how they are tested."""
    if old.registry != new.registry:
        yield f"images are published to {new.registry}, and were to {old.registry}"
    for name in _OTHERS:
        if getattr(old, name) != getattr(new, name):
            yield f"{CATALOG_FILE}: {_WRITTEN.get(name, name)} changed"
    yield from _renamed(old, new)
    for name, family in new.families.items():
        if name in old.families:
            yield from _of_family(old.families[name], family)
    yield from _of_images(old, new)


def _renamed(old: Catalog, new: Catalog) -> Iterator[str]:
    """Name families that came and are what another was: that the old names go is easily overlooked."""
    gone = {name: _likeness(old, name) for name in old.families if name not in new.families}
    for name in new.families:
        if name not in old.families:
            was = next((one for one, like in gone.items() if like and like == _likeness(new, name)), None)
            if was:
                yield (
                    f"{BASES}/{name} is {BASES}/{was} renamed: its images get new names, and those of the old"
                    " name are built no more"
                )


def _likeness(of: Catalog, family: str) -> list[tuple[object, ...]]:
    """What a family's images are made from, whatever it is called."""
    return [
        (one.version, one.platform, one.template, [parent.key for parent in one.all_parents], one.packages)
        for one in of.images
        if one.family.name == family
    ]


def _of_family(old: Family, new: Family) -> Iterator[str]:
    for rule, reason in new.lint.items():
        if rule not in old.lint:
            yield f"{new.base_file}: the rule {rule} is switched off: {reason}"
    if old.architecture_independent != new.architecture_independent:
        yield f"{new.base_file}: architecture_independent is {str(new.architecture_independent).lower()} now"


def _of_images(old: Catalog, new: Catalog) -> Iterator[str]:
    """Tell the same of many versions once."""
    earlier = {image.name: image for image in old.images}
    found: dict[str, dict[str, None]] = {}
    for image in new.images:
        was = earlier.get(image.name)
        for what in _of_image(was, image) if was else ():
            found.setdefault(what, {})[image.merged_name] = None
    for what, names in found.items():
        yield f"{what}: {_some([*names])}"


def _of_image(old: Image, new: Image) -> Iterator[str]:
    if old.tests != new.tests:
        yield "other smoke tests"
    if old.immutable != new.immutable:
        yield "immutable from now on" if new.immutable else "no longer immutable"
    if old.end_of_life != new.end_of_life:
        yield f"end_of_life {old.end_of_life or 'none'} → {new.end_of_life or 'none'}"
