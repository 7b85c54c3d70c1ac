"""Build: what the plan says, as parallel as it may be; a child begins when its own parents are done."""

from __future__ import annotations

from dfgen.catalog.lockfile import Lock
from dfgen.commands.building.ports import Building
from dfgen.commands.building.run import Run
from dfgen.commands.building.scheduler import Scheduler
from dfgen.commands.plan.inputs import Plan

__all__ = ["Building", "build"]


def build(plan: Plan, lock: Lock, how: Building) -> Run:
    """Build, test, name and merge what the plan says; a second run goes on where this one ended.

    One failure does not stop what does not depend on it: it is in the results, and not raised. A parent of
    the catalog whose digest moves is locked anew and its children are rendered again, before they are built.
    An interrupt ends what runs, and is told by the run, which says what became of each image until then.
    A node that no longer answers is taken out, and what it was building goes to those that are left.
    """
    return Scheduler(plan, lock, how).run()
