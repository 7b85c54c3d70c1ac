"""What may go wrong with a change: one small function a risk, each finding with its file and line."""

from __future__ import annotations

from dfgen.errors import Place
from dfgen.findings import Finding, Level


def error(rule: str, message: str, place: Place) -> Finding:
    """A finding that fails a review."""
    return Finding(rule=rule, level=Level.ERROR, message=message, place=place)


def warning(rule: str, message: str, place: Place) -> Finding:
    """A finding that fails a strict review."""
    return Finding(rule=rule, level=Level.WARNING, message=message, place=place)
