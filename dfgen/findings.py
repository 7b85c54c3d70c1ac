"""Findings: what lint, review and `render --check` report about a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dfgen.errors import Place


class Level(StrEnum):
    """The severity of a finding: an error fails the check, a warning fails it only with `--strict`."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A violation of a rule at one place.

    `place` is where to fix it: in the template, the catalog or the lock. `generated` is the affected line of
    the rendered file, if there is one. `rule` is a stable name, for example `apt-recommends`.
    """

    rule: str
    level: Level
    message: str
    place: Place
    generated: Place | None = None

    def __str__(self) -> str:
        """Format as `place: level: message [rule]`, followed by the generated line if there is one."""
        shown = f" (in {self.generated})" if self.generated else ""
        return f"{self.place}: {self.level}: {self.message} [{self.rule}]{shown}"
