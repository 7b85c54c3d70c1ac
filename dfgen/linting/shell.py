"""Pipes that hide a failure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dfgen.dockerfile import Dockerfile
from dfgen.dockerfile.shell import commands
from dfgen.dockerfile.stages import stages
from dfgen.linting.records import NOTHING_ABOVE, Above, Hit

_SETS_PIPEFAIL = re.compile(r"set\s+(?:[-+\w]+\s+)*-\w*o\s+pipefail\b")
_SHEBANG_PIPEFAIL = re.compile(r"#!.*\bpipefail\b")
# Commands that only print, and `yes`, which pipefail would make fail.
_CANNOT_FAIL = frozenset(("echo", "printf", "yes", "true", ":"))


def pipefail(dockerfile: Dockerfile, above: Above = NOTHING_ABOVE) -> Iterator[Hit]:
    """A pipe in a RUN that succeeds although a command before the last one fails."""
    for stage in stages(dockerfile, above.shells).all:
        for one in stage.scripts:
            if "|" not in one.text or "pipefail" in one.shell or _has_pipefail(one.text):
                continue
            found = commands(one.text)
            piped = [command for command in found if command.piped and command.name not in _CANNOT_FAIL]
            if piped:
                message = (
                    f"what `{piped[0].name} … |` fails at is not seen; write"
                    ' SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or set -o pipefail in it'
                )
                yield Hit(rule="pipefail", message=message, line=one.run.line)


def _has_pipefail(text: str) -> bool:
    """Whether the script sets the option, or its first line passes it to the interpreter."""
    if _SHEBANG_PIPEFAIL.match(text):
        return True
    return "pipefail" in text and any(
        _SETS_PIPEFAIL.match(" ".join(command.values)) for command in commands(text)
    )
