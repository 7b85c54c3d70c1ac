"""Values in what BuildKit's own lexer reads: ENV, LABEL, ARG, and the words of COPY, USER, WORKDIR, ..."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from dfgen.dockerfile.parser import Heredoc, NotStringsError, exec_form
from dfgen.templating.marks import JSON
from dfgen.templating.quoting.shell import ShellScan, word, write_other_shell, write_shell
from dfgen.templating.quoting.values import (
    HOLE,
    SAFE,
    Hole,
    RefusedError,
    Spot,
    name,
    one_line,
    only,
    spot_at,
    strict,
    visible,
)

_EXEC_TOKEN = re.compile(f'\\\\.|"|{HOLE}', re.DOTALL)
_ESCAPED_ANYWAY = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LEXED = frozenset(("ADD", "COPY", "VOLUME"))  # BuildKit resolves quotes and variables in their strings
_CODE_OPTION = re.compile(r"-[A-Za-z]*c")
EXEC_STYLES = frozenset(("string", "value", "code"))
_WHY = "which is not safe in shell code; make it a separate argument, or print it with | quote"


def _in_strings(arguments: str) -> Iterator[bool]:
    """For every hole whether it is within a JSON string."""
    inside = False
    for found in _EXEC_TOKEN.finditer(arguments):
        if found[0] == HOLE:
            yield inside
        elif found[0] == '"':
            inside = not inside
        elif found[0][-1] == HOLE:
            yield inside


def _candidate(arguments: str, holes: Sequence[Hole], inside: Sequence[bool]) -> str:
    """The arguments with JSON values outside of strings filled in."""
    pieces = arguments.split(HOLE)
    for at, (hole, within) in enumerate(zip(holes, inside, strict=True)):
        pieces[at] += hole.value if hole.kind == JSON and not within else HOLE
    return "".join(pieces)


def read_exec(arguments: str, holes: Sequence[Hole]) -> list[Spot] | None:
    """The spots of all holes if the arguments are an exec form, else None."""
    inside = list(_in_strings(arguments))
    candidate = _candidate(arguments, holes, inside)
    if not candidate.startswith("["):
        return None
    try:
        array = exec_form(candidate)
    except NotStringsError:
        array = ()
    if array is None:
        return None
    strings = iter(_string_spots(array))
    return [next(strings, Spot("string")) if within else Spot("value") for within in inside]


def _string_spots(array: Sequence[str]) -> Iterator[Spot]:
    """A spot for every hole within the strings; `code` after an option such as `-c`."""
    for at, item in enumerate(array):
        code = at > 0 and _CODE_OPTION.fullmatch(array[at - 1])
        for _ in range(item.count(HOLE)):
            yield Spot("code" if code else "string")


def _lexed(keyword: str, escape: str, text: str) -> str:
    """Escape what BuildKit's lexer would resolve."""
    if keyword not in _LEXED:
        return text
    return re.sub(f"([$'\"{re.escape(escape)}])", rf"{re.escape(escape)}\1", text)


def _inside(text: str) -> str:
    """The inside of a JSON string; what cannot be seen is written as an escape."""
    if "\0" in text:
        raise RefusedError("it contains U+0000, which cannot be passed to a program; remove it")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise RefusedError("it contains half of a surrogate pair; remove it from the value")
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    return _ESCAPED_ANYWAY.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _value(keyword: str, escape: str, hole: Hole) -> str:
    """A JSON value outside of strings: a string, or a list of strings."""
    found = json.loads(hole.value)
    items = found if isinstance(found, list) else [found]
    if not all(isinstance(item, str) for item in items):
        raise RefusedError(
            "it is JSON but not a string; an exec form may only contain strings, so quote other values"
        )
    written = ", ".join(f'"{_inside(_lexed(keyword, escape, item))}"' for item in items)
    return f"[{written}]" if isinstance(found, list) else written


def write_exec(keyword: str, spot: Spot, hole: Hole, escape: str) -> str:
    """Write a value for a spot of `read_exec`."""
    if spot.style == "value":
        return _value(keyword, escape, hole)
    if spot.style == "code":
        return _inside(word(hole.text) if hole.is_word else strict(hole.text, _WHY))
    return _inside(_lexed(keyword, escape, hole.text))


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
        raise RefusedError("it contains a line break; use COPY with a heredoc for multi-line text")
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
        raise RefusedError(f"it would end the heredoc <<{heredoc.name}; rename the heredoc")
    if heredoc.chomp and any(_loses_tabs(spot, hole) for spot, hole in zip(spots, holes, strict=True)):
        raise RefusedError("one of its lines starts with a tab, which <<- removes; use << instead")


def _loses_tabs(spot: Spot, hole: Hole) -> bool:
    at_start = spot.before in ("", "\n", "\t") and hole.text.startswith("\t")
    return at_start or "\n\t" in hole.text


_TOKEN = re.compile(f"[\\t\\n\\v\\f\\r ]+|\\$\\{{|[\"'=$}}\\\\`]|{HOLE}")
_KEYS = {
    "LABEL": re.compile(r"[A-Za-z0-9_./:-]+"),
    "ENV": re.compile(r"[A-Za-z0-9_.-]+"),
    "ARG": re.compile(r"[A-Za-z0-9_.-]+"),
}
_UNCLEAR = "which is not safe after a backslash or in ${…}; move the value elsewhere"


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
    advice = f"a name in {keyword} may only contain letters, digits and _ . -"
    advice += " / :" if keyword == "LABEL" else ""
    starts = spot.before in ("", " ", "\t")
    only(_KEYS[keyword], text, advice, part=not starts or spot.after not in ("=", " ", "\t", ""))
    if starts and text.startswith("-"):
        raise RefusedError(f"it starts with '-'; {advice}")
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
        advice = f'use a JSON array: {keyword} ["…", "…"]'
        raise RefusedError(f"it contains a blank, at which {keyword} splits its arguments; {advice}")
    return write_lexed(keyword, spot, hole, escape)
