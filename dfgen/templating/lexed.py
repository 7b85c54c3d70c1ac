"""Values in what BuildKit's own lexer reads: ENV, LABEL, ARG, and the words of COPY, USER, WORKDIR, ..."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dfgen.templating.holes import HOLE, SAFE, Hole, RefusedError, Spot, name, one_line, only, spot_at, strict

_TOKEN = re.compile(f"[\\t\\n\\v\\f\\r ]+|\\$\\{{|[\"'=$}}\\\\`]|{HOLE}")
_KEYS = {
    "LABEL": re.compile(r"[A-Za-z0-9_./:-]+"),
    "ENV": re.compile(r"[A-Za-z0-9_.-]+"),
    "ARG": re.compile(r"[A-Za-z0-9_.-]+"),
}
_UNCLEAR = "which is not safe after a backslash or within ${…}; move the value out of there"


class LexedScan:
    """Tells the state of every hole in the arguments of ENV, LABEL, ARG, or of one word list.

    `keyed`: words are `key=value`; `old`: the first word is the key and all the rest its value.
    """

    def __init__(self, text: str, escape: str, keyed: bool = False, old: bool = False) -> None:
        self.text, self.escape = text, escape
        self.keyed, self.old = keyed, old
        self.quote = ""
        self.braces = 0
        self.in_value = not keyed
        self.skip = -1

    def run(self) -> Iterator[Spot]:
        """One spot a hole, in order."""
        for found in _TOKEN.finditer(self.text):
            sign, at = found[0], found.start()
            if sign == HOLE:
                yield spot_at(self.style(at), self.text, at)
            elif at == self.skip:
                self.skip = -1
            else:
                self.step(sign, at)

    def step(self, sign: str, at: int) -> None:
        """Take a sign that is not escaped."""
        if sign == self.escape and self.quote != "'":
            self.skip = at + 1
        elif sign in "'\"":
            self.quote = "" if sign == self.quote else self.quote or sign
        elif sign == "${" and self.quote != "'":
            self.braces += 1
        elif sign == "}":
            self.braces = max(0, self.braces - 1)
        elif sign == "=":
            self.in_value = True
        elif sign[0].isspace() and not self.quote:
            self.in_value = not self.keyed or self.old

    def style(self, at: int) -> str:
        """The state at a hole."""
        if at == self.skip:
            return "escaped"
        if self.braces:
            return "name" if self.text.endswith("${", 0, at) else "braces"
        if self.quote != "'" and self.text[at - 1 : at] == "$":
            return "name"
        if not self.in_value:
            return "key"
        return {"": "bare", '"': "double", "'": "single"}[self.quote]


def _escaped(text: str, escape: str) -> str:
    """The inside of double quotes."""
    text = text.replace(escape, escape * 2)
    return text.replace('"', f'{escape}"').replace("$", f"{escape}$")


def _bare(spot: Spot, text: str, escape: str) -> str:
    if not text:
        alone = spot.before in ("=", " ", "\t", "") and spot.after in (" ", "\t", "")
        return '""' if alone else ""
    if SAFE.fullmatch(text) and not spot.extends_variable(text) and not (spot.first and text[0] == "-"):
        return text
    return f'"{_escaped(text, escape)}"'


def _key(keyword: str, spot: Spot, text: str) -> str:
    advice = f"a name in {keyword} is made of letters, digits and the signs _ . -"
    advice += " / :" if keyword == "LABEL" else ""
    starts = spot.before in ("", " ", "\t")
    only(_KEYS[keyword], text, advice, part=not starts or spot.after not in ("=", " ", "\t", ""))
    if starts and text.startswith("-"):
        raise RefusedError(f"it begins with '-'; {advice}")
    return text


def write_lexed(keyword: str, spot: Spot, hole: Hole, escape: str) -> str:
    """Write a value for a spot of a LexedScan."""
    text = one_line(hole.text)
    match spot.style:
        case "key":
            return _key(keyword, spot, text)
        case "name":
            return name(text)
        case "escaped" | "braces":
            return strict(text, _UNCLEAR)
        case "single":
            return text.replace("'", f"'{escape}''")
        case "double":
            apart = '""' if spot.extends_variable(text) else ""
            return apart + _escaped(text, escape)
        case _:
            return _bare(spot, text, escape)


def write_word(keyword: str, spot: Spot, hole: Hole, escape: str) -> str:
    """The same for instructions that split at blanks whatever the quotes: COPY, ADD, VOLUME."""
    if spot.leading.endswith(("<<", "<<-")):
        raise RefusedError("a heredoc's name cannot be a value; write the name in the template")
    if any(char.isspace() for char in hole.text):
        advice = f'write the instruction with a JSON array: {keyword} ["…", "…"]'
        raise RefusedError(f"it holds a blank, at which {keyword} is split; {advice}")
    return write_lexed(keyword, spot, hole, escape)
