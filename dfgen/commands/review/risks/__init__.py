"""Risks of a change: one small function for each risk; it yields findings with their file and line."""

from __future__ import annotations

from dfgen.errors import Place
from dfgen.findings import Finding, Level


def error(rule: str, message: str, place: Place) -> Finding:
    """Return a finding that fails a review."""
    return Finding(rule=rule, level=Level.ERROR, message=message, place=place)


def warning(rule: str, message: str, place: Place) -> Finding:
    """Return a finding that fails a review only with `--strict`."""
    return Finding(rule=rule, level=Level.WARNING, message=message, place=place)
