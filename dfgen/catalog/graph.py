"""The graph of a catalog's images: unique tags, existing parents, no cycles, the build order, and bases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dfgen.catalog.model import Catalog, Image, Parent, by_version
from dfgen.dockerfile.parser import parse
from dfgen.dockerfile.stages import stages
from dfgen.errors import InputError, Problem, listing, nearest

Versions = Mapping[str, Sequence[Image]]

_FROM_SCRATCH = re.compile(r"^[ \t]*FROM[ \t]+scratch\b", re.IGNORECASE | re.MULTILINE)


def check_tags(images: Sequence[Image]) -> None:
    """Raises InputError, with all duplicates, if two images have the same tag."""
    problems = [*_same_tags(images)]
    if problems:
        raise InputError(problems)


def check_parents(images: Sequence[Image]) -> None:
    """Raises InputError, with all problems, if a parent is not in the catalog or parents form a cycle."""
    versions = by_version(images)
    problems = [*_missing_parents(images, versions)] or [*_cycles(versions)]
    if problems:
        raise InputError(sorted(set(problems)))


def in_order(images: Iterable[Image]) -> list[Image]:
    """Sort images topologically: parents first, otherwise in the given order.

    Parents that are not among `images` are ignored.
    """
    images = list(images)
    versions = by_version(images)
    done: dict[int, None] = {}
    ordered: list[Image] = []
    for image in images:
        _visit(image, versions, done, ordered)
    return ordered


def _visit(image: Image, versions: Versions, done: dict[int, None], ordered: list[Image]) -> None:
    # Iterative, because a chain of families can exceed Python's recursion limit.
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
    """Find the image that a parent refers to; None if it is upstream or does not exist for its platform."""
    candidates = versions.get(parent.key, ()) if parent.family else ()
    return next((image for image in candidates if image.platform == parent.platform), None)


def base_of(image: Image, dockerfile: str, catalog: Catalog) -> Parent | None:
    """Return the parent of the stage that becomes the image, through all stages that it is built on.

    None for `FROM scratch`. The image's own parent if the Dockerfile cannot be parsed, or was edited.
    https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    # Most Dockerfiles have one parent: they need not be parsed.
    if not image.parents and not _FROM_SCRATCH.search(dockerfile):
        return image.parent
    try:
        last = [*stages(parse(dockerfile, image.path)).in_image][-1:]
    except InputError:
        return image.parent
    for stage in last:
        name = stage.reference.partition("@")[0]
        for parent in image.all_parents:
            shown = parent.reference if parent.family else catalog.mirrored(parent.reference)
            if name == str(shown.without_digest()) and stage.platform == str(parent.platform):
                return parent
        if name == "scratch":
            return None
    return image.parent


def with_descendants(images: Iterable[Image], catalog: Iterable[Image]) -> list[Image]:
    """Add all images of a catalog that are built on one of the images, in build order."""
    names = {image.name for image in images}
    versions: set[str] = set()
    ordered = in_order(catalog)
    for image in ordered:
        if image.name in names or any(parent.key in versions for parent in image.all_parents):
            names.add(image.name)
            versions.add(image.merged_name)
    return [image for image in ordered if image.name in names]


def _same_tags(images: Sequence[Image]) -> Iterator[Problem]:
    merged = {image.merged_name for image in images}
    taken: dict[str, Image] = {}
    for image in images:
        tag = image.layout_name
        if tag in merged:
            yield Problem(image.place, f"duplicate tag {tag}: used by image {image.name} and version {tag}")
        if tag in taken:
            yield Problem(image.place, f"duplicate tag {tag}: platform {image.platform} is listed twice")
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
                f"family {parent.family!r} has no version {parent.version!r}{nearest(parent.version, known)},"
                f" only {has}; for an upstream image, add its registry:"
                f" docker.io/library/{parent.family}:{parent.version}",
            )


def _cycles(versions: Versions) -> Iterator[Problem]:
    """Find cycles between versions with a depth-first search; reports each cycle once."""
    state: dict[str, int] = {}  # 1: on the current path, 2: done
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
    """Shorten `a:1 → b:1 → a:1` to `a → b → a` if that is unambiguous."""
    families = [name.partition(":")[0] for name in loop]
    return families if len(set(families)) == len(set(loop)) else loop
