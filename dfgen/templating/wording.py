"""Words the errors of Jinja's parser and of Python for the author of a template.

Jinja says what its parser expected; an author needs the line of the mistake, and a remedy. Errors of
operators, filters and methods are Python's, with names of types and functions that no template contains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.parser import Parser

from dfgen.errors import listing, nearest

# Syntax errors.

_BLOCKS = ("autoescape", "block", "call", "filter", "for", "if", "macro", "raw", "set", "with")
_TAGS = (*_BLOCKS, *(f"end{tag}" for tag in _BLOCKS), "elif", "else", "extends", "from", "import", "include")
_INNERMOST = re.compile(r"The innermost block that needs to be closed is '(\w+)'")
_UNKNOWN_TAG = re.compile(r"Encountered unknown tag '(\w+)'")
_EXPECTED = re.compile(r"expected token '(.+)', got '(.+)'|unexpected '(.)', expected '(.)'", re.DOTALL)
_UNEXPECTED = re.compile(r"(?:Expected an expression, got|unexpected) '(.+)'", re.DOTALL)
_CHARACTER = re.compile(r"unexpected char (['\"])(.+)\1 at \d+", re.DOTALL)
_OPENING = re.compile(r"\{[{%]")
_ELSE_IF = re.compile(r"\{%[-+]?\s*else\s+if\b")
_TOKENS = {
    "begin of print statement": "{{",
    "begin of statement block": "{%",
    "end of print statement": "}}",
    "end of statement block": "%}",
    "end of template": "the end of the file",
    "float": "a number",
    "integer": "a number",
    "string": "a text",
}
_CHARACTERS = {
    "!": "'!' is not an operator; write not",
    "$": "'$' is not part of a name; write {{ name }}",
    "&": "'&' is not an operator; write and",
    "?": "'?' is not an operator; write A if CONDITION else B",
    "'": "a text that begins with ' is never closed; add the second '",
    '"': 'a text that begins with " is never closed; add the second "',
}
_MESSAGES = {
    "Missing end of comment tag": "{# is never closed; add #}",
    "Missing end of raw directive": "{% raw %} is never closed; add {% endraw %}",
    "Can't assign to special loop variable in for-loop target": "loop is Jinja's own; use another name",
    "can't assign to 'const'": "true, false, none, numbers and texts cannot be assigned; use another name",
    "can't assign to 'name'": "true, false and none cannot be assigned; use another name",
    "chunk after expression": "unexpected text after the expression; compare with ==, combine with and, or",
    "expected name or number": "a name is missing after the dot",
    "invalid syntax for function call expression": "arguments without a name go before those with a name",
    "tag name expected": "{% is followed by no tag; write one, for example {% if … %}",
    "unexpected '.'": "a name does not begin with a dot; put Go templates into {% raw %} … {% endraw %}",
    "unexpected '}'": "unexpected '}'; an expression ends with }}, and a tag with %}",
}


def syntax_error(message: str, line: int, source: str, environment: Environment) -> tuple[int, str]:
    """Return the line to fix and a message for a syntax error that Jinja found in `line`."""
    if tag := _UNKNOWN_TAG.match(message):
        return line, _unknown_tag(tag[1], _open_tags(source, environment, tag[1], line))
    if innermost := _INNERMOST.search(message):
        return _unclosed(innermost[1], _open_tags(source, environment, "", line), line)
    if message.startswith("unexpected end of template") or message == "unexpected 'end of template'":
        start, sign = _last_opening(source, line)
        closing = "}}" if sign == "{{" else "%}"
        # Without a sign, it is an expression of the catalog.
        return start, f"{sign} is never closed; add {closing}" if sign else "the expression is incomplete"
    found = _EXPECTED.fullmatch(message)
    if not found:
        return line, _in_expression(message)
    wanted, got = (found[1], found[2]) if found[1] else (found[4], found[3])
    start, sign = _last_opening(source, line, got)
    if wanted.startswith("end of") and sign and start < line:
        shown = _TOKENS.get(got) or repr(got)
        return start, f"{sign} is not closed before {shown} on line {line}; add {_TOKENS.get(wanted)}"
    return line, _unexpected(wanted, got, "".join(source.split("\n")[line - 1 : line]))


def _unexpected(wanted: str, got: str, text: str) -> str:
    """Describe an unexpected token in a line."""
    shown = _TOKENS.get(got) or repr(got)
    if (wanted, got) == (":", "}"):
        return "names within {% … %} and {{ … }} are written without {{ }}"
    if wanted == "name":
        return f"a name is missing before {shown}"
    if not wanted.startswith("end of"):
        return f"expected {_TOKENS.get(wanted) or repr(wanted)} before {shown}"
    if got == "=":
        return "'=' does not compare; write =="
    if got == "if" and _ELSE_IF.search(text):
        return "{% else if … %} is not a tag; write {% elif … %}"
    return f"expected {_TOKENS.get(wanted)} or an operator before {shown}"


def _in_expression(message: str) -> str:
    """Describe an error for which the line is enough."""
    if found := _CHARACTER.fullmatch(message):
        return _CHARACTERS.get(found[2], f"unexpected character {found[2]!r} in an expression")
    if message.startswith("Block names"):
        return "the name of a block contains '-'; use '_'"
    found = None if message in _MESSAGES else _UNEXPECTED.fullmatch(message)
    if not found:
        return _MESSAGES.get(message) or message.rstrip(".")
    if found[1] in (")", "]"):
        return f"unexpected {found[1]!r}; check the brackets and the expression before it"
    return f"an expression is missing before {_TOKENS.get(found[1]) or repr(found[1])}"


def _last_opening(source: str, line: int, before: str = "") -> tuple[int, str]:
    """Return the line and the sign of the last `{{` or `{%` up to a line, or up to `before` in it."""
    *lines, last = source.split("\n")[:line]
    text = "\n".join((*lines, last.partition(before)[0] if before else last))
    found = [*_OPENING.finditer(text)]
    return (text.count("\n", 0, found[-1].start()) + 1, found[-1][0]) if found else (line, "")


@dataclass(slots=True)
class _Open:
    """A block tag that is not closed yet."""

    tag: str
    line: int
    has_else: bool = False


def _open_tags(source: str, environment: Environment, before: str, line: int) -> list[_Open]:
    """Return the block tags that are open at the end, or before a tag in a line, outermost first."""
    found: list[_Open] = []
    for at, words in _statements(source, environment):
        tag, top = words[0], found[-1] if found else None
        if top and tag == f"end{top.tag}":
            found.pop()
        elif top and tag == "else" and top.tag in ("if", "for") and not top.has_else:
            top.has_else = True
        elif (at, tag) == (line, before) and not (tag == "elif" and top and top.tag == "if"):
            return found
        elif tag in _BLOCKS and not (tag == "set" and "=" in words):
            found.append(_Open(tag, at))
    return found


def _statements(source: str, environment: Environment) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the words of every `{% … %}` up to the first error."""
    words: list[str] = []
    start = 0
    with suppress(TemplateSyntaxError):
        for line, kind, value in environment.lex(source):
            if kind == "block_begin":
                start, words = line, []
            elif kind == "block_end" and words:
                yield start, words
            elif kind not in ("whitespace", "data"):
                words.append(value)


