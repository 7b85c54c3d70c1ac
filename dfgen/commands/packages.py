"""Check the packages that a build added to an image against the image's package lock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dfgen.catalog import lockfile, packagelock
from dfgen.catalog.model import Image
from dfgen.catalog.packagelock import LockedPackage, PackageLock
from dfgen.commands.programs import added_layers, stages_in
from dfgen.errors import CheckError, first_few, listing
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Manifest
from dfgen.sbom.generate import read
from dfgen.sbom.model import Contents
from dfgen.sbom.rootfs import package_files


def added_packages(image: Image, built: Descriptor, layout: Layout, root: Path) -> PackageLock:
    """Return the packages of an image in the layout that its base image does not have in the same version.

    `root` is the catalog's folder, with the Dockerfile that the image was built from. Nothing of the image is
    run. Raises CheckError if the image has no package database, or one that cannot be read.
    """
    manifest = layout.manifest(built)
    if not isinstance(manifest, Manifest):
        raise CheckError(f"{image.name}: {built.digest} is an index, expected an image")
    own = added_layers(image, manifest, stages_in(image, root), layout, lockfile.read(root).triggers)
    below = manifest.layers[: len(manifest.layers) - len(own)]
    try:
        contents, base = _contents(manifest.layers, layout), _contents(below, layout)
        if contents.unread:
            raise CheckError(f"{listing(contents.unread)} is not supported")
        if not contents.databases:
            raise CheckError("it has no package database")
    except CheckError as error:
        advice = f"fix that, or set `package_lock: false` in {image.family.base_file}"
        raise CheckError(f"{image.name}: cannot lock its packages: {error}; {advice}") from error
    return PackageLock(_locked(contents) - _locked(base))


def check_packages(image: Image, found: PackageLock, root: Path) -> None:
    """Raises CheckError if the packages of an image differ from its lock, or if there is no lock."""
    expected = packagelock.read(root, image.package_lock)
    if expected is None:
        raise CheckError(f"{image.name}: {image.package_lock} is missing; {_advice(image, 'build')}")
    if found != expected:
        differing = differences(found, expected)
        message = f"its packages differ from {image.package_lock}: {differing}"
        raise CheckError(f"{image.name}: {message}; {_advice(image, 'refresh')}")


def differences(found: PackageLock, expected: PackageLock) -> str:
    """Name the packages that differ from the lock, with both versions."""
    moves = [
        f"{move.name} is {move.new or 'missing'}, locked {move.old or 'not at all'}"
        for move in found.moves_from(expected)
    ]
    return first_few(moves)


def _advice(image: Image, command: str) -> str:
    return f"run `dfgen {command} {image.merged_name}`, and commit the package locks"


def _contents(layers: Sequence[Descriptor], layout: Layout) -> Contents:
    return read(package_files([layout.blob_path(layer.digest) for layer in layers]))


def _locked(contents: Contents) -> frozenset[LockedPackage]:
    return frozenset(
        LockedPackage(
            name=one.name,
            architecture=one.architecture,
            version=f"{one.epoch}:{one.version}" if one.epoch is not None else one.version,
        )
        for one in contents.packages
    )
