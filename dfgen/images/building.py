"""One build and one smoke test as records: what is asked of the engine, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import LOCAL, NO_CACHE, BuildCache, Builder, Catalog, Image
from dfgen.errors import InputError, Problem
from dfgen.images.plan import Step
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, INPUTS
from dfgen.oci.platform import Platform

# Of an image's entry in the layout: the hash of the smoke tests that it passed.
TESTS = "dev.dfgen.tests"

# Told what a build is doing, such as `[2/5] RUN apt-get update`.
OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """One build of a Dockerfile, its path relative to the catalog's root, as its build context is.

    `contexts` are the references in FROM that are taken from the layout instead of a registry, each with the
    digest that it stands for. `source_date_epoch` is in seconds since 1970. Everything that the build prints
    goes to `log`. `node` builds it, with BuildKit's cache from and to where `cache` says.
    `sbom` is the image that makes its bill of materials; `provenance` is the mode of attestations, if any.
    """

    platform: Platform
    dockerfile: PurePosixPath
    context: PurePosixPath
    log: Path
    annotations: Mapping[str, str]
    source_date_epoch: int
    provenance: str
    contexts: Mapping[str, Digest]
    no_cache: bool = False
    node: Builder = LOCAL
    cache: BuildCache = NO_CACHE
    sbom: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a smoke test's container did: its exit status, None while it runs, and its output, both streams.

    `health` is the last word of its HEALTHCHECK (`healthy`, `unhealthy`, `starting`, empty without one) and
    `health_log` what that printed last. `timed_out` when it was ended because its time was over.
    """

    exit: int | None
    output: str
    timed_out: bool = False
    health: str = ""
    health_log: str = ""


def digest_of_tests(image: Image) -> Digest:
    """Hash the smoke tests of an image: with others it is to be tested again, though not built."""
    tests = [
        [one.command, one.expect, one.exit, one.healthy, one.network, one.timeout] for one in image.tests
    ]
    return Digest.of(json.dumps(tests).encode())


def base_annotations(image: Image, lock: Lock) -> dict[str, str]:
    """Name what an image is built on: the parent as the catalog has it, and its pin.

    Errors: InputError for a parent without a pin.
    """
    parent = image.parent
    pin = lock.pin(parent)
    if pin is None:
        message = f"parent {parent.key} has no pin for {parent.platform}; run `dfgen lock`"
        raise InputError(Problem(parent.place, message))
    return {BASE_NAME: str(parent.reference.without_digest()), BASE_DIGEST: str(pin.digest)}


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