def _unclosed(tag: str, opened: Sequence[_Open], line: int) -> tuple[int, str]:
    at = next((one.line for one in reversed(opened) if one.tag == tag), line)
    if tag == "set":
        return at, "{% set %} without = begins a block that is never closed; write {% set NAME = VALUE %}"
    return at, f"{{% {tag} %}} is never closed; add {{% end{tag} %}}"


def _unknown_tag(tag: str, opened: Sequence[_Open]) -> str:
    if tag not in _TAGS:
        hint = " (did you mean 'elif'?)" if tag.startswith("els") else nearest(tag, _TAGS)
        return f"unknown tag {tag!r}{hint or f'; supported: {listing(sorted(_TAGS))}'}"
    if not opened:
        wanted = "if" if tag in ("elif", "else") else tag.removeprefix("end")
        return f"{{% {tag} %}} has no {{% {wanted} %}}; remove it, or add the {{% {wanted} %}}"
    top = opened[-1]
    block = f"the {{% {top.tag} %}} of line {top.line}"
    if top.has_else and tag in ("elif", "else"):
        return f"{{% {tag} %}} follows the {{% else %}} of {block}; remove one of them"
    return f"{{% {tag} %}} is inside {block}; add {{% end{top.tag} %}} before it"


# Errors while a template is compiled.

COMPILE_ERRORS = (AssertionError, MemoryError, OverflowError, RecursionError, SyntaxError, ValueError)
_DEBUG_INFO = re.compile(r"^debug_info = '([0-9=&]*)'$", re.MULTILINE)
_COMPILER = (
    (
        re.compile(r"too many (?:statically nested blocks|levels of indentation)"),
        "too many blocks are nested in one another",
    ),
    (re.compile(r"duplicate argument 'l_\d+_(\w+)' .*"), "two parameters have the name {}"),
    (re.compile(r"keyword argument repeated: (\w+)"), "the argument {} is passed twice"),
)


