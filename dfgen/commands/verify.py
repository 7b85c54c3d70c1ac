"""Verify that published images match the catalog, the lock and the layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.catalog.model import Catalog, Image, Parent
from dfgen.concurrent import attempt, combined, each
from dfgen.errors import CheckError, DfgenError, listing
from dfgen.oci.digest import Digest
from dfgen.oci.images import Remote, configuration_of, configured_platform
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, Descriptor, Index, Manifest
from dfgen.oci.reference import Reference
from dfgen.registry import Registry

NOT_PUBLISHED = "not published"  # a tag
MISSING = "missing"  # a manifest, blob, annotation or pin


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mismatch:
    """One published value that differs from the expected one; both are texts."""

    reference: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Format as `reference: what: expected …, found …`."""
        return f"{self.reference}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifying:
    """Inputs of a verification; `registries` are prefixes, for example `registry.example/team`.

    `base` returns the parent that an image is based on, None for scratch.
    """

    catalog: Catalog
    lock: Lock
    store: Layout
    registry: Registry
    registries: Sequence[str]
    base: Callable[[Image], Parent | None] = lambda image: image.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """All mismatches, and the combined errors of the checks that got no answer from a registry."""

    mismatches: tuple[Mismatch, ...]
    failed: DfgenError | None = None


def verify(images: Sequence[Image], how: Verifying) -> Verified:
    """Read the versions of these images from the registries, and compare them.

    Costs one GET per version for the merged tag; per image one HEAD for its tag, one GET for its manifest and
    one for its configuration; one HEAD per blob. A check that fails does not stop the others.
    """
    names = dict.fromkeys(image.merged_name for image in images)
    entries = how.store.entries()
    pairs = [(name, registry) for registry in how.registries for name in names]
    versions = [_Version(*pair, entries, how) for pair in pairs]
    results = attempt(lambda version: list(version.mismatches()), versions)
    errors = [error for version in versions for error in version.errors]
    errors += [result for result in results if isinstance(result, DfgenError)]
    mismatches = (one for result in results if not isinstance(result, DfgenError) for one in result)
    return Verified(mismatches=tuple(mismatches), failed=combined(errors) if errors else None)


