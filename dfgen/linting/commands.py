"""The commands of a RUN, as far as they can be told for certain; what is not certain is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from dfgen.dockerfile import Instruction
from dfgen.linting.records import Stage

# What quotes, substitutions and groups end in; a separator within them parts no commands of the script.
_ENDS = {"'": "'", '"': '"', "`": "`", "$(": ")", "${": "}", "((": "))", "[[": "]]", "$((": "))"}
_SIGN = re.compile(
    r"\\.|\$\(\(|\$\(|\$\{|\(\(|\)\)|\[\[(?=\s)|\]\]|&&|\|\||\|&|[><]&|&>|[>]\||[\"'`;&|\n(){}#]", re.DOTALL
)
_SEPARATORS = frozenset(("&&", "||", "|&", "|", ";", "&", "\n", "(", ")"))
_PIPES = frozenset(("|", "|&"))
_OPENS_INSIDE_DOUBLE = frozenset(("$(", "${", "`", "$(("))
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_LEADING = frozenset(
    ("sudo", "exec", "command", "time", "if", "then", "else", "elif", "while", "until", "do", "!", "{")
)
_POSIX_SHELL = re.compile(r"(?:.*/)?(?:ba|da|k|z|a)?sh")
_SHEBANG = re.compile(r"#!\s*(?:/usr/bin/env\s+)?(?:\S*/)?(?:ba|da|k|z|a)?sh\b")
_REST_OF_PATTERN = re.compile(r"[^;&\n()]*\)")
_HEREDOC_ALONE = re.compile(r"<<-?\s*[\"']?\w+[\"']?")


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command: its words as written, and whether its output goes into a pipe."""

    words: tuple[str, ...]
    piped: bool = False

    @property
    def name(self) -> str:
        """The program, without its folder."""
        return self.words[0].rpartition("/")[2] if self.words else ""


def script(instruction: Instruction) -> str:
    """The shell script of a RUN in shell form; nothing for any other, or for another program."""
    if instruction.keyword != "RUN" or instruction.is_exec_form:
        return ""
    if not instruction.heredocs:
        return instruction.arguments
    body = instruction.heredocs[0].content
    # Within a script, the text of a here-document of its own is no command.
    is_shell = "<<" not in body and (not body.startswith("#!") or _SHEBANG.match(body))
    return body if is_shell and _HEREDOC_ALONE.fullmatch(instruction.arguments.strip()) else ""


def shell_runs(stage: Stage) -> Iterator[tuple[Instruction, str, tuple[str, ...]]]:
    """Every RUN that a POSIX shell reads, with its script and with what the SHELL before it says."""
    shell = stage.shell
    for one in stage.instructions:
        if one.keyword == "SHELL":
            shell = one.words
        elif _POSIX_SHELL.fullmatch(shell[0] if shell else "") and (text := script(one)):
            yield one, text, shell


@lru_cache(maxsize=4096)
def commands(text: str) -> tuple[Command, ...]:
    """Part a script into its simple commands, in order, without those in quotes and substitutions."""
    found: list[Command] = []
    for piece, separator in _pieces(text):
        words = piece.split()
        while words and (words[0] in _LEADING or _ASSIGNED.fullmatch(words[0])):
            del words[0]
        if words:
            found.append(Command(tuple(words), separator in _PIPES))
    return tuple(found)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield what stands between separators, each with the separator after it."""
    open_: list[str] = []
    start = at = 0
    while found := _SIGN.search(text, at):
        sign, at = found[0], found.end()
        if open_ and sign == open_[-1]:
            open_.pop()
        elif sign[0] == "\\":
            at = found.start() + 1 if open_[-1:] == ["'"] else at
        elif open_[-1:] in (["'"], ["`"]):
            continue
        elif sign in _ENDS and (open_[-1:] != ['"'] or sign in _OPENS_INSIDE_DOUBLE):
            open_.append(_ENDS[sign])
        elif open_:
            if sign == "(" and open_[-1] != '"':
                open_.append(")")
        elif sign == "#" and (not found.start() or text[found.start() - 1] in " \t\n;&|("):
            yield text[start : found.start()], ""
            start = at = next((end for end in [text.find("\n", at)] if end >= 0), len(text))
        elif sign in _SEPARATORS and not (sign in _PIPES and _is_pattern(text, at)):
            yield text[start : found.start()], sign
            start = at
    yield text[start:], ""


def _is_pattern(text: str, at: int) -> bool:
    """Whether a `|` is between the patterns of a case: `amd64|x86_64)`."""
    return "esac" in text and _REST_OF_PATTERN.match(text, at) is not None
