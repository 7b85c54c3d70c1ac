"""Plans made from records, without files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dfgen.catalog.lockfile import Lock, LockedParent, Pin
from dfgen.catalog.model import Image
from dfgen.commands.plan.inputs import EPOCH, Inputs, Plan, Reason, Step, base_annotations
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX
from tests.unit.models import AMD64, ARM64, BOTH, UPSTREAM, image, upstream_lock


def step(of: Image, reason: Reason = Reason.NEW, detail: str = "") -> Step:
    keys = [parent.key for parent in of.all_parents if parent.family]
    options = {EPOCH: "1767225600", **base_annotations(of.parent, pinned(*keys))}
    inputs = Inputs(dockerfile=Digest.of(of.name.encode()), files={}, options=options)
    return Step(image=of, reason=reason, detail=detail, inputs=inputs)


def a_plan() -> Plan:
    """Plan families that are built on others: one with two stages, one up to date, one alone."""
    return Plan(
        steps=(
            step(image("base", AMD64), Reason.UP_TO_DATE),
            step(image("base", ARM64), Reason.INPUTS, 'files/"a" and <b>#1'),
            step(image("tool:1.0", AMD64), Reason.UP_TO_DATE),
            step(image("app", AMD64, ["base:1", "tool:1.0"]), Reason.PARENT, "base:1"),
            step(image("app", ARM64, ["base:1"]), Reason.PARENT, "base:1"),
            step(image("alone:1_0", AMD64)),
        )
    )


def all_new(plan: Plan) -> Plan:
    return Plan(steps=tuple(replace(one, reason=Reason.NEW) for one in plan.steps))


def pinned(*keys: str) -> Lock:
    """Pin versions of the catalog as well, to digests made from their names."""
    parents = {**upstream_lock().parents}
    for key in keys:
        pins = {one: Pin(Digest.of(f"{key} {one}".encode()), 7) for one in BOTH}
        parents[key] = LockedParent(
            digest=Digest.of(key.encode()), media_type=OCI_INDEX, first_seen="2026-01-01", platforms=pins
        )
    return Lock(parents)


def chain(*names: str) -> Sequence[Step]:
    """Plan a chain of versions, each the parent of the next, none built yet."""
    found: list[Step] = []
    for parent, name in zip((UPSTREAM, *(f"{one}:1" for one in names)), names, strict=False):
        found.extend(step(image(name, platform, [parent])) for platform in BOTH)
    return found