class _Version:
    """One version in one registry; each method yields the mismatches of one part of it."""

    def __init__(self, name: str, registry: str, entries: Mapping[str, Descriptor], how: Verifying) -> None:
        self.name, self.registry, self.entries, self.how = name, registry, entries, how
        self.images = how.catalog.versions[name]
        self.platforms = listing(sorted(str(image.platform) for image in self.images))
        self.merged = self.tag(self.images[0].version)
        self.errors: list[DfgenError] = []  # of checks that got no answer
        self.remote = Remote(how.registry, self.merged.repository)

    def tag(self, tag: str) -> Reference:
        """Return the full reference of a tag of this family."""
        return self.how.catalog.reference(self.images[0].family.name, tag, self.registry)

    def mismatches(self) -> Iterator[Mismatch]:
        """Check the merged tag, then the images concurrently."""
        index: Index | None = None
        with self.step():
            document = self.how.registry.current(self.merged)
            index = document if isinstance(document, Index) else None
            if index is None:
                found = "a single image" if document else NOT_PUBLISHED
                yield self.mismatch(self.merged, "index", self.platforms, found)
        if index:
            yield from self.check_index(index)
        for mismatches in each(lambda image: list(self.check_image(image, index)), self.images):
            yield from mismatches

    @contextmanager
    def step(self) -> Iterator[None]:
        """Run one check; keep the error of a registry that did not answer it."""
        try:
            yield
        except DfgenError as error:
            self.errors.append(error)

    def check_index(self, index: Index) -> Iterator[Mismatch]:
        """Compare an index with the catalog's platforms, the layout and the lock; find its attestations."""
        platforms = sorted(str(entry.platform) for entry in index.images)
        if platforms != sorted(str(image.platform) for image in self.images):
            yield self.mismatch(self.merged, "platforms", self.platforms, listing(platforms))
        yield from self.check_layout(self.merged, self.name, index.descriptor.digest)
        parents = {parent.key if (parent := self.how.base(image)) else "" for image in self.images}
        locked = self.how.lock.parents.get(next(iter(parents))) if len(parents) == 1 else None
        # An index without the annotation is accepted: `dfgen merge` does not write it.
        if locked and index.annotations.get(BASE_DIGEST, str(locked.digest)) != str(locked.digest):
            found = index.annotations[BASE_DIGEST]
            yield self.mismatch(self.merged, "base digest", f"{locked.digest} (lock)", found)
        for entry in index.manifests:
            reference = Reference(self.merged.repository, digest=entry.digest)
            with self.step():
                if entry.is_attestation and self.how.registry.find(reference) is None:
                    yield self.mismatch(reference, "attestation", "a manifest", MISSING)

    def check_image(self, image: Image, index: Index | None) -> Iterator[Mismatch]:
        """Compare an image's tag with the index and the layout, then check the image of the index."""
        reference = self.tag(image.tag)
        entry = index.find(image.platform) if index else None
        published: Descriptor | None = None
        with self.step():
            published = self.how.registry.find(reference)
            if published is None:
                yield self.mismatch(reference, "image", str(image.platform), NOT_PUBLISHED)
        if published is None:
            pass
        elif entry and published.digest != entry.digest:
            expected = f"{entry.digest} (index :{self.merged.tag})"
            yield self.mismatch(reference, "digest", expected, str(published.digest))
        if published:
            yield from self.check_layout(reference, image.layout_name, published.digest)
        if found := entry or published:
            with self.step():
                yield from self.check_manifest(image, Reference(self.merged.repository, digest=found.digest))

    def check_manifest(self, image: Image, reference: Reference) -> Iterator[Mismatch]:
        """Check that a manifest and its blobs exist, then its configuration."""
        manifest = self.how.registry.current(reference)
        if not isinstance(manifest, Manifest):
            found = "an index" if manifest else MISSING
            yield self.mismatch(reference, "manifest", f"an image for {image.platform}", found)
            return
        kinds = {blob.digest: "layer" for blob in manifest.layers}
        kinds[manifest.config.digest] = "configuration"
        results = zip(kinds, attempt(self.has_blob, kinds), strict=True)
        exists: dict[Digest, bool] = {}
        for digest, result in results:
            if isinstance(result, DfgenError):
                self.errors.append(result)
            else:
                exists[digest] = result
        for digest, kind in kinds.items():
            if exists.get(digest) is False:
                yield self.mismatch(reference, kind, str(digest), MISSING)
        if exists.get(manifest.config.digest):
            yield from self.check_configuration(image, reference, manifest)

    def check_configuration(
        self, image: Image, reference: Reference, manifest: Manifest
    ) -> Iterator[Mismatch]:
        """Compare the configuration's platform, then the base that the configuration and manifest name."""
        try:
            configuration = configuration_of(str(reference), manifest, self.remote)
        except CheckError:
            found = "invalid JSON or no platform"
            yield self.mismatch(reference, "configuration", "an image configuration", found)
            return
        platform = configured_platform(configuration, image.platform)
        if platform != image.platform:
            yield self.mismatch(reference, "platform", str(image.platform), str(platform))
        run = configuration.get("config")
        labels = run.get("Labels") if isinstance(run, dict) else None
        sources = {"annotation": manifest.annotations, "label": labels if isinstance(labels, dict) else {}}
        yield from self.check_base(image, reference, sources)

    def check_base(
        self, image: Image, reference: Reference, sources: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[Mismatch]:
        """Compare the base's name and digest with the lock: in annotations, labels or both."""
        parent = self.how.base(image)
        if parent is None:
            for key, what in ((BASE_NAME, "name"), (BASE_DIGEST, "digest")):
                for source, texts in sources.items():
                    if key in texts:
                        yield self.mismatch(reference, f"base {what} ({source})", "none", texts[key])
            return
        pin = self.how.lock.pin(parent)
        if pin is None:
            expected = f"a pin of {parent.key} for {image.platform} in {LOCK_FILE}"
            yield self.mismatch(reference, "base digest", expected, MISSING)
            return
        name = str(parent.reference.without_digest())
        for key, what, expected in ((BASE_NAME, "name", name), (BASE_DIGEST, "digest", str(pin.digest))):
            found = {source: texts[key] for source, texts in sources.items() if key in texts}
            if not found:
                yield self.mismatch(reference, f"base {what}", expected, MISSING)
            for source, text in found.items():
                if text != expected:
                    yield self.mismatch(reference, f"base {what} ({source})", expected, text)

    def check_layout(self, reference: Reference, name: str, digest: Digest) -> Iterator[Mismatch]:
        """Compare a published digest with the layout's, if the layout has an image of this name."""
        entry = self.entries.get(name)
        if entry and entry.digest != digest:
            yield self.mismatch(reference, "digest", f"{entry.digest} (layout)", str(digest))

    def has_blob(self, digest: Digest) -> bool:
        """Return whether the repository has a blob: one HEAD, nothing is downloaded."""
        return self.how.registry.has_blob(self.merged.repository, digest)

    def mismatch(self, reference: Reference, what: str, expected: str, found: str) -> Mismatch:
        """Create the record of a mismatch."""
        return Mismatch(reference=str(reference), what=what, expected=expected, found=found)
