"""The last look at a written instruction: it must be built as the template alone builds it."""

from __future__ import annotations

from collections.abc import Sequence

from dfgen.dockerfile.lexer import SPACES
from dfgen.dockerfile.parser import EXEC_FORM, NotStringsError, continues, exec_form, health_check, opened
from dfgen.dockerfile.parser import split_quoted as quoted_words
from dfgen.templating.holes import HOLE, RefusedError


def filled(text: str, written: Sequence[str]) -> str:
    """A text with its holes filled."""
    pieces = text.split(HOLE)
    return pieces[0] + "".join(value + piece for value, piece in zip(written, pieces[1:], strict=True))


def check_line(skeleton: str, final: str, escape: str) -> None:
    """Refuse a physical line of an instruction that a value has made a comment, empty, or longer."""
    start = final.lstrip(SPACES)
    if start.startswith("#"):
        raise RefusedError("the line would begin with '#' and be a comment; begin the line with other text")
    if not start:
        raise RefusedError(
            "the line would be empty, and BuildKit would join the next instruction to it;"
            " leave the line out of the template when there is no value"
        )
    if continues(final, escape) != continues(skeleton, escape):
        raise RefusedError(
            f"the {escape} at its end would join or part lines; put other text, or quotes, behind the value"
        )


def _is_exec(arguments: str) -> bool:
    try:
        return exec_form(arguments) is not None
    except NotStringsError:
        return True


def _heredocs(text: str) -> list[str]:
    return [heredoc.name for heredoc in opened(text)]


def check_arguments(keyword: str, skeleton: str, final: str, escape: str, was_exec: bool) -> None:
    """Refuse arguments whose values made a flag, an array, or more words than the template has."""
    final = final.lstrip(SPACES)
    if final.startswith("--") and not skeleton.startswith("--"):
        raise RefusedError("it would be read as a flag; write the flag in the template")
    command = health_check(final)[1] if keyword == "HEALTHCHECK" else final
    if not command.strip(SPACES):
        raise RefusedError(f"{keyword} would have no argument; leave it out when there is no value")
    if keyword in EXEC_FORM and not was_exec and _is_exec(command):
        raise RefusedError("the arguments would be read as a JSON array; write something before the [")
    if keyword in ("ENV", "LABEL", "ARG"):
        before, after = quoted_words(skeleton, escape), quoted_words(final, escape)
        if ["=" in word for word in before] != ["=" in word for word in after]:
            raise RefusedError("it would be read as more or fewer words; quote the place in the template")


def check_heredocs(skeleton: str, final: str) -> None:
    """Refuse values that would open a heredoc, or hide one of the template's."""
    if "<<" in final and _heredocs(skeleton) != _heredocs(final):
        raise RefusedError("it would open or hide a heredoc; put the value away from << or into an ENV")
