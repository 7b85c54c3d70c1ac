"""Download an image that was published with the same inputs, instead of building it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dfgen.catalog.model import Image
from dfgen.commands.plan.inputs import Step
from dfgen.engine.request import OnStep
from dfgen.errors import CheckError, ExternalError
from dfgen.oci.images import Child, Remote, children_of
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import INPUTS, Descriptor, Manifest
from dfgen.oci.reference import Reference
from dfgen.registry import Registry


@dataclass(eq=False)
class Published:
    """Downloads images from a registry into the layout if their inputs' hash is that of a planned image.

    `references_of` returns the tags to search. A registry failure is reported through `on_step` and never
    fails the build, which continues without the download. An unreachable registry is requested only once.
    """

    registry: Registry
    layout: Layout
    references_of: Callable[[Image], Sequence[Reference]]
    _unreachable: bool = field(default=False, init=False)

    def take(self, step: Step, on_step: OnStep) -> tuple[Descriptor, ...]:
        """Download an image and its attestations into the layout; returns () if no published image fits."""
        if step.inputs is None or self._unreachable:
            return ()
        for reference in self.references_of(step.image):
            try:
                entries = self._take(step, reference, on_step)
            except (CheckError, ExternalError) as error:
                if isinstance(error, ExternalError) and error.unreachable:
                    self._unreachable = True
                on_step(f"cannot reuse an image from {reference.repository}: {error}")
            else:
                if entries:
                    return entries
        return ()

    def _take(self, step: Step, reference: Reference, on_step: OnStep) -> tuple[Descriptor, ...]:
        document = self.registry.current(reference)
        remote = Remote(self.registry, reference.repository)
        for child in children_of(str(reference), document, remote) if document else ():
            if _fits(child, step):
                on_step(f"downloading {reference.repository}@{child.descriptor.digest}")
                entries = (child.descriptor, *child.attestations)
                for entry in entries:
                    self._download(entry, remote)
                return entries
        return ()

    def _download(self, entry: Descriptor, remote: Remote) -> None:
        """Download the missing blobs of a manifest before the manifest, which must not name missing blobs."""
        manifest = remote.manifest(entry)
        if not isinstance(manifest, Manifest):
            raise CheckError(f"{entry.digest}: is an index nested in an index")
        self.layout.add(remote.read(manifest.config))
        for blob in manifest.layers:
            path = self.layout.blob_path(blob.digest)
            if not path.exists():
                self.registry.download(remote.repository, blob, path)
        self.layout.add(manifest.raw)


def _fits(child: Child, step: Step) -> bool:
    """Whether a published image has the platform of a step and was built from the same inputs."""
    inputs = child.manifest.annotations.get(INPUTS)
    return bool(step.inputs and inputs == str(step.inputs.digest) and child.platform == step.image.platform)
