"""One build and one smoke test as records: what is asked of the engine, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dfgen.catalog.model import LOCAL, NO_CACHE, BuildCache, Builder
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform

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
