"""The registry client, with what merging asks beyond it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dfgen.outside.layout.files import writing
from dfgen.outside.registry import Missing, Registry
from dfgen.values.manifest import Descriptor, Index, Manifest
from dfgen.values.reference import Reference, Repository


class TagRegistry(Registry):
    """All registries of one run."""

    def current(self, reference: Reference) -> Manifest | Index | None:
        """What a tag has now, None when it is not there: one GET either way."""
        try:
            return self.manifest(reference)
        except Missing:
            return None

    def mount(self, repository: Repository, descriptor: Descriptor, other: Repository) -> bool:
        """Take a blob over from another repository of the same registry, if that can be done there."""
        return self._uploader._mount(repository, descriptor, [other]) is None

    def copy(self, descriptor: Descriptor, source: Repository, target: Repository) -> None:
        """Bring a blob to another repository; it comes through this machine only where it has to."""
        if self.has_blob(target, descriptor.digest) or self.mount(target, descriptor, source):
            return
        with writing(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as folder:
            path = Path(folder, descriptor.digest.hex)
            self.download(source, descriptor, path)
            self.upload(target, descriptor, path)
