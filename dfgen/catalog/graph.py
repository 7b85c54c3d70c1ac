"""What images of a catalog are to one another: unique tags, parents that exist, and no cycle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dfgen.catalog.model import Image, Parent
from dfgen.errors import InputError, Problem, listing, nearest

Versions = Mapping[str, Sequence[Image]]


def check_tags(images: Sequence[Image]) -> None:
    """Refuse images that would have the same tag. Errors: InputError with all of them."""
    problems = [*_same_tags(images)]
    if problems:
        raise InputError(problems)


def check_parents(images: Sequence[Image]) -> None:
    """Refuse parents of the catalog that are not there, and cycles. Errors: InputError with all of them."""
    versions: dict[str, list[Image]] = {}
    for image in images:
        versions.setdefault(image.merged_name, []).append(image)
    problems = [*_missing_parents(images, versions)] or [*_cycles(versions)]
    if problems:
        raise InputError(sorted(set(problems)))


def in_order(images: Iterable[Image]) -> list[Image]:
    """Sort images so that each follows those of the same set that it is built on; else the order stays."""
    images = list(images)
    by_version: dict[str, list[Image]] = {}
    for image in images:
        by_version.setdefault(image.merged_name, []).append(image)
    done: dict[int, None] = {}
    ordered: list[Image] = []
    for image in images:
        _visit(image, by_version, done, ordered)
    return ordered


def _visit(image: Image, versions: Versions, done: dict[int, None], ordered: list[Image]) -> None:
    # Iterative, since a chain of families may be longer than Python's stack.
    stack = [(image, False)]
    while stack:
        current, expanded = stack.pop()
        if expanded:
            ordered.append(current)
        elif id(current) not in done:
            done[id(current)] = None
            stack.append((current, True))
            needed = [found for parent in current.all_parents if (found := find(parent, versions))]
            stack.extend((found, False) for found in reversed(needed))


def find(parent: Parent, versions: Versions) -> Image | None:
    """Find the image of the catalog that a parent is, for its platform."""
    candidates = versions.get(parent.key, ()) if parent.family else ()
    return next((image for image in candidates if image.platform == parent.platform), None)


def _same_tags(images: Sequence[Image]) -> Iterator[Problem]:
    merged = {image.merged_name for image in images}
    taken: dict[str, Image] = {}
    for image in images:
        tag = f"{image.family.name}:{image.tag}"
        if tag in merged:
            yield Problem(
                image.place, f"two images have the tag {tag}: that of {image.name}, and the version {tag}"
            )
        if tag in taken:
            yield Problem(
                image.place, f"two images have the tag {tag}: platform {image.platform} stands twice"
            )
        taken[tag] = image


def _missing_parents(images: Sequence[Image], versions: Versions) -> Iterator[Problem]:
    for image in images:
        for parent in image.all_parents:
            if not parent.family or find(parent, versions):
                continue
            if parent.key in versions:
                has = listing(str(one.platform) for one in versions[parent.key])
                yield Problem(
                    parent.place, f"parent {parent.key} is not built for {parent.platform}, only for {has}"
                )
                continue
            known = [
                one.version
                for group in versions.values()
                for one in group
                if one.family.name == parent.family
            ]
            has = listing(dict.fromkeys(known))
            yield Problem(
                parent.place,
                f"family {parent.family!r} has no version {parent.version!r}{nearest(parent.version, known)};"
                f" it has {has}; an upstream image is written with its registry,"
                f" docker.io/library/{parent.family}:{parent.version}",
            )


def _cycles(versions: Versions) -> Iterator[Problem]:
    """Follow parents from version to version; each cycle is told once, from its first version on."""
    state: dict[str, int] = {}  # 1: on the path, 2: done
    for start in versions:
        path = [start]
        edges = [_edges(versions[start])]
        if start in state:
            continue
        state[start] = 1
        while path:
            parent = next(edges[-1], None)
            if parent is None:
                state[path.pop()] = 2
                edges.pop()
            elif state.get(parent.key) == 1:
                loop = [*path[path.index(parent.key) :], parent.key]
                yield Problem(parent.place, f"parents form a cycle: {' → '.join(_shortest(loop))}")
            elif parent.key not in state:
                state[parent.key] = 1
                path.append(parent.key)
                edges.append(_edges(versions[parent.key]))


def _edges(images: Sequence[Image]) -> Iterator[Parent]:
    parents = (parent for image in images for parent in image.all_parents if parent.family)
    return iter({parent.key: parent for parent in parents}.values())


def _shortest(loop: list[str]) -> list[str]:
    """Name the families alone where that says it all."""
    families = [name.partition(":")[0] for name in loop]
    return families if len(set(families)) == len(set(loop)) else loop
