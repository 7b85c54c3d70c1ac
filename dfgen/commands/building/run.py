"""A build's run as records: what happens while it runs, what came of each image, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dfgen.catalog.model import Image
from dfgen.commands.plan.inputs import Step
from dfgen.errors import DfgenError, ExitCode
from dfgen.oci.digest import Digest
from dfgen.sbom.model import Sbom


class State(StrEnum):
    """What became of an image."""

    BUILT = "built"
    TAKEN = "taken"  # from the registry, where it was published with the same inputs
    UP_TO_DATE = "up to date"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one image: `size` is that of its blobs in bytes, compressed as they are.

    `error` says why it failed or was not tried, and `tail` are the last lines of its log then. `node` is
    where it was built. `sbom` is the SBOM of its packages, where one was made.
    """

    step: Step
    state: State
    digest: Digest | None = None
    size: int = 0
    seconds: float = 0.0
    error: DfgenError | None = None
    log: str = ""
    tail: tuple[str, ...] = ()
    node: str = ""
    sbom: Sbom | None = None

    @property
    def image(self) -> Image:
        """The image."""
        return self.step.image


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A whole run: results in the order of the plan, merged versions, and Dockerfiles written again.

    `errors` are what went wrong besides the images: a version that cannot be merged, a pin that moved.
    `past` are the seconds that images took in earlier runs. `broken` when it was interrupted: what was under
    way then was not tried.
    """

    results: tuple[Result, ...]
    merged: Mapping[str, Digest] = field(default_factory=dict)
    rendered: tuple[str, ...] = ()
    errors: tuple[DfgenError, ...] = ()
    seconds: float = 0.0
    past: Mapping[str, float] = field(default_factory=dict)
    broken: bool = False

    @property
    def took(self) -> Mapping[str, float]:
        """The seconds that each image took when it was last built, in this run or an earlier one."""
        built = (one for one in self.results if one.state is State.BUILT and not one.step.is_kept)
        return {**self.past, **{one.image.name: round(one.seconds, 3) for one in built}}

    @property
    def failures(self) -> tuple[DfgenError, ...]:
        """Everything that went wrong."""
        failed = (one.error for one in self.results if one.state is State.FAILED and one.error)
        return (*failed, *self.errors)

    @property
    def bills(self) -> tuple[str, ...]:
        """What there is to say of the SBOMs that were made: how much they have, and what each may lack."""
        made = [(one.image.name, one.sbom) for one in self.results if one.sbom]
        if not made:
            return ()
        total = sum(sbom.packages for _, sbom in made)
        lacking = (
            f"{name}: its SBOM has {sbom.packages} packages of {sbom.system}: {sbom.lacking}"
            for name, sbom in made
            if sbom.lacking
        )
        return (*lacking, f"packages in the SBOMs of what was built: {total}")

    @property
    def exit_code(self) -> ExitCode:
        """Whether all is built; an outside failure counts only when nothing failed by itself."""
        codes = {error.exit_code for error in self.failures}
        if not codes:
            return ExitCode.SUCCESS
        return ExitCode.ENVIRONMENT if codes == {ExitCode.ENVIRONMENT} else ExitCode.CHECK_FAILED

    def to_json(self) -> dict[str, Any]:
        """The record of the run, for programs."""
        return {
            "seconds": round(self.seconds, 3),
            "images": [_record(result) for result in self.results],
            "merged": {name: str(digest) for name, digest in sorted(self.merged.items())},
            "rendered": list(self.rendered),
            "errors": [str(error) for error in self.errors],
            "took": dict(sorted(self.took.items())),
        }


def _record(result: Result) -> dict[str, Any]:
    image, step = result.image, result.step
    return {
        "name": image.name,
        "family": image.family.name,
        "version": image.version,
        "platform": str(image.platform),
        "state": str(result.state),
        "reason": step.why,
        "inputs": str(step.inputs.digest) if step.inputs else None,
        "digest": str(result.digest) if result.digest else None,
        "size": result.size,
        "seconds": round(result.seconds, 3),
        "node": result.node or None,
        "packages": result.sbom.packages if result.sbom else None,
        "log": result.log or None,
        "error": str(result.error) if result.error else None,
    }


@dataclass(frozen=True, slots=True)
class Started:
    """An image's build begins."""

    step: Step


@dataclass(frozen=True, slots=True)
class Progressed:
    """What an image's build is at: `[2/5] RUN apt-get update`, `smoke tests`."""

    image: Image
    doing: str


@dataclass(frozen=True, slots=True)
class Again:
    """An image's build was failed by the network, and is tried again."""

    image: Image
    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A node does not answer any more; what it was building goes to others."""

    node: str


@dataclass(frozen=True, slots=True)
class Finished:
    """An image is done with, whatever its state."""

    result: Result


@dataclass(frozen=True, slots=True)
class Merged:
    """The images of a version are bound."""

    version: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Rendered:
    """A Dockerfile was written again since a parent in the catalog moved."""

    path: str


Event = Started | Progressed | Again | Lost | Finished | Merged | Rendered
