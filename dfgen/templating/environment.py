"""The sandboxed Jinja2 environments: one for the catalog's expressions, one that taints values in templates.

Templates and catalogs may come from a pull request, so their code is not trusted: it can read no private
attribute and no file outside its folder, use no unbounded time or memory, and render nothing random.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path, PurePosixPath
from types import BuiltinMethodType
from typing import Any, cast

from jinja2 import BaseLoader, Environment, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.compiler import Frame
from jinja2.exceptions import SecurityError
from jinja2.filters import do_indent, make_attrgetter
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import pass_environment
from jinja2.visitor import NodeTransformer

from dfgen.templating.comparisons import (
    COMPARING_TESTS,
    ORDERING_FILTERS,
    Comparing,
    as_version,
    check_order,
    comparing,
    operand,
)
from dfgen.templating.errors import Missing
from dfgen.templating.printing import (
    DATA_FILTERS,
    TEXT_FILTERS,
    Formatter,
    UnprintableError,
    as_text,
    filter_argument,
    filtered,
    format_operand,
)
from dfgen.templating.taint import (
    CLOSE,
    JSON,
    SENTINEL,
    UNKNOWN_SITE,
    VALUE,
    WORD,
    Fragment,
    Json,
    Site,
    Trusted,
    Word,
    compose,
    plain,
    site_char,
    site_index,
)


class FolderLoader(BaseLoader):
    """Reads templates of a folder; neither `..` nor a symbolic link leads out of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get_source(
        self,
        environment: Environment,  # noqa: ARG002 (the signature is Jinja's)
        template: str,
    ) -> tuple[str, str, Callable[[], bool]]:
        """Return a template's text. Raises TemplateNotFound if it is not a file in the folder."""
        path = self._path(template)
        if path is None:
            raise TemplateNotFound(template)
        try:
            source = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            message = f"is not UTF-8 (byte {error.start}); save it as UTF-8"
            raise TemplateSyntaxError(message, 1, template, str(path)) from None
        if found := SENTINEL.search(source):
            message = f"contains the noncharacter U+{ord(found[0]):04X}, which dfgen reserves; remove it"
            line = source.count("\n", 0, found.start()) + 1
            raise TemplateSyntaxError(message, line, template, str(path))
        return source, template, lambda: True

    def _path(self, template: str) -> Path | None:
        name = PurePosixPath(template)
        if name.is_absolute() or ".." in name.parts or "\0" in template or "\\" in template:
            return None
        path = (self.root / name).resolve()
        inside = path.is_relative_to(self.root.resolve())
        return path if inside and path.is_file() else None

    def list_templates(self) -> list[str]:
        """Return the names of all templates, sorted; hidden files are skipped."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*"))
        names = (path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
        return sorted(name for name in names if self._path(name))


# Limits far above what a Dockerfile needs (BuildKit accepts 65,535 bytes per line), and low enough that a
# template cannot exhaust memory: Jinja's sandbox only limits range().
MAX_LENGTH = 4_000_000  # characters or items
_MAX_BITS = 20_000
_MAX_NUMBER = 100_000
_WIDE = re.compile(r"[0-9]{6,}|%[^a-zA-Z%]*\*")


def check_length(result: object) -> object:
    """Raise SecurityError if a text or list is too long; return it otherwise."""
    if isinstance(result, str | list | tuple) and len(result) > MAX_LENGTH:
        raise SecurityError(
            f"the result has {len(result):,} characters or items; the limit is {MAX_LENGTH:,}"
        )
    return result


def check_product(left: object, right: object) -> None:
    """Raise SecurityError if `left * right` would be too long or too large."""
    for sequence, number in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(number, int):
            if len(sequence) * number > MAX_LENGTH:
                raise SecurityError(f"the result would have more than {MAX_LENGTH:,} characters or items")
        elif isinstance(sequence, int) and sequence.bit_length() > _MAX_BITS:
            raise SecurityError("the number has too many digits")


def check_power(base: object, exponent: object) -> None:
    """Raise SecurityError if a power would have too many digits."""
    are_integers = isinstance(base, int) and isinstance(exponent, int)
    if are_integers and base.bit_length() * exponent > _MAX_BITS:  # type: ignore[attr-defined]
        raise SecurityError("the power has too many digits")


def check_format(text: object) -> None:
    """Raise SecurityError for large widths like `%999999999d`, and for widths from arguments (`%*d`)."""
    if isinstance(text, str) and _WIDE.search(text):
        raise SecurityError("a width of more than five digits, or '*', in a format is not allowed")


def check_numbers(positional: Iterable[object], named: Mapping[str, object]) -> None:
    """Raise SecurityError for large counts and widths in the arguments of methods and filters."""
    for argument in (*positional, *named.values()):
        if isinstance(argument, int) and argument > _MAX_NUMBER:
            raise SecurityError(f"the argument {argument:,} is too large; the limit is {_MAX_NUMBER:,}")


def as_json(value: object, indent: int | None = None) -> Json:
    """The `tojson` filter: sorted keys, no HTML escapes."""
    return Json(json.dumps(plain(value), ensure_ascii=False, sort_keys=True, indent=indent))


def as_word(value: object) -> Word:
    """The `quote` filter: write the value as a single shell word."""
    return Word(as_text(plain(value)))


_RANDOM = {"filters": ("random",), "globals": ("lipsum",)}  # the same input must render to the same bytes


class Sandbox(SandboxedEnvironment):
    """Strict about undefined names, limited in size, deterministic."""

    code_generator_class = Comparing
    operand = staticmethod(operand)
    intercepted_binops = frozenset(("+", "-", "*", "**", "%"))

    def __init__(self, **options: Any) -> None:
        super().__init__(undefined=Missing, autoescape=False, auto_reload=False, cache_size=-1, **options)
        for name in _RANDOM["filters"]:
            del self.filters[name]
        for name in _RANDOM["globals"]:
            del self.globals[name]
        self.filters["quote"] = as_word
        self.filters["as_version"] = as_version
        self.tests.update(
            {name: comparing(cast(Callable[..., Any], self.tests[name])) for name in COMPARING_TESTS}
        )
        self.tests["in"] = lambda value, items: operand(value) in items
        for name, function in self.filters.items():
            self.filters[name] = self.guarded(name, function)

    def guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Check the arguments of a filter before it is called."""
        at = 1 if hasattr(function, "jinja_pass_arg") else 0
        prints = name in TEXT_FILTERS or name in DATA_FILTERS

        @wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            if prints and len(args) > at:
                more = (filter_argument(name, one) for one in args[at + 1 :])
                args = (*args[:at], filtered(name, args[at]), *more)
            if prints and kwargs:
                kwargs = {key: filter_argument(name, one) for key, one in kwargs.items()}
            if name == "format":
                check_format(args[0])
            check_numbers(args[1:], kwargs)
            if name in ORDERING_FILTERS:
                args = (*args[:at], self._ordered(name, args[at], kwargs.get("attribute")), *args[at + 1 :])
            return function(*args, **kwargs)

        return bounded

    def _ordered(self, name: str, values: Iterable[Any], attribute: str | int | None) -> list[Any]:
        """Return the values that a filter puts in order. Raises ValueError if versions would be text."""
        items = list(values)
        check_order(map(make_attrgetter(self, attribute), items), name)
        return items

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Check the operands of operators whose result can grow without limit."""
        if operator == "*":
            check_product(left, right)
        elif operator == "**":
            check_power(left, right)
        elif operator == "%":
            check_format(left)
            right = format_operand(right) if isinstance(left, str) else right
        result = check_length(super().call_binop(context, operator, left, right))
        # The order of a set of texts differs from run to run.
        return sorted(result, key=str) if isinstance(result, set | frozenset) else result

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Check the widths in a `'...'.format()`."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        text = value.__self__
        check_format(text)
        formatter = Formatter(self)

        @wraps(value)
        def formatted(*args: Any, **kwargs: Any) -> str:
            """Format as Jinja's wrapper does, which checks the arguments of format_map."""
            if value.__name__ == "format_map":
                return formatter.vformat(text, (), args[0] if args else {})
            return formatter.vformat(text, args, kwargs)

        return formatted

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        """Return an undefined value that raises SecurityError when it is used."""
        hint = f"templates cannot access the attribute {attribute!r}"
        return self.undefined(hint, name=attribute, obj=obj, exc=SecurityError)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Check the numbers that methods of texts and lists receive, for example `ljust`."""
        if isinstance(getattr(__obj, "__wrapped__", __obj), BuiltinMethodType):
            check_numbers(args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)


class PlainSandbox(Sandbox):
    """For the conditions and texts of the catalog, which are neither tainted nor quoted."""

    def __init__(self) -> None:
        super().__init__(finalize=as_text, keep_trailing_newline=True)


def describe(node: nodes.Node) -> str:
    """Return an expression as written in the template; what is too complex becomes `…`."""
    text = "…"
    match node:
        case nodes.Name():
            text = node.name
        case nodes.Const():
            text = repr(node.value)
        case nodes.Getattr():
            text = f"{describe(node.node)}.{node.attr}"
        case nodes.Getitem():
            text = f"{describe(node.node)}[{describe(node.arg)}]"
        case nodes.Filter() if node.node is not None:
            text = f"{describe(node.node)} | {node.name}"
        case nodes.Call():
            text = f"{describe(node.node)}(…)"
        case nodes.Concat():
            text = " ~ ".join(describe(part) for part in node.nodes)
    return text


_LOST = (
    "it was composed by a macro, a block or join and changed afterwards, so dfgen cannot distinguish its"
    " values from template text; change the values before they are composed, or print one after the other"
    " with {% for … %}"
)
_UNCHANGED_BY = frozenset(("d", "default", "quote", "raw", "safe", "string", "tojson"))

FILTER_BLOCK = "_filter_block_"  # prefix of the variables that _FilterBlocks creates


def tainted(value: object, site: str = UNKNOWN_SITE) -> str:
    """Taint the value of an expression; trusted and composed text stays unchanged."""
    if type(value) is int or (type(value) is str and not SENTINEL.search(value)):
        return f"{VALUE}{site}{value}{CLOSE}"
    if type(value) is Fragment and str.find(value, UNKNOWN_SITE) >= 0:
        return value.at_site(site)
    if isinstance(value, Trusted):
        return value
    text = as_text(value)
    if SENTINEL.search(text):
        raise UnprintableError(_LOST)
    if hasattr(value, "__dockerfile__"):
        return Fragment(text)
    kind = JSON if isinstance(value, Json) else WORD if isinstance(value, Word) else VALUE
    return f"{kind}{site}{text}{CLOSE}"


class _FilterBlocks(NodeTransformer):
    """Rewrites `{% filter f %}` to a set block that is printed, so that its result is tainted."""

    def visit_FilterBlock(self, node: nodes.FilterBlock) -> list[nodes.Node]:  # noqa: N802
        """Set a variable that no template can name, and print it, both on the block's line."""
        self.generic_visit(node)
        line, name = node.lineno, f"{FILTER_BLOCK}{node.lineno}"
        block = nodes.AssignBlock(nodes.Name(name, "store"), node.filter, node.body, lineno=line)
        return [block, nodes.Output([nodes.Name(name, "load", lineno=line)], lineno=line)]