def is_too_deep(error: BaseException) -> bool:
    """Whether an expression or block is nested too deeply for a compiler."""
    return isinstance(error, RecursionError | MemoryError)


def compile_error(error: BaseException) -> str:
    """Word an error of Jinja's code generator, or of Python's compiler in the code that it generated."""
    if is_too_deep(error):
        return "an expression or a block is nested too deeply; split it"
    if not isinstance(error, SyntaxError):
        return python_error(error)
    text = error.msg.partition(" (")[0]
    found = ((pattern.fullmatch(text), words) for pattern, words in _COMPILER)
    return next(
        (words.format(*match.groups()) for match, words in found if match), f"cannot be compiled: {text}"
    )


def line_of(error: BaseException) -> int:
    """Return the template's line that was read or compiled when an error was raised; 0 if unknown."""
    line, traceback = 0, error.__traceback__
    while traceback is not None:
        names = traceback.tb_frame.f_locals
        owner, node = names.get("self"), names.get("node")
        if isinstance(owner, Parser):
            line = owner.stream.current.lineno
        elif isinstance(node, nodes.Node) and node.lineno:
            line = node.lineno
        elif "lexer" in traceback.tb_frame.f_code.co_filename and isinstance(names.get("lineno"), int):
            line = names["lineno"]
        elif isinstance(error, SyntaxError) and isinstance(source := names.get("source"), str):
            line = _generated_line(source, error.lineno or 0) or line
        traceback = traceback.tb_next
    return line


def _generated_line(source: str, line: int) -> int:
    """Return the template's line of a line of generated code."""
    found = _DEBUG_INFO.search(source)
    pairs = (pair.split("=") for pair in found[1].split("&")) if found and found[1] else ()
    return max((int(own) for own, generated in pairs if int(generated) <= line), default=0)


def deepest_line(tree: nodes.Template) -> int:
    """Return the line of the most deeply nested node, without recursion."""
    deepest, line = 0, 1
    waiting: list[tuple[int, nodes.Node]] = [(0, tree)]
    while waiting:
        depth, node = waiting.pop()
        if depth > deepest:
            deepest, line = depth, node.lineno or line
        waiting.extend((depth + 1, child) for child in node.iter_child_nodes())
    return line


# Errors of Python.

