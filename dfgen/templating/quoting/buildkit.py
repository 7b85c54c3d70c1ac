"""Quotes values in what BuildKit itself reads: exec form, heredoc bodies, ENV, LABEL, ARG, COPY, USER, ..."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from dfgen.dockerfile.parser import Heredoc, NotStringsError, exec_form
from dfgen.templating.quoting.shell import ShellScan, word, write_other_shell, write_shell
from dfgen.templating.quoting.values import (
    PLACEHOLDER,
    SAFE,
    Position,
    PrintedValue,
    UnsafeValueError,
    name,
    one_line,
    only,
    position_at,
    strict,
    visible,
)
from dfgen.templating.taint import JSON

# Exec form: a JSON array.
_EXEC_TOKEN = re.compile(f'\\\\.|"|{PLACEHOLDER}', re.DOTALL)
# Legal in a JSON string, but invisible to a reviewer, or a line break to some tools.
_INVISIBLE = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# BuildKit expands quotes and variables even in their JSON strings.
_LEXED = frozenset(("ADD", "COPY", "VOLUME"))
# `["sh", "-c", "…"]`: the string after it is code, where quoting for JSON does not protect the value.
_CODE_OPTION = re.compile(r"-[A-Za-z]*c")
EXEC_STATES = frozenset(("string", "value", "code"))
_WHY_CODE = "which is not safe in shell code; make it a separate argument, or print it with | quote"


def _in_strings(arguments: str) -> Iterator[bool]:
    """Yield for every placeholder whether it is in a JSON string."""
    inside = False
    for found in _EXEC_TOKEN.finditer(arguments):
        if found[0] == PLACEHOLDER:
            yield inside
        elif found[0] == '"':
            inside = not inside
        elif found[0][-1] == PLACEHOLDER:  # after a backslash
            yield inside


def _candidate(arguments: str, values: Sequence[PrintedValue], inside: Sequence[bool]) -> str:
    """Fill in the values of `tojson` outside strings: they can make the arguments an exec form or not."""
    pieces = arguments.split(PLACEHOLDER)
    for at, (value, within) in enumerate(zip(values, inside, strict=True)):
        pieces[at] += value.raw if value.kind == JSON and not within else PLACEHOLDER
    return "".join(pieces)


def read_exec(arguments: str, values: Sequence[PrintedValue]) -> list[Position] | None:
    """Return the positions of all values, or None if the arguments are not an exec form."""
    inside = list(_in_strings(arguments))
    candidate = _candidate(arguments, values, inside)
    if not candidate.startswith("["):
        return None
    try:
        array = exec_form(candidate)
    except NotStringsError:
        array = ()  # BuildKit rejects it; the template has to be fixed, whatever the values are
    if array is None:
        return None
    strings = iter(_string_positions(array))
    return [next(strings, Position("string")) if within else Position("value") for within in inside]


def _string_positions(array: Sequence[str]) -> Iterator[Position]:
    """Yield a position for every placeholder in a string; the state is `code` after an option like `-c`."""
    for at, item in enumerate(array):
        code = at > 0 and _CODE_OPTION.fullmatch(array[at - 1])
        for _ in range(item.count(PLACEHOLDER)):
            yield Position("code" if code else "string")


def _escape_for_lexer(keyword: str, escape: str, text: str) -> str:
    """Escape what BuildKit's word lexer would expand after it has decoded the JSON string."""
    if keyword not in _LEXED:
        return text
    return re.sub(f"([$'\"{re.escape(escape)}])", rf"{re.escape(escape)}\1", text)


def _json_string(text: str) -> str:
    """Escape text for a JSON string, invisible characters included."""
    if "\0" in text:
        raise UnsafeValueError("it contains U+0000, which cannot be passed to a program; remove it")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise UnsafeValueError("it contains half of a surrogate pair; remove it from the value")
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _value(keyword: str, escape: str, value: PrintedValue) -> str:
    """Write a `tojson` value that is not in a string: a string or a list of strings."""
    found = json.loads(value.raw)
    items = found if isinstance(found, list) else [found]
    if not all(isinstance(item, str) for item in items):
        raise UnsafeValueError(
            "it is JSON but not a string; an exec form may only contain strings, so quote other values"
        )
    written = ", ".join(f'"{_json_string(_escape_for_lexer(keyword, escape, item))}"' for item in items)
    return f"[{written}]" if isinstance(found, list) else written


