"""The sandboxed Jinja2 environments: one for the catalog's expressions, one that taints values in templates.

Templates and catalogs may come from a pull request, so their code is not trusted: it can read no private
attribute and no file outside its folder, use no unbounded time or memory, and render nothing random.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path, PurePosixPath
from types import BuiltinMethodType, GeneratorType, MethodDescriptorType
from typing import Any, cast

from jinja2 import BaseLoader, Environment, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.compiler import Frame
from jinja2.exceptions import SecurityError
from jinja2.filters import do_indent, make_attrgetter
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import pass_environment
from jinja2.visitor import NodeTransformer

from dfgen.catalog.reading import read_bytes
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
from dfgen.templating.limits import (
    CALL,
    MAX_LENGTH,
    METER,
    STEPS,
    check_filter,
    check_format,
    check_json,
    check_length,
    check_method,
    check_operands,
    counted,
    measured,
    searched,
    sized,
)
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
from dfgen.templating.wording import COMPILE_ERRORS, compile_error, deepest_line, is_too_deep, line_of


class FolderLoader(BaseLoader):
    """Reads templates of a folder; neither `..` nor a symbolic link leads out of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get_source(
        self,
        environment: Environment,  # noqa: ARG002 (the signature is Jinja's)
        template: str,
    ) -> tuple[str, str, Callable[[], bool]]:
        """Return a template's text.

        Raises TemplateNotFound if there is no file, and InputError for a link out of the folder, a FIFO or a
        device: waiting for it, or reading it, would never end.
        """
        path = self.root / template
        if not self._has(template):
            raise TemplateNotFound(template)
        try:
            source = read_bytes(self.root.parent, f"{self.root.name}/{template}").decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"is not UTF-8 (byte {error.start}); save it as UTF-8"
            raise TemplateSyntaxError(message, 1, template, str(path)) from None
        if len(source) > MAX_LENGTH:
            message = f"has {len(source):,} characters; the limit is {MAX_LENGTH:,}"
            raise TemplateSyntaxError(message, 1, template, str(path))
        if found := SENTINEL.search(source):
            message = f"contains the noncharacter U+{ord(found[0]):04X}, which dfgen reserves; remove it"
            line = source.count("\n", 0, found.start()) + 1
            raise TemplateSyntaxError(message, line, template, str(path))
        return source, template, lambda: True

    def _has(self, template: str) -> bool:
        """Whether something that is not a folder has this name in the folder."""
        name = PurePosixPath(template)
        if name.is_absolute() or ".." in name.parts or "\0" in template or "\\" in template:
            return False
        try:
            return os.path.lexists(self.root / name) and not (self.root / name).is_dir()
        except OSError:  # a name that is too long
            return False

    def _is_listed(self, template: str) -> bool:
        """Whether it is a template: not a link that leads out of the folder, or to nothing."""
        path = self.root / template
        inside = not path.is_symlink() or path.resolve().is_relative_to(self.root.resolve())
        return inside and self._has(template) and path.exists()

    def list_templates(self) -> list[str]:
        """Return the names of all templates, sorted; hidden files are skipped."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*"))
        names = (path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
        return sorted(name for name in names if self._is_listed(name))


def as_json(value: object, indent: int | None = None) -> Json:
    """The `tojson` filter: sorted keys, no HTML escapes."""
    check_json(value, indent)
    return Json(json.dumps(plain(value), ensure_ascii=False, sort_keys=True, indent=indent))


def as_word(value: object) -> Word:
    """The `quote` filter: write the value as a single shell word."""
    return Word(as_text(plain(value)))


def _of_text(test: Callable[..., Any]) -> Callable[..., Any]:
    """Let a test of letters accept text, not the text that Python would make of a list."""
    return lambda value: test(as_text(plain(value)))


_C_CODE = (BuiltinMethodType, MethodDescriptorType, type)
_RANDOM = {"filters": ("random",), "globals": ("lipsum",)}  # the same input must render to the same bytes


class Sandbox(SandboxedEnvironment):
    """Strict about undefined names, limited in size, deterministic."""

    code_generator_class = Comparing
    operand = staticmethod(operand)
    measured = staticmethod(measured)
    searched = staticmethod(searched)
    sized = staticmethod(sized)
    meter = METER
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
        self.tests["in"] = lambda value, items: operand(value) in searched(items)
        for name in ("lower", "upper"):
            self.tests[name] = _of_text(cast(Callable[..., Any], self.tests[name]))
        for name, function in self.filters.items():
            self.filters[name] = self.guarded(name, function)

    def compile(self, source: Any, name: str | None = None, *args: Any, **options: Any) -> Any:
        """Compile a template. Whatever its code does to Jinja's or Python's compiler is a syntax error."""
        try:
            with warnings.catch_warnings():
                # Python warns about `1.5[0]` in the generated code; running it raises an error with the line.
                warnings.simplefilter("ignore", SyntaxWarning)
                return super().compile(source, name, *args, **options)
        except TemplateSyntaxError:
            raise
        except COMPILE_ERRORS as error:
            line = line_of(error)
            if not line and is_too_deep(error):
                line = deepest_line(self.parse(source))
            raise TemplateSyntaxError(compile_error(error), line or 1, name) from None

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
            if len(args) > at:
                value = check_filter(name, args[at], args[at + 1 :], kwargs)
                if name in ORDERING_FILTERS:
                    value = self._ordered(name, value, kwargs.get("attribute"))
                args = (*args[:at], value, *args[at + 1 :])
            if name == "format":
                check_format(args[0], kwargs or args[1:])
            result = function(*args, **kwargs)
            return counted(result) if isinstance(result, GeneratorType) else sized(result)

        return bounded

    def _ordered(self, name: str, values: Iterable[Any], attribute: str | int | None) -> list[Any]:
        """Return the values that a filter puts in order. Raises ValueError if versions would be text."""
        items = list(values)
        check_order(map(make_attrgetter(self, attribute), items), name)
        return items

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Check the operands of operators whose result can grow without limit."""
        meter = METER
        if operator == "%" and isinstance(left, str):
            check_format(left, right)
            right = format_operand(right)
        elif not (type(left) is type(right) is int and operator in "+-"):
            check_operands(operator, left, right)
        result = check_length(super().call_binop(context, operator, left, right))
        meter.left -= 1 + (len(result) >> 5 if isinstance(result, str) else 0)
        if meter.left < 0:
            meter.stop()
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
        """Charge for a call, and for what it returns."""
        meter = METER
        meter.left -= CALL
        if meter.left < 0:
            meter.stop()
        if isinstance(__obj, Macro):
            return super().call(__context, __obj, *args, **kwargs)
        method = getattr(__obj, "__wrapped__", __obj)
        if isinstance(method, _C_CODE) or isinstance(getattr(method, "__self__", None), str):
            args = check_method(method, args, kwargs)
        return sized(super().call(__context, __obj, *args, **kwargs))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parser = Parser(self, source, name, filename)
        try:
            return self._parsed(parser.parse())
        except RecursionError as error:
            line = max(parser.stream.current.lineno, line_of(error))
            raise TemplateSyntaxError(compile_error(error), line, name, filename) from None

    def _parsed(self, tree: nodes.Template) -> nodes.Template:
        return tree

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        # Jinja evaluates constant expressions here. The first render pays nothing for it, as the others do.
        left, METER.left = METER.left, STEPS
        try:
            return super()._generate(source, name, filename, defer_init)
        finally:
            METER.left = left


