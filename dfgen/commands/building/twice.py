"""Whether an image is reproducible: it is built again, without cache, and has to have the same digest."""

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

# What BuildKit writes before a command when the parent, as some builders leave it, has no history.
_UNTOLD = "mount / from exec "


class NotTheSameError(CheckError):
    """An image that was built twice is not the same; the logs of both builds have nothing to say about it."""


Build = Callable[[BuildRequest, OnStep], tuple[Descriptor, ...]]


def build_twice(
    request: BuildRequest, on_step: OnStep, build: Build, layout: Layout
) -> tuple[Descriptor, ...]:
    """Build an image, then again without cache, and compare the digests.

    Raises NotTheSameError with the first layer and file that differ, and whatever `build` raises.
    """
    entries = build(request, on_step)
    log = request.log.with_name(f"{request.log.stem}-again{request.log.suffix}")
    again = replace(request, no_cache=True, log=log)
    first, second = _image(entries), _image(build(again, lambda doing: on_step(f"again: {doing}")))
    if first.digest != second.digest:
        difference = _Comparison(layout).difference(first, second)
        place = Place(str(request.dockerfile))
        raise NotTheSameError(Problem(place, f"built twice it is not the same: {difference}"))
    return entries


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Compares two images of one Dockerfile in a layout."""

    layout: Layout

    def difference(self, first: Descriptor, second: Descriptor) -> str:
        """Name the first layer and file that differ."""
        return self._compare(self._manifest(first), self._manifest(second))

    def _manifest(self, image: Descriptor) -> Manifest:
        found = self.layout.manifest(image)
        if not isinstance(found, Manifest):  # a build gives images
            raise AssertionError(image.digest)
        return found

    def _compare(self, first: Manifest, second: Manifest) -> str:
        """Say where two builds part: layer by layer, then their configurations, then their manifests."""
        configurations = [self._configuration(one) for one in (first, second)]
        count = max(len(first.layers), len(second.layers))
        for at, (one, other) in enumerate(zip(first.layers, second.layers, strict=False), start=1):
            if one.digest != other.digest:
                step = _made_by(configurations[0], at)
                paths = [self.layout.blob_path(layer.digest) for layer in (one, other)]
                return f"layer {at} of {count}{step}: {first_difference(*paths)}"
        if len(first.layers) != len(second.layers):
            return f"{len(first.layers)} layers, and then {len(second.layers)}"
        keys = [key for key in configurations[0] if configurations[0][key] != configurations[1].get(key)]
        return f"the configuration's {', '.join(sorted(keys))}" if keys else "the manifest's annotations"

    def _configuration(self, manifest: Manifest) -> Mapping[str, Any]:
        found: dict[str, Any] = json.loads(self.layout.read(manifest.config))
        return found


def _image(entries: Sequence[Descriptor]) -> Descriptor:
    return next(entry for entry in entries if not entry.is_attestation)


def _made_by(configuration: Mapping[str, Any], layer: int) -> str:
    """Name the instruction that made a layer, counted from 1, where the history tells."""
    made = [step for step in configuration.get("history") or () if not step.get("empty_layer")]
    words = str(made[layer - 1].get("created_by", "")).split() if layer <= len(made) else []
    text = " ".join(words).removeprefix(_UNTOLD).removesuffix(" # buildkit")
    return f" ({text if len(text) <= 80 else text[:80] + ' …'})" if text else ""
