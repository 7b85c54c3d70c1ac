"""The environment of Dockerfile templates: whatever an expression prints comes out marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.filters import do_indent, make_attrgetter
from jinja2.runtime import Context
from jinja2.utils import pass_environment
from jinja2.visitor import NodeTransformer

from dfgen.templating.describe import describe
from dfgen.templating.limits import check_length
from dfgen.templating.marks import (
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
    site_index,
    site_mark,
)
from dfgen.templating.printable import UnprintableError, as_json, as_text
from dfgen.templating.sandbox import Sandbox

_LOST = (
    "it is text that a macro, a block or join composed and that was changed afterwards, so that its values"
    " can no longer be told from its text; change the values before they are composed"
)
_KEEP_COMPOSED = frozenset(("d", "default", "quote", "raw", "safe", "string", "tojson"))

FILTER_BLOCK = "_filter_block_"  # how the names of dfgen's own set blocks begin


def marked(value: object, site: str = UNKNOWN_SITE) -> str:
    """Mark what an expression gives; trusted and composed text is not marked again."""
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
    """Turn `{% filter f %}` into a set block that is printed, so that its result is looked at like any."""

    def visit_FilterBlock(self, node: nodes.FilterBlock) -> list[nodes.Node]:  # noqa: N802
        """Set a name that no template can write, and print it, both on the block's line."""
        self.generic_visit(node)
        line, name = node.lineno, f"{FILTER_BLOCK}{node.lineno}"
        block = nodes.AssignBlock(nodes.Name(name, "store"), node.filter, node.body, lineno=line)
        return [block, nodes.Output([nodes.Name(name, "load", lineno=line)], lineno=line)]


class Generator(CodeGenerator):
    """Python code in which every printed expression is marked, and a literal stays template text."""

    environment: Marking

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        const = super()._output_child_to_const(node, frame, finalize)
        if not isinstance(node.as_const(frame.eval_ctx), str):
            raise nodes.Impossible  # a number, null or a list in print goes the way of values
        return const

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:  # noqa: ARG002
        self.write("environment.mark(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:  # noqa: ARG002
        site = Site(template=self.name or "", line=node.lineno, expression=describe(node))
        self.write(f", {self.environment.add_site(site)!r})")

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:  # noqa: N802
        """A literal is template text."""
        if isinstance(node.value, str):
            self.environment.literals[node.value] = Trusted(node.value)
            self.write(f"environment.literals[{node.value!r}]")
        else:
            super().visit_Const(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        """`a ~ b` goes through the environment, which tells text from values."""
        self.write("environment.concatenate((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


@pass_environment
def join(environment: Marking, value: Any, d: object = "", attribute: str | int | None = None) -> Fragment:
    """The `join` filter: items are values, a literal separator is template text."""
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    separator = marked(d)
    parts = [part for item in value for part in (separator, marked(item))]
    return environment.concat(parts[1:])


def raw(value: object) -> Fragment:
    """The `raw` filter: what the catalog says is Dockerfile text, and trusted as it is."""
    text = as_text(plain(value))
    if SENTINEL.search(text):
        raise UnprintableError(_LOST)
    return Fragment(text)


class Marking(Sandbox):
    """One environment for a folder of templates; `sites` are the expressions of all that were compiled."""

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
        """Remember an expression; the character that stands for it."""
        self.sites.append(site)
        return site_mark(len(self.sites) - 1)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        return _FilterBlocks().visit(tree)  # type: ignore[no-any-return]

    def mark(self, value: object, site: str) -> str:
        """What an expression prints, marked; UnprintableError names the expression."""
        try:
            return marked(value, site)
        except UnprintableError as error:
            expression = self.sites[site_index(site)].expression
            raise UnprintableError(f"{expression!r} cannot be printed: {error}") from None

    def concatenate(self, parts: Iterable[object]) -> str:
        """`a ~ b`: composed text stays composed, and what joins it is marked; values make a value."""
        items = list(parts)
        if any(isinstance(item, Fragment) for item in items):
            return self.concat(marked(item) for item in items)
        text = "".join(as_text(item) for item in items)
        check_length(text)
        return Trusted(text) if all(isinstance(item, Trusted) for item in items) else text

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`+` with composed text is `~`."""
        if operator == "+" and (isinstance(left, Fragment) or isinstance(right, Fragment)):
            return self.concatenate((left, right))
        return super().call_binop(context, operator, left, right)

    def guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Besides the bounds: a filter that cannot follow composed text gets it without marks.

        What such a filter then gives is refused if it is text, for its values could not be told any more.
        """
        bounded = super().guarded(name, function)
        at = 1 if hasattr(function, "jinja_pass_arg") else 0

        @wraps(function)
        def following(*args: Any, **kwargs: Any) -> Any:
            """Text with marks goes to a filter in the form that this filter can follow."""
            if len(args) <= at or not isinstance(args[at], Fragment):
                return bounded(*args, **kwargs)
            if name in _FOLLOWED:
                return _FOLLOWED[name](bounded, *args, **kwargs)
            if name in _KEEP_COMPOSED:
                return bounded(*args, **kwargs)
            result = bounded(*args[:at], args[at].plain(), *args[at + 1 :], **kwargs)
            if isinstance(result, str):
                raise UnprintableError(f"the filter '{name}' cannot follow composed text: {_LOST}")
            return result

        return following


def _trim(_function: Any, value: Fragment, chars: str | None = None) -> Fragment:
    return value.strip(chars)


def _indent(_function: Any, value: Fragment, *args: Any, **kwargs: Any) -> Fragment:
    return value.with_text(do_indent(str(value), *args, **kwargs))


def _replace(
    _function: Any, _context: Any, value: Fragment, old: object, new: object, count: int | None = None
) -> Fragment:
    return value.replaced(str(plain(old)), str(marked(new)), -1 if count is None else count)


_FOLLOWED: dict[str, Callable[..., Fragment]] = {
    "trim": _trim,
    "indent": _indent,
    "replace": _replace,
    "upper": lambda _function, value: value.upper(),
    "lower": lambda _function, value: value.lower(),
}
