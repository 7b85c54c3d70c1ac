"""Export a plan as a Mermaid flowchart: versions, their parents, and why they are built.

Format: https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dfgen.commands.plan.inputs import Plan, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """Nodes and edges by name: `versions` with their steps, and `upstream` parents."""

    versions: Mapping[str, Sequence[Step]]
    upstream: Sequence[str]
    edges: Sequence[tuple[str, str]]


def _graph(plan: Plan) -> _Graph:
    versions: dict[str, list[Step]] = {}
    upstream: dict[str, None] = {}
    edges: dict[tuple[str, str], None] = {}
    for step in plan.steps:
        name = step.image.merged_name
        versions.setdefault(name, []).append(step)
        for parent in step.image.all_parents:
            edges[parent.key, name] = None
            if not parent.family:
                upstream[parent.key] = None
    return _Graph(versions=versions, upstream=tuple(upstream), edges=tuple(edges))


def _lines(name: str, steps: Sequence[Step]) -> Iterator[str]:
    yield name
    yield from (f"{step.image.platform.row.dockerfile}: {step.why}" for step in steps)


def _is_needed(steps: Sequence[Step]) -> bool:
    return any(step.is_needed for step in steps)


def mermaid(plan: Plan) -> str:
    """Return a Mermaid flowchart, which GitHub and GitLab render; versions to build have thick borders."""
    graph = _graph(plan)
    ids = {name: f"n{at}" for at, name in enumerate([*graph.upstream, *graph.versions])}
    lines = ["flowchart LR"]
    lines += [f"  {ids[name]}([{_label([name])}])" for name in graph.upstream]
    for name, steps in graph.versions.items():
        mark = ":::build" if _is_needed(steps) else ""
        lines.append(f"  {ids[name]}[{_label(_lines(name, steps))}]{mark}")
    lines += [f"  {ids[parent]} --> {ids[child]}" for parent, child in graph.edges]
    return "\n".join([*lines, "  classDef build stroke-width:3px", ""])


def _label(lines: Sequence[str] | Iterator[str]) -> str:
    # In a quoted label, `#` starts an entity and `<` an HTML element.
    texts = (
        line.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
        for line in lines
    )
    return '"{}"'.format("<br>".join(texts))