_KINDS = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "generator": "a list",
    "int": "a number",
    "list": "a list",
    "NoneType": "null",
    "range": "a list",
    "str": "a text",
    "tuple": "a list",
    "Macro": "a macro",
    "Namespace": "a namespace",
    "TemplateModule": "an imported template",
    "Fragment": "a text",
    "Json": "a text",
    "Trusted": "a text",
    "Word": "a text",
}
_FUNCTION = re.compile(r"(?:[\w.]*\.)?(?:sync_do_|do_|test_)?(\w+)\(\) (missing|takes|got) (.*)")
_NAMES = {"as_json": "tojson", "as_word": "quote", "len": "length", "soft_str": "string"}
_LAMBDA = re.compile(r"[\w.<>]*(?:<locals>|<lambda>)[\w.<>]*\(\) (?:missing|takes|got) .*")
# Texts of CPython, and what they say about a template; K1 and K2 stand for the kinds of the named types.
_PYTHON = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"'(?P<k1>\w+)' object is not callable", "K1 cannot be called; remove the parentheses"),
        (r"'(?P<k1>\w+)' object is not (?:iterable|reversible)", "K1 has no items; expected a list"),
        (
            r"(?:argument of type '(?P<k1>\w+)' is not iterable)",
            "K1 contains nothing; expected a list or a text",
        ),
        (r"cannot unpack non-iterable (?P<k1>\w+) object", "K1 cannot be assigned to several names"),
        (r"'(?P<k1>\w+)' object is not subscriptable", "K1 has no items; remove the […]"),
        (r"'(?P<k1>\w+)' object has no attribute '(?P<a>\w+)'", "K1 has no {a!r}"),
        (r"object of type '(?P<k1>\w+)' has no len\(\)", "K1 has no length"),
        (r"unhashable type: '(?P<k1>\w+)'", "K1 cannot be a key, or be compared with keys"),
        (r"bad operand type for (?:unary )?(?P<a>\S+): '(?P<k1>\w+)'", "{a} cannot be used with K1"),
        (r"type (?P<k1>\w+) doesn't define __round__ method", "K1 cannot be rounded"),
        (
            r"unsupported operand type\(s\) for \+: '(?P<k1>\w+)' and '(?P<k2>\w+)'",
            "+ cannot be used with K1 and K2; join texts with ~",
        ),
        (
            r"unsupported operand type\(s\) for (?P<a>\S+)(?: or \S+)?: '(?P<k1>\w+)' and '(?P<k2>\w+)'",
            "{a} cannot be used with K1 and K2",
        ),
        (
            r"can only concatenate (?P<k1>\w+) \(not \"(?P<k2>\w+)\"\) to \w+",
            "+ cannot be used with K1 and K2; join texts with ~",
        ),
        (
            r"can't multiply sequence by non-int of type '(?P<k1>\w+)'",
            "* cannot be used with a list or text and K1",
        ),
        (
            r"'(?P<a>[<>]=?)' not supported between instances of '(?P<k1>\w+)' and '(?P<k2>\w+)'",
            "{a} cannot compare K1 with K2",
        ),
        (r"'in <string>' requires string as left operand, not (?P<k1>\w+)", "a text cannot contain K1"),
        (r"sequence item \d+: expected str instance, (?P<k1>\w+) found", "expected texts, found K1"),
        (r"(?:Value|.*argument) after \*\*? must be .*, not (?P<k1>\w+)", "K1 cannot be passed with * or **"),
        (
            r"expected str, bytes or os.PathLike object, not (?P<k1>\w+)",
            "expected the name of a template, found K1",
        ),
        (r"float\(\) argument must be .*, not '(?P<k1>\w+)'", "expected a number, found K1"),
        (r"'(?P<k1>\w+)' object cannot be interpreted as an integer", "expected a whole number, found K1"),
        (
            r"too many values to unpack \(expected (?P<a>\d+)\)",
            "{a} names are assigned, but there are more values",
        ),
        (
            r"not enough values to unpack \(expected (?:at least )?(?P<a>\d+), got (?P<b>\d+)\)",
            "{a} names are assigned, but the number of values is {b}",
        ),
        (
            r"(?:could not convert string to float|invalid literal for int\(\) .*): (?P<a>.*)",
            "{a} is not a number",
        ),
        (r"slice indices must be .*", "the positions in […:…] must be whole numbers"),
        (r"(?:list|tuple|string) ind(?:ex|ices) .*", "the list has no item at this position"),
        (r"not all arguments converted during string formatting", "there are more values than % in the text"),
        (r"not enough arguments for format string", "there are more % in the text than values"),
        (
            r"the template '(?P<a>.+)' \(imported on line \d+ in '.+'\) does not export the requested name"
            r" '(?P<b>\w+)'",
            "template {a!r} does not define {b!r}, which is imported from it",
        ),
        (r"no loader for this environment specified", "a text of the catalog cannot use a template"),
        (
            r"cannot assign attribute on non-namespace object",
            "only a namespace has attributes that can be set; write {{% set NAME = namespace() %}}",
        ),
        (r"Range too big.*\((?P<a>\d+)\)\.", "range() has more than {a} numbers"),
        (r"argument must be iterable", "expected a list or a text"),
        (r"Exceeds the limit \((?P<a>\d+) digits\).*", "a number has more than {a} digits"),
        (r".*too large to convert.*|cannot fit .*", "the number is too large"),
        (r"'utf-8' codec can't encode .*", "a text contains a surrogate, which is not a character"),
        (
            r"macro '(?P<a>\w+)' takes not more than (?P<b>\d+) argument\(s\)",
            "macro {a!r} takes fewer arguments than it gets; its limit is {b}",
        ),
        (
            r"macro '(?P<a>\w+)' was invoked with two values for the special caller argument.*",
            "macro {a!r} does not use caller(), so {{% call %}} cannot call it",
        ),
    )
)


def kind_of(value: object) -> str:
    """Name the kind of a value in a catalog's words."""
    return _KINDS.get(type(value).__name__, f"a {type(value).__name__}")


def python_error(error: BaseException) -> str:
    """Word an error of an operator, a filter or a method in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    for pattern, words in _PYTHON:
        if found := pattern.fullmatch(text):
            values = found.groupdict()
            kinds = {key: _KINDS.get(name, name) for key, name in values.items() if key in ("k1", "k2")}
            shown = words.replace("K1", kinds.get("k1", "")).replace("K2", kinds.get("k2", ""))
            return shown.format(**values)
    if _LAMBDA.fullmatch(text):
        return "wrong number of arguments, or an argument with an unknown name"
    if found := _FUNCTION.fullmatch(text):
        name = _NAMES.get(found[1], found[1])
        if found[2] == "takes":
            return f"wrong number of arguments for {name}"
        rest = found[3].replace("required positional ", "").replace("positional ", "").replace("keyword ", "")
        return f"wrong arguments for {name}: {found[2]} {rest}"
    return text
