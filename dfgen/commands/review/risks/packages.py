"""Risks of package locks: packages that become older, or that move on one architecture only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dfgen.catalog.model import Image, by_version
from dfgen.catalog.packagelock import PackageLock
from dfgen.commands.review.impact import Comparison
from dfgen.commands.review.risks import warning
from dfgen.errors import Place, listing
from dfgen.findings import Finding


def packages(of: Comparison) -> Iterator[Finding]:
    """Report the risks of all versions whose packages moved."""
    for version, images in by_version(of.new.images).items():
        found = {image: of.package_locks(image) for image in images}
        locks = {image: both for image, both in found.items() if both}
        yield from _downgrades(version, locks)
        yield from _uneven(version, locks)


Locks = Mapping[Image, tuple[PackageLock, PackageLock]]


def _downgrades(version: str, locks: Locks) -> Iterator[Finding]:
    found: dict[str, list[Image]] = {}
    for image, (before, after) in locks.items():
        for move in after.moves_from(before):
            if move.is_downgrade:
                found.setdefault(str(move), []).append(image)
    for text, images in found.items():
        message = f"{version}: package {text} is a downgrade ({_platforms(images)})"
        yield warning("package-downgrade", message, Place(images[0].package_lock))


def _uneven(version: str, locks: Locks) -> Iterator[Finding]:
    """Report packages that had one version on all architectures, and have several now.

    A mirror often receives the packages of one architecture earlier than those of another.
    """
    old = {image: before.versions for image, (before, _) in locks.items()}
    new = {image: after.versions for image, (_, after) in locks.items()}
    for name in sorted({name for versions in new.values() for name in versions}):
        images = [image for image in locks if name in old[image] and name in new[image]]
        now: dict[str, list[Image]] = {}
        for image in images:
            now.setdefault(new[image][name], []).append(image)
        if len({old[image][name] for image in images}) == 1 and len(now) > 1:
            texts = [f"{number} ({_platforms(where)})" for number, where in now.items()]
            message = f"{version}: package {name} differs between architectures now: {listing(texts)}"
            advice = "build again when the mirror has all of them"
            yield warning("package-uneven", f"{message}; {advice}", Place(images[0].package_lock))


def _platforms(images: Sequence[Image]) -> str:
    return listing([image.platform.row.dockerfile for image in images])
