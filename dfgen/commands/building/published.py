"""An image that another machine built and published from the same inputs is taken, instead of built again."""

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
    """Takes images from a registry into the layout: those whose inputs' hash is that of the image wanted.

    `references_of` gives the tags to look under. A registry that fails is told through `on_step` and never
    fails the build, which goes on without; one that does not answer at all is not asked again.
    """

    registry: Registry
    layout: Layout
    references_of: Callable[[Image], Sequence[Reference]]
    _silent: bool = field(default=False, init=False)

    def take(self, step: Step, on_step: OnStep) -> tuple[Descriptor, ...]:
        """Bring an image and its attestations into the layout; nothing when none was published that fits."""
        if step.inputs is None or self._silent:
            return ()
        for reference in self.references_of(step.image):
            try:
                found = self._take(step, reference, on_step)
            except (CheckError, ExternalError) as error:
                self._silent = self._silent or bool(isinstance(error, ExternalError) and error.unreachable)
                on_step(f"not taken from {reference.repository}: {error}")
            else:
                if found:
                    return found
        return ()

    def _take(self, step: Step, reference: Reference, on_step: OnStep) -> tuple[Descriptor, ...]:
        document = self.registry.current(reference)
        remote = Remote(self.registry, reference.repository)
        for child in children_of(str(reference), document, remote) if document else ():
            if _fits(child, step):
                on_step(f"taken from {reference.repository}@{child.descriptor.digest}")
                entries = (child.descriptor, *child.attestations)
                for entry in entries:
                    self._bring(entry, remote)
                return entries
        return ()

    def _bring(self, entry: Descriptor, remote: Remote) -> None:
        """Download what the layout lacks of a manifest: blobs first, so that what is named is there."""
        manifest = remote.manifest(entry)
        if not isinstance(manifest, Manifest):
            raise CheckError(f"{entry.digest}: it is an index within an index")
        self.layout.add(remote.read(manifest.config))
        for blob in manifest.layers:
            path = self.layout.blob_path(blob.digest)
            if not path.exists():
                self.registry.download(remote.repository, blob, path)
        self.layout.add(manifest.raw)


def _fits(child: Child, step: Step) -> bool:
    """Whether a published image is for the platform wanted, and was built from the same inputs."""
    known = child.manifest.annotations.get(INPUTS)
    return bool(step.inputs and known == str(step.inputs.digest) and child.platform == step.image.platform)
