"""Records of a build run: its events, the result of each image, and the JSON that is kept of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dfgen.catalog.model import Image
from dfgen.catalog.packagelock import Move
from dfgen.commands.plan.inputs import Step
from dfgen.errors import DfgenError, ExitCode, counted
from dfgen.oci.digest import Digest
from dfgen.sbom.model import Sbom


class State(StrEnum):
    """The state of an image after a run."""

    BUILT = "built"
    TAKEN = "taken"  # downloaded from the registry, where it was published with the same inputs
    UP_TO_DATE = "up to date"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one image; `size` is the size of its compressed blobs, in bytes.

    `error` says why it failed, was interrupted or was not tried. `node` is the name of the node that built
    it. `sbom` is None if the run generated no SBOM for it.
    """

    step: Step
    state: State
    digest: Digest | None = None
    size: int = 0
    seconds: float = 0.0
    error: DfgenError | None = None
    log: str = ""
    node: str = ""
    sbom: Sbom | None = None

    @property
    def image(self) -> Image:
        """The image."""
        return self.step.image


@dataclass(frozen=True, slots=True)
class PackagesMoved:
    """The package lock of an image was written; `moves` are empty if there was none before."""

    image: Image
    moves: tuple[Move, ...] = ()

    def __str__(self) -> str:
        """Format as `bases/app/1/packages_amd64.lock: openssl 3.0.15-1 → 3.0.17-1`."""
        return f"{self.image.package_lock}: {', '.join(map(str, self.moves)) or 'written'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The result of a run: results in the order of the plan, merged versions, and rewritten files.

    `errors` are failures that belong to no image: a version that cannot be merged, a pin that moved. `past`
    has the seconds that images took in earlier runs. `interrupted` is true after an interrupt; images that
    were not finished have the state INTERRUPTED or NOT_TRIED then.
    """

    results: tuple[Result, ...]
    merged: Mapping[str, Digest] = field(default_factory=dict)
    rendered: tuple[str, ...] = ()
    packages: tuple[PackagesMoved, ...] = ()
    errors: tuple[DfgenError, ...] = ()
    seconds: float = 0.0
    past: Mapping[str, float] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def took(self) -> Mapping[str, float]:
        """The seconds that the last build of each image took, in this run or an earlier one."""
        built = (one for one in self.results if one.state is State.BUILT and not one.step.is_kept)
        return {**self.past, **{one.image.name: round(one.seconds, 3) for one in built}}

    @property
    def failures(self) -> tuple[DfgenError, ...]:
        """All errors, of images and of the run itself."""
        failed = (one.error for one in self.results if one.state is State.FAILED and one.error)
        return (*failed, *self.errors)

    @property
    def counts(self) -> Mapping[State, int]:
        """The number of images in each state that occurs."""
        counted = Counter(one.state for one in self.results)
        return {state: counted[state] for state in State if counted[state]}

    @property
    def sbom_notes(self) -> tuple[str, ...]:
        """A sentence about each SBOM that may be incomplete, and one about the number of all packages."""
        made = [(one.image.name, one.sbom) for one in self.results if one.sbom]
        if not made:
            return ()
        total = sum(sbom.packages for _, sbom in made)
        incomplete = (
            f"{name}: its SBOM of {counted(sbom.packages, 'package')} ({sbom.system}) may be incomplete:"
            f" {sbom.lacking}"
            for name, sbom in made
            if sbom.lacking
        )
        return (*incomplete, f"generated SBOMs list {counted(total, 'package')}")

    @property
    def exit_code(self) -> ExitCode:
        """SUCCESS without failures, ENVIRONMENT if all are environment errors, else CHECK_FAILED."""
        codes = {error.exit_code for error in self.failures}
        if not codes:
            return ExitCode.SUCCESS
        return ExitCode.ENVIRONMENT if codes == {ExitCode.ENVIRONMENT} else ExitCode.CHECK_FAILED

    def to_json(self) -> dict[str, Any]:
        """The record of the run, as `build.json` and later runs have it."""
        return {
            "seconds": round(self.seconds, 3),
            "images": [_record(result) for result in self.results],
            "merged": {name: str(digest) for name, digest in sorted(self.merged.items())},
            "rendered": list(self.rendered),
            "package_locks": {
                one.image.package_lock: [list(move) for move in one.moves] for one in self.packages
            },
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
    """The build of an image starts."""

    step: Step


@dataclass(frozen=True, slots=True)
class Progressed:
    """A build reached its next step: `[2/5] RUN apt-get update`, `smoke tests`."""

    image: Image
    doing: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """A build failed with a transient error and is retried."""

    image: Image
    why: str


@dataclass(frozen=True, slots=True)
class NodeLost:
    """A node no longer responds; its builds move to other nodes."""

    node: str


@dataclass(frozen=True, slots=True)
class Finished:
    """An image has its final state."""

    result: Result


@dataclass(frozen=True, slots=True)
class Merged:
    """The images of a version were merged into an index."""

    version: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Rendered:
    """A Dockerfile was rendered again because the digest of a parent in the catalog changed."""

    path: str


Event = Started | Progressed | Retrying | NodeLost | Finished | Merged | Rendered | PackagesMoved
