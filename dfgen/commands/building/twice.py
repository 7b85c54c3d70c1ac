"""Whether an image is reproducible: it is built again, without cache, and has to have the same digest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dfgen.commands.building.ports import Builder, Store
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.errors import CheckError, Place, Problem
from dfgen.oci.manifest import Descriptor, Manifest

# What BuildKit writes before a command when the parent, as some builders leave it, has no history.
_UNTOLD = "mount / from exec "


class NotTheSameError(CheckError):
    """An image that was built twice is not the same; the logs of both builds have nothing to say about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twice:
    """A builder that builds an image twice; `difference` names the first file that two layers differ in."""

    builder: Builder
    store: Store
    difference: Callable[[Path, Path], str]

    def build(self, request: BuildRequest, on_step: OnStep) -> tuple[Descriptor, ...]:
        """Build an image, and again without cache.

        Errors: NotTheSameError that names the first layer and file that differ, besides those of building.
        """
        entries = self.builder.build(request, on_step)
        log = request.log.with_name(f"{request.log.stem}-again{request.log.suffix}")
        again = replace(request, no_cache=True, log=log)
        first, second = (
            _image(entries),
            _image(self.builder.build(again, lambda doing: on_step(f"again: {doing}"))),
        )
        if first.digest != second.digest:
            difference = self._compare(self._manifest(first), self._manifest(second))
            place = Place(str(request.dockerfile))
            raise NotTheSameError(Problem(place, f"built twice it is not the same: {difference}"))
        return entries

    def _manifest(self, image: Descriptor) -> Manifest:
        found = self.store.manifest(image)
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
                paths = [self.store.blob_path(layer.digest) for layer in (one, other)]
                return f"layer {at} of {count}{step}: {self.difference(*paths)}"
        if len(first.layers) != len(second.layers):
            return f"{len(first.layers)} layers, and then {len(second.layers)}"
        keys = [key for key in configurations[0] if configurations[0][key] != configurations[1].get(key)]
        return f"the configuration's {', '.join(sorted(keys))}" if keys else "the manifest's annotations"

    def _configuration(self, manifest: Manifest) -> Mapping[str, Any]:
        found: dict[str, Any] = json.loads(self.store.read(manifest.config))
        return found


def _image(entries: Sequence[Descriptor]) -> Descriptor:
    return next(entry for entry in entries if not entry.is_attestation)


def _made_by(configuration: Mapping[str, Any], layer: int) -> str:
    """Name the instruction that made a layer, counted from 1, where the history tells."""
    made = [step for step in configuration.get("history") or () if not step.get("empty_layer")]
    words = str(made[layer - 1].get("created_by", "")).split() if layer <= len(made) else []
    text = " ".join(words).removeprefix(_UNTOLD).removesuffix(" # buildkit")
    return f" ({text if len(text) <= 80 else text[:80] + ' …'})" if text else ""
