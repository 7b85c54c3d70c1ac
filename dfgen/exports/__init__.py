"""Exports of plans and findings for other programs, a module for each format."""

from __future__ import annotations

from collections.abc import Iterable

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog
from dfgen.commands.plan.inputs import Plan


def export_plan(
    plan: Plan,
    output: str,
    *,
    lock: Lock,
    catalog: Catalog,
    dist: str,
    runners: Iterable[str] = (),
    wave: int = 0,
) -> str:
    """Export a plan as `mermaid`, `bake`, `github` or `gitlab`.

    `dist` is the layout's folder. `runners` are `arm64=LABEL` words, for GitHub and GitLab; `wave` is a wave
    of GitHub's matrix, 0 for all. Raises InputError if the format cannot express the plan.
    """
    if output == "bake":
        from dfgen.exports.bake import bake

        return bake(plan, lock, catalog, f"{dist}/bake")
    if output == "github":
        from dfgen.exports.github import github

        return github(plan, runners, wave)
    if output == "gitlab":
        from dfgen.exports.gitlab import gitlab

        return gitlab(plan, runners)
    from dfgen.exports.graph import mermaid

    return mermaid(plan)
