"""A chart of time and memory by catalog size; both axes are logarithmic, so linear growth is a straight line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from tests.bench.measure import Series

WIDTH, HEIGHT, EDGE = 320, 240, 46
Points = Sequence[tuple[float, float]]


def _scaled(points: Points) -> list[tuple[float, float]]:
    """Scale the logarithms of both coordinates to the panel."""
    logs = [(math.log10(x), math.log10(y)) for x, y in points]
    lows = [min(log[axis] for log in logs) for axis in (0, 1)]
    spans = [max(log[axis] for log in logs) - lows[axis] or 1.0 for axis in (0, 1)]
    inner = (WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE)
    return [
        (EDGE + (x - lows[0]) / spans[0] * inner[0], HEIGHT - EDGE - (y - lows[1]) / spans[1] * inner[1])
        for x, y in logs
    ]


def _panel(title: str, unit: str, points: Points, left: int) -> Iterator[str]:
    at = _scaled(points)
    yield f'<g transform="translate({left} 0)">'
    yield f'<text x="{EDGE}" y="20" font-weight="bold">{title}</text>'
    yield f'<rect x="{EDGE}" y="{EDGE}" width="{WIDTH - 2 * EDGE}" height="{HEIGHT - 2 * EDGE}" fill="none" stroke="#bbb"/>'
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    yield f'<polyline points="{line}" fill="none" stroke="#06c" stroke-width="2"/>'
    for (versions, cost), (x, y) in zip(points, at, strict=True):
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#06c"/>'
        yield f'<text x="{x:.1f}" y="{y - 9:.1f}" text-anchor="middle">{cost:.3g} {unit}</text>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - EDGE + 16}" text-anchor="middle">{versions:,.0f}</text>'
    yield f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">versions, two architectures each</text>'
    yield "</g>"


def draw(sizes: Mapping[int, Series]) -> str:
    """Return the chart as SVG."""
    seconds = [(float(size), series.seconds) for size, series in sizes.items()]
    memory = [(float(size), series.memory) for size, series in sizes.items()]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">'
    back = f'<rect width="{2 * WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    panels = [
        *_panel("dfgen render: time", "s", seconds, 0),
        *_panel("dfgen render: memory", "MiB", memory, WIDTH),
    ]
    return "\n".join([head, back, *panels, "</svg>", ""])
