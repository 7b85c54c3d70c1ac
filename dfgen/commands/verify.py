"""Verify: what is published is what the catalog, the lock and the layout say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.concurrent import each
from dfgen.errors import CheckError, listing
from dfgen.oci.digest import Digest
from dfgen.oci.images import Remote, configuration_of, configured_platform
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, Descriptor, Index, Manifest
from dfgen.oci.reference import Reference
from dfgen.registry import Registry

_NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One thing that does not hold: where, what, and both sides of it in words."""

    reference: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Write `reference: what: expected …, found …`."""
        return f"{self.reference}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifying:
    """What is held against what; `registries` are prefixes such as `registry.example/team`."""

    catalog: Catalog
    lock: Lock
    store: Layout
    registry: Registry
    registries: Sequence[str]


def verify(images: Sequence[Image], how: Verifying) -> tuple[Finding, ...]:
    """Read back the versions of these images, and list what does not hold.

    Per version one GET for the merged tag; per image one HEAD for its tag, one GET for its manifest and one
    for its configuration; one HEAD for each blob. Errors: those of registries that do not answer.
    """
    names = dict.fromkeys(image.merged_name for image in images)
    entries = how.store.entries()
    pairs = [(name, registry) for registry in how.registries for name in names]
    found = each(lambda pair: list(_Version(*pair, entries, how).findings()), pairs)
    return tuple(finding for findings in found for finding in findings)


class _Version:
    """One version in one registry."""

    def __init__(self, name: str, registry: str, entries: Mapping[str, Descriptor], how: Verifying) -> None:
        self.name, self.registry, self.entries, self.how = name, registry, entries, how
        self.images = how.catalog.versions[name]
        self.merged = self.tag(self.images[0].version)
        self.remote = Remote(how.registry, self.merged.repository)

    def tag(self, tag: str) -> Reference:
        """Where a tag of this family is in this registry."""
        return self.how.catalog.reference(self.images[0].family.name, tag, self.registry)

    def findings(self) -> Iterator[Finding]:
        """Check the merged tag, then every image, several at a time."""
        document = self.how.registry.current(self.merged)
        index = document if isinstance(document, Index) else None
        if index is None:
            found = "a single image" if document else _NOTHING
            yield self.finding(self.merged, "index", f"one of {self.platforms}", found)
        else:
            yield from self.index(index)
        for findings in each(lambda image: list(self.image(image, index)), self.images):
            yield from findings

    def index(self, index: Index) -> Iterator[Finding]:
        """Hold an index against the catalog's platforms, the layout, the lock, and its own attestations."""
        has = sorted(str(entry.platform) for entry in index.images)
        if has != sorted(str(image.platform) for image in self.images):
            yield self.finding(self.merged, "platforms", self.platforms, listing(has))
        yield from self.in_layout(self.merged, self.name, index.descriptor.digest)
        parents = {image.parent.key for image in self.images}
        locked = self.how.lock.parents.get(next(iter(parents))) if len(parents) == 1 else None
        if locked and index.annotations.get(BASE_DIGEST, str(locked.digest)) != str(locked.digest):
            found = index.annotations[BASE_DIGEST]
            yield self.finding(self.merged, "base digest", f"{locked.digest} of the lock", found)
        for entry in index.manifests:
            reference = Reference(self.merged.repository, digest=entry.digest)
            if entry.is_attestation and self.how.registry.find(reference) is None:
                yield self.finding(reference, "attestation", "a manifest", _NOTHING)

    def image(self, image: Image, index: Index | None) -> Iterator[Finding]:
        """Hold an image's tag against the index that binds it, and the layout; then what the index has."""
        reference = self.tag(image.tag)
        entry = index.find(image.platform) if index else None
        there = self.how.registry.find(reference)
        if there is None:
            yield self.finding(reference, "image", f"one for {image.platform}", _NOTHING)
        elif entry and there.digest != entry.digest:
            bound = f"{entry.digest} as :{self.merged.tag} has it"
            yield self.finding(reference, "digest", bound, str(there.digest))
        if there:
            yield from self.in_layout(reference, f"{image.family.name}:{image.tag}", there.digest)
        if found := entry or there:
            yield from self.manifest(image, Reference(self.merged.repository, digest=found.digest))

    def manifest(self, image: Image, reference: Reference) -> Iterator[Finding]:
        """Check that a manifest and all its blobs are there; then its configuration, if that is."""
        manifest = self.how.registry.current(reference)
        if not isinstance(manifest, Manifest):
            found = "an index" if manifest else _NOTHING
            yield self.finding(reference, "manifest", f"one for {image.platform}", found)
            return
        blobs = {blob.digest: "layer" for blob in manifest.layers}
        blobs[manifest.config.digest] = "configuration"
        here = dict(zip(blobs, each(self.has_blob, blobs), strict=True))
        for digest in (digest for digest, there in here.items() if not there):
            yield self.finding(reference, blobs[digest], str(digest), _NOTHING)
        if here[manifest.config.digest]:
            yield from self.configuration(image, reference, manifest)

    def configuration(self, image: Image, reference: Reference, manifest: Manifest) -> Iterator[Finding]:
        """Check which platform the configuration says, then the base that it and the manifest name."""
        try:
            configuration = configuration_of(str(reference), manifest, self.remote)
        except CheckError:
            yield self.finding(reference, "configuration", "one of an image", "something else")
            return
        said = configured_platform(configuration, image.platform)
        if said != image.platform:
            yield self.finding(reference, "platform", str(image.platform), str(said))
        run = configuration.get("config")
        labels = run.get("Labels") if isinstance(run, dict) else None
        places = {"annotation": manifest.annotations, "label": labels if isinstance(labels, dict) else {}}
        yield from self.base(image, reference, places)

    def base(
        self, image: Image, reference: Reference, places: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[Finding]:
        """Hold the base's name and digest against the lock: annotation, label or both, but not neither."""
        pin = self.how.lock.pin(image.parent)
        if pin is None:
            parent = f"{image.parent.key} for {image.platform}"
            yield self.finding(reference, "base digest", f"a pin of {parent} in the lock", _NOTHING)
            return
        name = str(image.parent.reference.without_digest())
        for key, what, expected in ((BASE_NAME, "name", name), (BASE_DIGEST, "digest", str(pin.digest))):
            said = {place: texts[key] for place, texts in places.items() if key in texts}
            if not said:
                yield self.finding(reference, f"base {what}", expected, _NOTHING)
            for place, text in said.items():
                if text != expected:
                    yield self.finding(reference, f"base {what} ({place})", expected, text)

    def in_layout(self, reference: Reference, name: str, digest: Digest) -> Iterator[Finding]:
        """Hold what is published against the layout, if the layout has an image of this name."""
        entry = self.entries.get(name)
        if entry and entry.digest != digest:
            yield self.finding(reference, "digest", f"{entry.digest} as the layout has it", str(digest))

    def has_blob(self, digest: Digest) -> bool:
        """Ask the registry, with one HEAD; no byte is read."""
        return self.how.registry.has_blob(self.merged.repository, digest)

    @property
    def platforms(self) -> str:
        """Those of the catalog, as one text."""
        return listing(sorted(str(image.platform) for image in self.images))

    def finding(self, reference: Reference, what: str, expected: str, found: str) -> Finding:
        """Put what was expected and what was found into a record."""
        return Finding(reference=str(reference), what=what, expected=expected, found=found)
