"""One build and one smoke test as records: what is asked of the engine, and what came of it."""

from __future__ import annotations

from pathlib import Path

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog
from dfgen.commands.plan.inputs import Step, base_annotations
from dfgen.engine.request import BuildRequest
from dfgen.oci.manifest import INPUTS


def build_request(
    step: Step, lock: Lock, catalog: Catalog, log: Path, *, no_cache: bool = False
) -> BuildRequest:
    """Write down the build of a step, its parents pinned by the lock.

    Errors: InputError for a parent without a pin.
    """
    image = step.image
    inputs = {INPUTS: str(step.inputs.digest)} if step.inputs else {}
    pins = {parent: lock.pin(parent) for parent in image.all_parents if parent.family}
    return BuildRequest(
        platform=image.platform,
        dockerfile=image.dockerfile,
        context=image.family.context,
        log=log,
        annotations={**base_annotations(image, lock), **inputs},
        source_date_epoch=step.epoch,
        provenance=catalog.provenance,
        contexts={str(parent.reference.at(pin.digest)): pin.digest for parent, pin in pins.items() if pin},
        no_cache=no_cache,
        cache=catalog.build_cache.of(image),
        sbom=catalog.sbom,
    )