def write_exec(keyword: str, position: Position, value: PrintedValue, escape: str) -> str:
    """Write a value at a position of `read_exec`. Raises UnsafeValueError."""
    if position.state == "value":
        return _value(keyword, escape, value)
    if position.state == "code":
        return _json_string(word(value.text) if value.is_word else strict(value.text, _WHY_CODE))
    return _json_string(_escape_for_lexer(keyword, escape, value.text))


Writer = Callable[[Position, PrintedValue], str]

# Heredoc bodies.
_SHEBANG = re.compile(r"#!\s*(?:\S*/)?(?:env\s+)?(?:ba|da|k|z|a)?sh(?:\s|$)")
# Commands that copy their standard input: the body is a file, not code.
_DATA_COMMAND = re.compile(r"\s*(?:cat|tee)(?:\s|$)")
_WHY_DATA = (
    "which is not safe in a heredoc that is expanded or run; quote its name (<<'EOF') and read it with cat"
)


def _verbatim(_position: Position, value: PrintedValue) -> str:
    """Write text of a file unchanged; line breaks are allowed."""
    return visible(value.text.replace("\n", " ")) and value.text


def _expanded(_position: Position, value: PrintedValue) -> str:
    """Write text of a file in which BuildKit expands variables."""
    return _verbatim(_position, value).replace("\\", "\\\\").replace("$", "\\$")


def _harmless(_position: Position, value: PrintedValue) -> str:
    return strict(value.text, _WHY_DATA)


def _one_line_data(_position: Position, value: PrintedValue) -> str:
    if "\n" in value.text:
        raise UnsafeValueError("it contains a line break; use COPY with a heredoc for multi-line text")
    return _verbatim(_position, value)


def body_writer(keyword: str, command: str, heredoc: Heredoc, escape: str, is_sh: bool) -> Writer:
    """Return how to write values into a body; `command` is the rest of RUN's arguments."""
    if keyword != "RUN":
        if not heredoc.expand:
            return _verbatim
        # Escaping in a body is only implemented for the default escape character.
        return _expanded if escape == "\\" else _harmless
    if command.strip():  # the body is the command's standard input, which may be any language
        return _one_line_data if not heredoc.expand and _DATA_COMMAND.match(command) else _harmless
    other = heredoc.content.startswith("#!") and not _SHEBANG.match(heredoc.content)
    return write_shell if is_sh and not other else write_other_shell


def body_positions(writer: Writer, content: str) -> list[Position]:
    """Return the positions of a body's values; their state only matters in a shell script."""
    if writer is write_shell:
        return list(ShellScan(content).run())
    return [position_at("body", content, at) for at, char in enumerate(content) if char == PLACEHOLDER]


def check_body(
    heredoc: Heredoc, final: str, positions: Sequence[Position], values: Sequence[PrintedValue]
) -> None:
    """Raise UnsafeValueError if a value would end the body, or lose tabs to `<<-`."""
    if any(heredoc.ends_at(line) for line in final.split("\n")[:-1]):
        raise UnsafeValueError(f"it would end the heredoc <<{heredoc.name}; rename the heredoc")
    if heredoc.chomp and any(
        _loses_tabs(position, value) for position, value in zip(positions, values, strict=True)
    ):
        raise UnsafeValueError("one of its lines starts with a tab, which <<- removes; use << instead")


def _loses_tabs(position: Position, value: PrintedValue) -> bool:
    at_start = position.before in ("", "\n", "\t") and value.text.startswith("\t")
    return at_start or "\n\t" in value.text


# Word lexer: https://docs.docker.com/reference/dockerfile/#environment-replacement
_TOKEN = re.compile(f"[\\t\\n\\v\\f\\r ]+|\\$\\{{|[\"'=$}}\\\\`]|{PLACEHOLDER}")
_KEYS = {
    "LABEL": re.compile(r"[A-Za-z0-9_./:-]+"),
    "ENV": re.compile(r"[A-Za-z0-9_.-]+"),
    "ARG": re.compile(r"[A-Za-z0-9_.-]+"),
}
_UNCLEAR = "which is not safe after a backslash or in ${…}; move the value elsewhere"


