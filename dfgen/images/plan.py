"""What a build would do, as records: a step for each image, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from dfgen.catalog.model import Image
from dfgen.images.inputs import EPOCH, Inputs
from dfgen.oci.manifest import Descriptor


class Reason(StrEnum):
    """Why an image is built, or is not."""

    UP_TO_DATE = "up to date"
    NEW = "new"
    PLATFORM = "platform added"
    TEMPLATE = "template changed"
    VARIABLE = "variable changed"
    PIN = "pin moved"
    CONTEXT = "context file changed"
    INPUTS = "inputs changed"  # in more than one way, or in another
    DAMAGED = "layout damaged"
    TESTS = "smoke tests changed"
    UNTESTED = "not tested yet"  # what another machine built, by bake
    SBOM = "SBOM changed"
    PARENT = "parent is rebuilt"
    ASKED = "asked to"

    @property
    def is_change(self) -> bool:
        """Whether what the image is built from is not what it was."""
        return self in (Reason.TEMPLATE, Reason.VARIABLE, Reason.PIN, Reason.CONTEXT, Reason.INPUTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One image: `detail` names what changed or which parent, `built` is what the layout has of it.

    `inputs` is None where they are not known yet: the Dockerfile waits for the pin of a parent.
    """

    image: Image
    reason: Reason
    detail: str = ""
    inputs: Inputs | None = None
    built: Descriptor | None = None

    @property
    def is_needed(self) -> bool:
        """Whether there is something to do."""
        return self.reason is not Reason.UP_TO_DATE

    @property
    def is_kept(self) -> bool:
        """Whether what the layout has is only tested again, or gets another SBOM."""
        return self.reason in (Reason.TESTS, Reason.UNTESTED, Reason.SBOM)

    @property
    def epoch(self) -> int:
        """The time of everything in it, in seconds since 1970; 0 where its inputs are not known yet."""
        return int(self.inputs.options[EPOCH]) if self.inputs else 0

    @property
    def why(self) -> str:
        """The reason with its detail: `template changed: java-base.Dockerfile.j2`."""
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps, each after those of the images it is built on."""

    steps: tuple[Step, ...]

    def again(self) -> Plan:
        """The plan to build everything, whatever is there."""
        steps = (
            replace(step, reason=Reason.ASKED) if step.is_kept or not step.is_needed else step
            for step in self.steps
        )
        return Plan(steps=tuple(steps))

    @property
    def needed(self) -> tuple[Step, ...]:
        """The steps with something to do."""
        return tuple(step for step in self.steps if step.is_needed)
