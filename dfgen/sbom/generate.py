"""Generate the SBOM of an image in the layout from its package databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dfgen.catalog.model import Image
from dfgen.errors import CheckError
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Manifest
from dfgen.sbom.databases import apk, dpkg, rpm, system
from dfgen.sbom.model import Contents, Installed, Sbom, artifact
from dfgen.sbom.rootfs import UNSUPPORTED, package_files


@dataclass(frozen=True, slots=True)
class SbomGenerator:
    """Generates SBOMs; `epoch` is their timestamp, in seconds since 1970."""

    layout: Layout
    epoch: int

    def make(self, image: Image, built: Descriptor) -> Sbom:
        """Store the SBOM of an image in the layout, without an entry in its index.

        Raises CheckError if a package database or a layer cannot be read.
        """
        manifest = self.layout.manifest(built)
        layers = manifest.layers if isinstance(manifest, Manifest) else ()
        try:
            contents = read(package_files([self.layout.blob_path(layer.digest) for layer in layers]))
        except CheckError as error:
            advice = "fix that, or set `sbom` to a generator in bases/catalog.yaml"
            raise CheckError(f"{image.name}: cannot generate its SBOM: {error}; {advice}") from error
        return self._write(image, built, contents)

    def _write(self, image: Image, built: Descriptor, contents: Contents) -> Sbom:
        from dfgen.sbom.cyclonedx import document

        made = artifact(built, document(image.family.name, built.digest, contents, self.epoch))
        for data in (*made.blobs, made.raw):
            self.layout.add(data)
        return Sbom(
            entry=made.entry,
            packages=len(contents.packages),
            system=str(contents.system),
            lacking=contents.lacking,
        )


def read(files: Mapping[str, bytes]) -> Contents:
    """Read all package databases; those in an unsupported format are listed in `unread`.

    Raises CheckError if a database is damaged.
    """
    found = [*dpkg(files), *apk(files), *rpm(files)]
    return Contents(
        system=system(files),
        packages=_sorted(package for _, packages in found for package in packages),
        databases=tuple(path for path, _ in found),
        unread=tuple(f"/{path} ({name})" for path, name in sorted(UNSUPPORTED.items()) if path in files),
    )


def _sorted(packages: Iterable[Installed]) -> tuple[Installed, ...]:
    # Without duplicates: some images have the same database at two paths.
    return tuple(sorted(set(packages), key=lambda one: (one.kind, one.name, one.version, one.architecture)))
