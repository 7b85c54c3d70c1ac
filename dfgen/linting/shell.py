"""Pipes whose failure nobody sees."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dfgen.dockerfile import Dockerfile
from dfgen.linting.commands import commands, shell_runs
from dfgen.linting.records import NOTHING_ABOVE, Above, Hit, stages

# Set by the script itself, among other options, or by the line that says what runs it.
_PIPEFAIL = re.compile(r"\bset\s+(?:[-+\w]+\s+)*-\w*o\s+pipefail\b|\A#!.*\bpipefail\b")
# What only prints, and `yes`, which pipefail would make fail.
_CANNOT_FAIL = frozenset(("echo", "printf", "yes", "true", ":"))


def pipefail(dockerfile: Dockerfile, above: Above = NOTHING_ABOVE) -> Iterator[Hit]:
    """A pipe in a RUN that goes on when a command before the last fails."""
    for stage in stages(dockerfile, above.shells):
        for run, text, shell in shell_runs(stage):
            if "|" not in text or "pipefail" in shell or _PIPEFAIL.search(text):
                continue
            piped = [one for one in commands(text) if one.piped and one.name not in _CANNOT_FAIL]
            if piped:
                message = (
                    f"what `{piped[0].name} … |` fails at is not seen; write"
                    ' SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or set -o pipefail in it'
                )
                yield Hit(rule="pipefail", message=message, line=run.line)
