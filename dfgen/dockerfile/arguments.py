"""An instruction's arguments: flags, exec form, words, key-value pairs."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from dfgen.dockerfile.shellwords import SPACES

BLANKS = re.compile(r"[\t\v\f\r ]+")
_ASCII_SPACES = "\t\n\v\f\r "
_SIGNS = {escape: re.compile(f"[{SPACES}'\"{re.escape(escape)}]") for escape in "\\`"}
_FLAG = re.compile(r"--")


class NotStringsError(ValueError):
    """A JSON array that holds something else than strings: BuildKit refuses it in every form."""


def split_keyword(text: str) -> tuple[str, str]:
    """Split a joined instruction into its first word and the rest."""
    keyword, _, rest = (BLANKS.sub("\n", text.strip(SPACES), count=1)).partition("\n")
    return keyword, rest


def _flag(rest: str, start: int, escape: str) -> tuple[str, int]:
    """Read one flag with its quotes resolved: the flag and where it ends."""
    word, quote, at = "", "", start
    while at < len(rest) and (quote or rest[at] not in SPACES):
        char = rest[at]
        if char == quote:
            quote = ""
        elif char in "'\"" and not quote:
            quote = char
        else:
            if char == escape:
                at += 1
            word += rest[at : at + 1]
        at += 1
    return word, at


def split_flags(rest: str, escape: str) -> tuple[tuple[str, ...], str]:
    """Take the leading `--name=value` words: the flags and what follows, without outer blanks.

    BuildKit looks for flags byte by byte, and some bytes of UTF-8 are blanks to it.
    """
    if rest.isascii():
        return _split_flags(rest, escape)
    flags, after = _split_flags(rest.encode("utf-8", "surrogatepass").decode("latin-1"), escape)
    return tuple(_decoded(flag) for flag in flags), _decoded(after).strip(SPACES)


def _decoded(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")


def _split_flags(rest: str, escape: str) -> tuple[tuple[str, ...], str]:
    flags: list[str] = []
    at = 0
    while True:
        while at < len(rest) and rest[at] in SPACES:
            at += 1
        if not _FLAG.match(rest, at):
            return tuple(flags), rest[at:].strip(_ASCII_SPACES)
        word, at = _flag(rest, at, escape)
        if word == "--":
            return tuple(flags), rest[at:].strip(_ASCII_SPACES)
        flags.append(word)


def _no_constants(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def exec_form(arguments: str) -> tuple[str, ...] | None:
    """The strings of a JSON array, or None for shell form; NotStringsError for any other array."""
    arguments = arguments.lstrip(SPACES)
    if not arguments.startswith("["):
        return None
    try:
        array = json.loads(arguments, parse_constant=_no_constants)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in array):
        raise NotStringsError
    return tuple(array)


def quoted_words(arguments: str, escape: str) -> list[str]:
    """Split at blanks outside of quotes, with quotes and escapes kept: ENV, LABEL and ARG."""
    words, word, quote, at = [], "", "", 0
    signs = _SIGNS[escape]
    while found := signs.search(arguments, at):
        word += arguments[at : found.start()]
        char, at = found[0], found.end()
        if not quote and char in SPACES:
            if word:
                words.append(word)
            word = ""
        elif char == escape and quote != "'":
            if at < len(arguments):
                word += char + arguments[at]
            at += 1
        else:
            quote = "" if char == quote else quote or (char if char in "'\"" else "")
            word += char
    word += arguments[at:]
    return [*words, word] if word else words


def pairs(arguments: str, escape: str) -> tuple[tuple[str, str], ...]:
    """Read `key=value ...` or the old `key value`; values keep their quotes. Raises ValueError."""
    words = quoted_words(arguments, escape)
    if words and "=" not in words[0]:
        key, *value = BLANKS.split(arguments, maxsplit=1)
        if not value:
            raise ValueError("has a name but no value; expected name=value")
        return ((key, value[0]),)
    for word in words:
        if "=" not in word:
            raise ValueError(f"has {word!r}, which is not of the form name=value")
    return tuple((key, value) for key, _, value in (word.partition("=") for word in words))


def health_check(arguments: str) -> tuple[str, str]:
    """Split HEALTHCHECK's arguments into `CMD` or `NONE` and the command."""
    kind, _, command = BLANKS.sub("\n", arguments, count=1).partition("\n")
    return kind, command.strip(_ASCII_SPACES)
