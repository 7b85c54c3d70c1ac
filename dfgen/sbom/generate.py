"""Makes the bill of materials of an image in the layout from its own package databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dfgen.catalog.model import Image
from dfgen.errors import CheckError
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Manifest
from dfgen.sbom.databases import apk, dpkg, rpm, system
from dfgen.sbom.model import Bill, Contents, Installed, artefact
from dfgen.sbom.rootfs import UNREAD, package_files


@dataclass(frozen=True, slots=True)
class Bills:
    """Makes SBOMs; `epoch` is the time that they get, in seconds since 1970."""

    layout: Layout
    epoch: int

    def make(self, image: Image, built: Descriptor) -> Bill:
        """Write the SBOM of an image into the layout, where nothing names it yet.

        Errors: CheckError for a package database or a layer that cannot be read.
        """
        manifest = self.layout.manifest(built)
        layers = manifest.layers if isinstance(manifest, Manifest) else ()
        try:
            contents = read(package_files([self.layout.blob_path(layer.digest) for layer in layers]))
        except CheckError as error:
            message = f"{image.name}: no SBOM can be made of its packages"
            advice = "mend that, or set `sbom` to a generator in bases/catalog.yaml"
            raise CheckError(f"{message}: {error}; {advice}") from error
        return self._write(image, built, contents)

    def _write(self, image: Image, built: Descriptor, contents: Contents) -> Bill:
        from dfgen.sbom.cyclonedx import document

        made = artefact(built, document(image.family.name, built.digest, contents, self.epoch))
        for data in (*made.blobs, made.raw):
            self.layout.add(data)
        return Bill(
            entry=made.entry,
            packages=len(contents.packages),
            system=str(contents.system),
            lacking=contents.lacking,
        )


def read(files: Mapping[str, bytes]) -> Contents:
    """Read all databases that are there; those that cannot be read are named.

    Errors: CheckError for a broken one.
    """
    found = [*dpkg(files), *apk(files), *rpm(files)]
    return Contents(
        system=system(files),
        packages=_sorted(package for _, packages in found for package in packages),
        databases=tuple(path for path, _ in found),
        unread=tuple(f"/{path} ({form})" for path, form in sorted(UNREAD.items()) if path in files),
    )


def _sorted(packages: Iterable[Installed]) -> tuple[Installed, ...]:
    """Give each package once: a database may lie under two names."""
    return tuple(sorted(set(packages), key=lambda one: (one.kind, one.name, one.version, one.architecture)))
