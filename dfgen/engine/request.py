"""Records that are exchanged with the engine: a build request, and the outcome of a smoke test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dfgen.catalog.model import LOCAL, NO_CACHE, BuildCache, Builder
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform

# Called with each build step that starts, for example `[2/5] RUN apt-get update`.
OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """One build of a Dockerfile; `dockerfile` and `context` are relative to the catalog's root.

    `contexts` maps references in FROM to digests in the layout: BuildKit reads these parents from the layout
    instead of a registry. `source_date_epoch` is in seconds since 1970. The build's output is written to
    `log`. `node` runs the build; `cache` says where BuildKit's cache is imported from and exported to.
    `sbom` is the image that generates the SBOM, empty for no SBOM by BuildKit. `provenance` is the mode of
    the provenance attestations, empty for none.
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
    """The result of a smoke test's container.

    `exit` is its exit status, None if it was still running or was killed. `output` is stdout and stderr.
    `started` is false if the image keeps the container from starting; `output` says why then. `unmet` is the
    key of the test, for example `ports`, whose condition a started image did not meet. `health` is the last
    status of its HEALTHCHECK (`healthy`, `unhealthy`, `starting`, or empty if the image has no HEALTHCHECK)
    and `health_log` the last output of that check. `ports` has the TCP ports that accept connections, and
    whether they do so for other machines; None if they cannot be read. `timed_out` is true if a command
    reached its time limit.
    """

    exit: int | None
    output: str
    timed_out: bool = False
    started: bool = True
    unmet: str = ""
    health: str = ""
    health_log: str = ""
    ports: Mapping[int, bool] | None = field(default_factory=dict)