@pass_environment
def plain_join(environment: Sandbox, value: Any, d: object = "", attribute: str | int | None = None) -> str:
    """The `join` filter in the catalog's own texts."""
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    separator, parts = as_text(d), []
    for item in value:
        parts.append(as_text(item))
        METER.spend(1 + ((len(parts[-1]) + len(separator)) >> 5))
    return separator.join(parts)


class PlainSandbox(Sandbox):
    """For the conditions and texts of the catalog, which are neither tainted nor quoted."""

    def __init__(self) -> None:
        super().__init__(finalize=as_text, keep_trailing_newline=True)
        self.filters["join"] = self.guarded("join", plain_join)


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
    """Rewrites `{% filter f %}` to a set block that is printed, so that its result is tainted.

    Jinja does not resolve the variables in the filter of a set block, so they are read before it.
    """

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> list[nodes.Node]:  # noqa: N802
        """Read the variables of the filter."""
        self.generic_visit(node)
        names = node.filter.find_all(nodes.Name) if node.filter else ()
        loads = (nodes.Name(name, "load") for name in dict.fromkeys(one.name for one in names))
        return [*(nodes.ExprStmt(one, lineno=node.lineno) for one in loads), node]

    def visit_FilterBlock(self, node: nodes.FilterBlock) -> list[nodes.Node]:  # noqa: N802
        """Set a variable that no template can name, and print it, both on the block's line."""
        line, name = node.lineno, f"{FILTER_BLOCK}{node.lineno}"
        block = nodes.AssignBlock(nodes.Name(name, "store"), node.filter, node.body, lineno=line)
        printed = nodes.Output([nodes.Name(name, "load", lineno=line)], lineno=line)
        return [*self.visit_AssignBlock(block), printed]


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
    parts: list[str] = []
    meter = environment.meter
    for item in value:
        parts += (separator, tainted(item))
        meter.left -= 1 + ((len(separator) + len(parts[-1])) >> 5)
        if meter.left < 0:
            meter.stop()
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

    def _parsed(self, tree: nodes.Template) -> nodes.Template:
        return _FilterBlocks().visit(tree)  # type: ignore[no-any-return]

    def taint(self, value: object, site: str) -> str:
        """Taint the value that an expression prints. Raises UnprintableError with the expression."""
        try:
            text = tainted(value, site)
        except UnprintableError as error:
            expression = self.sites[site_index(site)].expression
            raise UnprintableError(f"{expression!r} cannot be printed: {error}") from None
        meter = METER
        meter.left -= 1 + (len(text) >> 5)
        if meter.left < 0:
            meter.stop()
        return text

    def concatenate(self, parts: Iterable[object]) -> str:
        """Evaluate `a ~ b`.

        With composed text, the result is composed and other parts are tainted; values are joined to a value.
        """
        items = list(parts)
        if any(isinstance(item, Fragment) for item in items):
            return self.concat(_joinable([tainted(item) for item in items]))
        text = "".join(_joinable([as_text(item) for item in items]))
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


def _joinable(texts: list[str]) -> list[str]:
    """Return texts that can be joined to one. Raises SecurityError if it would be too long."""
    length = sum(map(len, texts))
    METER.spend(1 + (length >> 5))
    if length > MAX_LENGTH:
        raise SecurityError(f"the result has {length:,} characters or items; the limit is {MAX_LENGTH:,}")
    return texts


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