class LexedScan:
    """Finds the lexer's state at every placeholder in the arguments of ENV, LABEL or ARG, or in words.

    `keyed` if the words are `key=value`; `legacy` for `key value`, where the rest of the line is the value.
    """

    def __init__(self, text: str, escape: str, keyed: bool = False, legacy: bool = False) -> None:
        self.text, self.escape = text, escape
        self.keyed, self.legacy = keyed, legacy
        self.quote = ""
        self.braces = 0
        self.in_value = not keyed
        self.skip = -1

    def run(self) -> Iterator[Position]:
        """Yield the positions of all placeholders, in order."""
        for found in _TOKEN.finditer(self.text):
            sign, at = found[0], found.start()
            if sign == PLACEHOLDER:
                yield position_at(self.state(at), self.text, at)
            elif at == self.skip:
                self.skip = -1
            else:
                self.step(sign, at)

    def step(self, sign: str, at: int) -> None:
        """Process an unescaped token."""
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
            self.in_value = not self.keyed or self.legacy

    def state(self, at: int) -> str:
        """Return the lexer's state at a placeholder."""
        if at == self.skip:
            return "escaped"
        if self.braces:
            return "name" if self.text.endswith("${", 0, at) else "braces"
        if self.quote != "'" and self.text[at - 1 : at] == "$":
            return "name"
        if not self.in_value:
            return "key"
        return {"": "bare", '"': "double", "'": "single"}[self.quote]


def _double_quoted(text: str, escape: str) -> str:
    """Escape text for double quotes."""
    text = text.replace(escape, escape * 2)
    return text.replace('"', f'{escape}"').replace("$", f"{escape}$")


def _bare(position: Position, text: str, escape: str) -> str:
    if not text:
        # A word that is only an empty value would disappear and shift the words after it.
        alone = position.before in ("=", " ", "\t", "") and position.after in (" ", "\t", "")
        return '""' if alone else ""
    is_flag = position.is_first and text[0] == "-"
    if SAFE.fullmatch(text) and not position.extends_variable(text) and not is_flag:
        return text
    return f'"{_double_quoted(text, escape)}"'


def _key(keyword: str, position: Position, text: str) -> str:
    advice = f"a name in {keyword} may only contain letters, digits and _ . -"
    advice += " / :" if keyword == "LABEL" else ""
    starts = position.before in ("", " ", "\t")
    only(_KEYS[keyword], text, advice, part=not starts or position.after not in ("=", " ", "\t", ""))
    if starts and text.startswith("-"):
        raise UnsafeValueError(f"it starts with '-'; {advice}")
    return text


def write_lexed(keyword: str, position: Position, value: PrintedValue, escape: str) -> str:
    """Write a value at a position of a LexedScan. Raises UnsafeValueError."""
    text = one_line(value.text)
    match position.state:
        case "key":
            return _key(keyword, position, text)
        case "name":
            return name(text)
        case "escaped" | "braces":
            return strict(text, _UNCLEAR)
        case "single":
            return text.replace("'", f"'{escape}''")
        case "double":
            separator = '""' if position.extends_variable(text) else ""
            return separator + _double_quoted(text, escape)
        case _:
            return _bare(position, text, escape)


def write_word(keyword: str, position: Position, value: PrintedValue, escape: str) -> str:
    """Write a value at a position of a LexedScan in COPY, ADD or VOLUME. Raises UnsafeValueError.

    BuildKit splits their arguments at blanks before it looks at quotes, so no quoting protects a blank.
    """
    if position.leading.endswith(("<<", "<<-")):
        raise UnsafeValueError("a heredoc's name cannot be a value; write the name in the template")
    if any(char.isspace() for char in value.text):
        advice = f'use a JSON array: {keyword} ["…", "…"]'
        if value.text.lstrip().startswith("--"):
            option = value.text.split()[0].partition("=")[0]
            advice = (
                f"write the option in the template, {keyword} {option}={{{{ … }}}}, or trust the value with"
                " `| raw` or `snippets:`"
            )
        raise UnsafeValueError(f"it contains a blank, at which {keyword} splits its arguments; {advice}")
    return write_lexed(keyword, position, value, escape)