class Generator(Comparing):
    """Generates Python code that taints every printed expression and trusts literals."""

    environment: TaintingSandbox

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        const = super()._output_child_to_const(node, frame, finalize)
        if not isinstance(node.as_const(frame.eval_ctx), str):
            raise nodes.Impossible  # a literal number, null or list is handled as a value
        return const

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:  # noqa: ARG002
        self.write("environment.taint(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:  # noqa: ARG002
        site = Site(template=self.name or "", line=node.lineno, expression=describe(node))
        self.write(f", {self.environment.add_site(site)!r})")

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:  # noqa: N802
        """Generate code that trusts a literal."""
        if isinstance(node.value, str):
            self.environment.literals[node.value] = Trusted(node.value)
            self.write(f"environment.literals[{node.value!r}]")
        else:
            super().visit_Const(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """Generate code that lets the environment concatenate `a ~ b`."""
        self.write("environment.concatenate((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


@pass_environment
def join(
    environment: TaintingSandbox, value: Any, d: object = "", attribute: str | int | None = None
) -> Fragment:
    """The `join` filter: items are values, a literal separator is template text."""
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    separator = tainted(d)
    parts = [part for item in value for part in (separator, tainted(item))]
    return environment.concat(parts[1:])


def raw(value: object) -> Fragment:
    """The `raw` filter: trust a value as Dockerfile text."""
    text = as_text(plain(value))
    if SENTINEL.search(text):
        raise UnprintableError(_LOST)
    return Fragment(text)


class TaintingSandbox(Sandbox):
    """The environment of a folder of templates; `sites` are the expressions of all compiled templates."""

    code_generator_class = Generator
    concat = staticmethod(compose)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sites: list[Site] = []
        self.literals: dict[str, Trusted] = {}
        own: dict[str, Callable[..., Any]] = {
            "join": join,
            "raw": raw,
            "tojson": as_json,
            "safe": lambda value: value,
        }
        self.filters.update({name: self.guarded(name, function) for name, function in own.items()})

    def add_site(self, site: Site) -> str:
        """Register an expression and return its character."""
        self.sites.append(site)
        return site_char(len(self.sites) - 1)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        return _FilterBlocks().visit(tree)  # type: ignore[no-any-return]

    def taint(self, value: object, site: str) -> str:
        """Taint the value that an expression prints. Raises UnprintableError with the expression."""
        try:
            return tainted(value, site)
        except UnprintableError as error:
            expression = self.sites[site_index(site)].expression
            raise UnprintableError(f"{expression!r} cannot be printed: {error}") from None

    def concatenate(self, parts: Iterable[object]) -> str:
        """Evaluate `a ~ b`.

        With composed text, the result is composed and other parts are tainted; values are joined to a value.
        """
        items = list(parts)
        if any(isinstance(item, Fragment) for item in items):
            return self.concat(tainted(item) for item in items)
        text = "".join(as_text(item) for item in items)
        check_length(text)
        return Trusted(text) if all(isinstance(item, Trusted) for item in items) else text

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Evaluate `+` with composed text like `~`."""
        if operator == "+" and (isinstance(left, Fragment) or isinstance(right, Fragment)):
            return self.concatenate((left, right))
        return super().call_binop(context, operator, left, right)

    def guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Check the arguments, and adapt the filter to composed text.

        A filter that does not support sentinels receives the visible text. If it returns text, that is
        rejected, because its values can no longer be distinguished from template text.
        """
        bounded = super().guarded(name, function)
        at = 1 if hasattr(function, "jinja_pass_arg") else 0

        @wraps(function)
        def adapted(*args: Any, **kwargs: Any) -> Any:
            if len(args) <= at or not isinstance(args[at], Fragment):
                return bounded(*args, **kwargs)
            if name in _SENTINEL_AWARE:
                return _SENTINEL_AWARE[name](bounded, *args, **kwargs)
            if name in _UNCHANGED_BY:
                return bounded(*args, **kwargs)
            result = bounded(*args[:at], args[at].plain(), *args[at + 1 :], **kwargs)
            if isinstance(result, str):
                raise UnprintableError(f"the filter '{name}' does not support composed text: {_LOST}")
            return result

        return adapted


def _trim(_function: Any, value: Fragment, chars: str | None = None) -> Fragment:
    return value.strip(chars)


def _indent(_function: Any, value: Fragment, *args: Any, **kwargs: Any) -> Fragment:
    return value.with_text(do_indent(str(value), *args, **kwargs))


def _replace(
    _function: Any, _context: Any, value: Fragment, old: object, new: object, count: int | None = None
) -> Fragment:
    return value.replaced(str(plain(old)), str(tainted(new)), -1 if count is None else count)


_SENTINEL_AWARE: dict[str, Callable[..., Fragment]] = {
    "trim": _trim,
    "indent": _indent,
    "replace": _replace,
    "upper": lambda _function, value: value.upper(),
    "lower": lambda _function, value: value.lower(),
}
