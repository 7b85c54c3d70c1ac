"""Check that an image is reproducible: build it again without cache and compare the digests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dfgen.commands.building.difference import first_difference
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.errors import CheckError, Place, Problem
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Descriptor, Manifest

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
