"""Check that an image is reproducible: build it again without cache and compare the digests."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from dfgen.engine.request import BuildRequest, OnStep
from dfgen.errors import CheckError, Place, Problem
from dfgen.oci.layers import Layer, open_layer
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Manifest

_CHUNK = 1 << 20  # bytes per read
# The attributes of a tar entry that are compared besides its content, with the words for a message.
_ATTRIBUTES = {
    "type": "file type",
    "mode": "mode",
    "uid": "owner",
    "gid": "group",
    "mtime": "mtime",
    "linkname": "link target",
    "size": "size",
    "pax_headers": "extended attributes",
}
_PRINTED = ("mode", "uid", "gid", "mtime", "size")  # numbers; the others can be long


def first_difference(one: Path, other: Path) -> str:
    """Describe the first difference between two layers: `/etc/x: mtime differs, 5 and 6`.

    Entries are compared in their order in the layer, which is part of its digest too. Raises CheckError if a
    layer cannot be read.
    """
    for left, right in zip_longest(_entries(one), _entries(other)):
        if left is None or right is None:
            entry, _ = left or right
            return f"/{entry.name}: only in one build"
        (entry, digest), (other_entry, other_digest) = left, right
        if entry.name != other_entry.name:
            return f"/{entry.name}: only in one build, or at another position in the layer"
        for attribute, noun in _ATTRIBUTES.items():
            first, second = getattr(entry, attribute), getattr(other_entry, attribute)
            if first != second:
                values = f", {first} and {second}" if attribute in _PRINTED else ""
                return f"/{entry.name}: {noun} differs{values}"
        if digest != other_digest:
            return f"/{entry.name}: content differs"
    return "same files, but packed or compressed differently"


def _entries(path: Path) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield each entry with the hash of its content, in one pass over the file."""
    with open_layer(path) as layer:
        for entry in layer:
            yield entry, _hash(layer, entry)


def _hash(layer: Layer, entry: tarfile.TarInfo) -> str:
    content = layer.content(entry)
    if content is None:
        return ""
    hashed = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        hashed.update(chunk)
    return hashed.hexdigest()


# BuildKit's prefix of a RUN in the history if the parent image has no history, as some builders leave it.
_NO_HISTORY = "mount / from exec "
_SHOWN = 80  # characters of an instruction in a message


class NotReproducibleError(CheckError):
    """Two builds of an image have different digests; their logs do not explain why."""


Build = Callable[[BuildRequest, OnStep], tuple[Descriptor, ...]]


def build_twice(
    request: BuildRequest, on_step: OnStep, build: Build, layout: Layout
) -> tuple[Descriptor, ...]:
    """Build an image, then again without cache, and compare the digests.

    Raises NotReproducibleError with the first layer and file that differ, and whatever `build` raises.
    """
    entries = build(request, on_step)
    log = request.log.with_name(f"{request.log.stem}-again{request.log.suffix}")
    again = replace(request, no_cache=True, log=log)
    first = _image(entries)
    second = _image(build(again, lambda doing: on_step(f"second build: {doing}")))
    if first.digest != second.digest:
        difference = _Comparison(layout).difference(first, second)
        place = Place(str(request.dockerfile))
        raise NotReproducibleError(Problem(place, f"not reproducible: {difference}"))
    return entries


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Compares two builds of one Dockerfile in a layout."""

    layout: Layout

    def difference(self, first: Descriptor, second: Descriptor) -> str:
        return self._compare(self._manifest(first), self._manifest(second))

    def _manifest(self, image: Descriptor) -> Manifest:
        found = self.layout.manifest(image)
        if not isinstance(found, Manifest):  # an engine builds images, never an index
            raise AssertionError(image.digest)
        return found

    def _compare(self, first: Manifest, second: Manifest) -> str:
        """Describe the first difference: in a layer, else in the configurations, else in the manifests."""
        configurations = [self._configuration(one) for one in (first, second)]
        count = max(len(first.layers), len(second.layers))
        for number, (one, other) in enumerate(zip(first.layers, second.layers, strict=False), start=1):
            if one.digest != other.digest:
                step = _instruction(configurations[0], number)
                paths = [self.layout.blob_path(layer.digest) for layer in (one, other)]
                return f"layer {number} of {count}{step}: {first_difference(*paths)}"
        if len(first.layers) != len(second.layers):
            return f"the number of layers differs, {len(first.layers)} and {len(second.layers)}"
        keys = [key for key in configurations[0] if configurations[0][key] != configurations[1].get(key)]
        return f"the configuration differs in {', '.join(sorted(keys))}" if keys else "the annotations differ"

    def _configuration(self, manifest: Manifest) -> Mapping[str, Any]:
        found: dict[str, Any] = json.loads(self.layout.read(manifest.config))
        return found


def _image(entries: Sequence[Descriptor]) -> Descriptor:
    return next(entry for entry in entries if not entry.is_attestation)


def _instruction(configuration: Mapping[str, Any], layer: int) -> str:
    """Return ` (INSTRUCTION)` for the layer with this number, from 1; empty if the history has no entry."""
    made = [step for step in configuration.get("history") or () if not step.get("empty_layer")]
    words = str(made[layer - 1].get("created_by", "")).split() if layer <= len(made) else []
    text = " ".join(words).removeprefix(_NO_HISTORY).removesuffix(" # buildkit")
    return f" ({text if len(text) <= _SHOWN else text[:_SHOWN] + ' …'})" if text else ""
