"""Values in heredoc bodies: scripts of RUN, files of COPY and ADD."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from dfgen.dockerfile.parser import Heredoc
from dfgen.templating.holes import HOLE, Hole, RefusedError, Spot, spot_at, strict, visible
from dfgen.templating.shell import ShellScan, write_other_shell, write_shell

Writer = Callable[[Spot, Hole], str]

_SHEBANG = re.compile(r"#!\s*(?:\S*/)?(?:env\s+)?(?:ba|da|k|z|a)?sh(?:\s|$)")
_DATA_COMMAND = re.compile(r"\s*(?:cat|tee)(?:\s|$)")
_WHY_DATA = (
    "which is not safe in a heredoc that is expanded or run; quote its name (<<'EOF') and read it with cat"
)


def _verbatim(_spot: Spot, hole: Hole) -> str:
    """A file's text as it is; several lines are several lines."""
    return visible(hole.text.replace("\n", " ")) and hole.text


def _expanded(_spot: Spot, hole: Hole) -> str:
    """A file's text in which BuildKit replaces variables."""
    return _verbatim(_spot, hole).replace("\\", "\\\\").replace("$", "\\$")


def _harmless(_spot: Spot, hole: Hole) -> str:
    return strict(hole.text, _WHY_DATA)


def _one_line_data(_spot: Spot, hole: Hole) -> str:
    if "\n" in hole.text:
        raise RefusedError("it holds a line break; use COPY with a heredoc for text of several lines")
    return _verbatim(_spot, hole)


def body_writer(keyword: str, command: str, heredoc: Heredoc, escape: str, is_sh: bool) -> Writer:
    """How values are written into a body; `command` is what RUN runs besides the heredoc."""
    if keyword != "RUN":
        if not heredoc.expand:
            return _verbatim
        return _expanded if escape == "\\" else _harmless
    if command.strip():
        return _one_line_data if not heredoc.expand and _DATA_COMMAND.match(command) else _harmless
    other = heredoc.content.startswith("#!") and not _SHEBANG.match(heredoc.content)
    return write_shell if is_sh and not other else write_other_shell


def body_spots(writer: Writer, content: str) -> list[Spot]:
    """The spots of a body's holes; only a shell script has states."""
    if writer is write_shell:
        return list(ShellScan(content).run())
    return [spot_at("body", content, at) for at, char in enumerate(content) if char == HOLE]


def check_body(heredoc: Heredoc, final: str, spots: Sequence[Spot], holes: Sequence[Hole]) -> None:
    """Refuse a body that its values would end, or that `<<-` would change."""
    if any(heredoc.ends_at(line) for line in final.split("\n")[:-1]):
        raise RefusedError(f"it would end the heredoc <<{heredoc.name}; give the heredoc another name")
    if heredoc.chomp and any(_loses_tabs(spot, hole) for spot, hole in zip(spots, holes, strict=True)):
        raise RefusedError("it has a line that begins with a tab, which <<- takes away; write << instead")


def _loses_tabs(spot: Spot, hole: Hole) -> bool:
    at_start = spot.before in ("", "\n", "\t") and hole.text.startswith("\t")
    return at_start or "\n\t" in hole.text
