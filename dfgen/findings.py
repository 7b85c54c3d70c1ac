"""One thing that a check found in a file: what lint, review and `render --check` show a reviewer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dfgen.errors import Place


class Level(StrEnum):
    """How much a finding weighs: an error fails a check, a warning fails it with `--strict`."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that does not hold at one place.

    `place` is where a person mends it (the template, the catalog, the lock); `generated` is the line of
    the rendered file that shows it, where there is one. `rule` is a stable name such as `apt-recommends`.
    """

    rule: str
    level: Level
    message: str
    place: Place
    generated: Place | None = None

    def __str__(self) -> str:
        """Write `place: level: message [rule]`, with the generated line behind it."""
        shown = f" (in {self.generated})" if self.generated else ""
        return f"{self.place}: {self.level}: {self.message} [{self.rule}]{shown}"
