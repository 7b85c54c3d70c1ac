"""The environment that records the source map of rendered text; only `explain` and `lint` use it.

It renders as `TaintingSandbox` does, but every piece of template text and every printed value knows the
lines that made it: its own, and those of the macro calls, includes and blocks that are running at that
moment.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, NamedTuple

from jinja2 import Template, nodes
from jinja2.compiler import Frame

from dfgen.templating.environment import Generator, TaintingSandbox, describe
from dfgen.templating.limits import METER
from dfgen.templating.taint import UNKNOWN_SITE, Fragment, Site, site_index

NO_SITE = -1


class Step(NamedTuple):
    """A line of a template; `site` is the expression that printed, or NO_SITE.

    `within` are the indexes of the conditions around it in its own template, the outermost first.
    """

    template: str
    line: int
    site: int = NO_SITE
    within: tuple[int, ...] = ()

    def is_at(self, other: Step) -> bool:
        """Whether both are the same line."""
        return self[:2] == other[:2]


Chain = tuple[Step, ...]  # the line that text comes from, then the lines that call or include it


class Span(NamedTuple):
    """A number of characters, and the chain of lines that they come from."""

    size: int
    chain: Chain


class Traced(Fragment):
    """Composed text with a source map: spans whose sizes add up to its length."""

    __slots__ = ("spans",)

    spans: tuple[Span, ...]

    @classmethod
    def of(cls, text: str, spans: Iterable[Span]) -> Traced:
        """Combine a text and its spans; empty spans are dropped."""
        made = cls(text)
        made.spans = tuple(span for span in spans if span.size)
        return made

    def with_text(self, text: str) -> Traced:
        """Map the result of a filter: as a part of the text, line by line, or as a single span."""
        at = str.find(self, text)
        if at >= 0:
            return self.part(at, at + len(text))
        old, new = lines_of(self), lines_of(text)
        if len(old) != len(new):
            return Traced.of(text, [Span(len(text), self.spans[0].chain if self.spans else ())])
        return Traced.of(text, self._line_by_line(old, new))

    def _line_by_line(self, old: list[str], new: list[str]) -> Iterator[Span]:
        start = 0
        for before, after in zip(old, new, strict=True):
            spans = self.part(start, start + len(before)).spans
            added = len(after) - len(before)
            if added >= 0 and after[added:].casefold() == before.casefold():
                yield from (Span(added, spans[0].chain), *spans)  # indented, or in another case
            else:
                yield Span(len(after), spans[0].chain)
            start += len(before)

    def part(self, start: int, end: int) -> Traced:
        """Return a slice with its spans."""
        METER.spend(len(self.spans))
        return Traced.of(self[start:end], _cut(self.spans, start, end))

    def at_site(self, site: str) -> Traced:
        """Set the site of values that were composed and have none yet."""
        return Traced.of(str.replace(self, UNKNOWN_SITE, site), self.spans)

    def replaced(self, old: str, new: str, count: int = -1) -> Traced:
        """Replace a text; the replacement has the origin of the replaced text."""
        text = str.replace(self, old, new, count)
        if not old:
            return self.with_text(text)
        spans: list[Span] = []
        done = 0
        at = str.find(self, old)
        while at >= 0 and count != 0:
            spans += self.part(done, at).spans
            spans.append(Span(len(new), self.part(at, at + 1).spans[0].chain))
            done, count = at + len(old), count - 1
            at = str.find(self, old, done)
        return Traced.of(text, [*spans, *self.part(done, len(self)).spans])

    def printed_by(self, chain: Chain) -> Traced:
        """Append the chain of the expression that prints the text."""
        METER.spend(len(self.spans) * len(chain))
        return Traced.of(str(self), [Span(span.size, called(span.chain, chain)) for span in self.spans])


def lines_of(text: str) -> list[str]:
    """Split text after line feeds; no other character ends a line, as in a Dockerfile."""
    *lines, last = str.split(text, "\n")
    return [*(f"{line}\n" for line in lines), *([last] if last else [])]


def _cut(spans: Iterable[Span], start: int, end: int) -> Iterator[Span]:
    at = 0
    for span in spans:
        size = min(end, at + span.size) - max(start, at)
        if size > 0:
            yield Span(size, span.chain)
        at += span.size


def called(chain: Chain, by: Chain) -> Chain:
    """Join a chain and that of the expression that printed its text; shared callers appear once."""
    shared = 0
    for mine, theirs in zip(reversed(chain), reversed(by), strict=False):
        if not mine.is_at(theirs):
            break
        shared += 1
    steps = [*chain[: len(chain) - shared], *by[: len(by) - shared]]
    for mine, theirs in zip(chain[len(chain) - shared :], by[len(by) - shared :], strict=True):
        # Both may have an expression on the same line: one in a block, and the one that prints the block.
        within = tuple(dict.fromkeys(theirs.within + mine.within))
        named = [step for step in dict.fromkeys((mine, theirs)) if step.site != NO_SITE]
        steps += [step._replace(within=within) for step in named or [mine]]
    return tuple(steps)


def compose_traced(parts: Iterable[str]) -> Traced:
    """Join text with its spans; text without spans gets the origin of the text before it."""
    texts = list(parts)
    spans: list[Span] = []
    for text in texts:
        if isinstance(text, Traced):
            spans += text.spans
        elif text:
            spans.append(Span(len(text), spans[-1].chain if spans else ()))
    return Traced.of("".join(texts), spans)


CALLER = "\0caller"  # pseudo-name for the arguments and body that a macro's caller passes

_SIGNS = {
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "gteq": ">=",
    "lt": "<",
    "lteq": "<=",
    "in": "in",
    "notin": "not in",
}


class Condition(NamedTuple):
    """An `if`, `elif` or `for`; `names` are those that it uses from outer scopes, including CALLER."""

    template: str
    line: int
    text: str
    names: frozenset[str]


class Regions:
    """Maps lines of the Python code of a compiled template to the conditions around them."""

    def __init__(self) -> None:
        self._lines = [0]
        self._within: list[tuple[int, ...]] = [()]

    def begin(self, line: int, within: tuple[int, ...]) -> None:
        """Set the conditions from a line on."""
        self._lines.append(line)
        self._within.append(within)

    def at(self, line: int) -> tuple[int, ...]:
        """Return the indexes of the conditions at a line, the outermost first."""
        return self._within[bisect_right(self._lines, line) - 1]


def loop_text(node: nodes.For) -> str:
    """Return a loop as written in the template."""
    only = f" if {tested(node.test)}" if node.test else ""
    return f"for {tested(node.target)} in {tested(node.iter)}{only}"


def tested(node: nodes.Node) -> str:
    """Return a test as written in the template; what is too complex becomes `…`."""
    text = describe(node)
    match node:
        case nodes.And():
            text = f"{tested(node.left)} and {tested(node.right)}"
        case nodes.Or():
            text = f"{tested(node.left)} or {tested(node.right)}"
        case nodes.Not():
            text = f"not {tested(node.node)}"
        case nodes.Compare():
            others = (f"{_SIGNS[one.op]} {tested(one.expr)}" for one in node.ops)
            text = " ".join((tested(node.expr), *others))
        case nodes.Test():
            text = f"{tested(node.node)} is {node.name}"
        case nodes.Tuple():
            text = ", ".join(map(tested, node.items))
    return text


Sources = Mapping[str, frozenset[str]]  # names, with the names that their values are computed from


@dataclass(frozen=True, slots=True)
class Locals:
    """The names that a template defines with `set`, and those that loops and `with` define for includes."""

    sets: Sources
    scoped: Sources

    @classmethod
    def of(cls, tree: nodes.Template) -> Locals:
        """Collect the definitions of a template."""
        scoped = _collected(_scoped(tree))
        sets = {name: _followed(made_from, [scoped]) for name, made_from in _collected(_sets(tree)).items()}
        return cls(sets, scoped)


def resolve(names: Iterable[str], own: Locals, callers: Iterable[Locals]) -> frozenset[str]:
    """Replace names by those that they are computed from, through a template and then its callers.

    Returns the names that none of them defines.
    """
    return _followed(names, [own.sets, *(one for caller in callers for one in (caller.sets, caller.scoped))])


def _followed(names: Iterable[str], scopes: Sequence[Sources]) -> frozenset[str]:
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        sources = next((scope[name] for scope in scopes if name in scope), None)
        # `{% set x = x ~ "a" %}`: before it, the name is the catalog's.
        if sources is None or name in sources:
            found.add(name)
        waiting += sources or ()
    return frozenset(found)


def names_of(node: nodes.Node) -> Iterator[str]:
    """Yield the names in a node."""
    if isinstance(node, nodes.Name | nodes.NSRef):
        yield node.name
    yield from (found.name for found in node.find_all(nodes.Name))
    yield from (found.name for found in node.find_all(nodes.NSRef))


_Definitions = Iterator[tuple[nodes.Node, Iterable[nodes.Node]]]


def _collected(definitions: _Definitions) -> Sources:
    found: dict[str, frozenset[str]] = {}
    for target, sources in definitions:
        made_from = frozenset(name for source in sources for name in names_of(source))
        for name in names_of(target):
            found[name] = found.get(name, frozenset()) | made_from
    return found


def _sets(tree: nodes.Template) -> _Definitions:
    for assign in tree.find_all(nodes.Assign):
        yield assign.target, (assign.node,)
    for block in tree.find_all(nodes.AssignBlock):
        yield block.target, block.body


def _scoped(tree: nodes.Template) -> _Definitions:
    for loop in tree.find_all(nodes.For):
        yield loop.target, (loop.iter,)
    for scope in tree.find_all(nodes.With):
        yield from ((target, (value,)) for target, value in zip(scope.targets, scope.values, strict=True))


class _Data(str):
    """Text that is constant when a template is compiled, with its line."""

    __slots__ = ("is_data", "line")

    line: int
    is_data: bool


class _TracingGenerator(Generator):
    """Generates Python code that records the lines of the template's own text.

    At the current node, `scopes` are the parameters and loop variables with their sources, and `within` are
    the indexes of the conditions around it.
    """

    environment: TracingSandbox

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scopes: list[dict[str, frozenset[str]]] = []
        self.within: tuple[int, ...] = ()
        self.guards: dict[int, tuple[int, ...]] = {}  # conditions of a body, by the id() of its list
        self.environment.regions[self.name or ""] = self.regions = Regions()

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        const = _Data(super()._output_child_to_const(node, frame, finalize))
        const.line, const.is_data = node.lineno, isinstance(node, nodes.TemplateData)
        return const

    def _output_const_repr(self, group: Any) -> str:
        pieces = [(str(piece), piece.line, piece.is_data) for piece in group]
        return f"environment.data({self.name!r}, {pieces!r})"

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        super()._output_child_post(node, frame, finalize)
        self.environment.names.append(self._sources(node))

    def _sources(self, *made_from: nodes.Node) -> frozenset[str]:
        """Return the names that nodes use from outside the current scopes."""
        found: set[str] = set()
        for name in (name for node in made_from for name in names_of(node)):
            scope = next((scope for scope in reversed(self.scopes) if name in scope), {name: {name}})
            found |= scope[name]
        return frozenset(found)

    def visit_If(self, node: nodes.If, frame: Frame) -> None:  # noqa: N802
        """Record the conditions of each body: its own test, and the failed tests before it."""
        tests: tuple[int, ...] = ()
        for part in (node, *node.elif_):
            word = "if" if part is node else "elif"
            tests += (self._condition(part, f"{word} {tested(part.test)}", self._sources(part.test)),)
            self.guards[id(part.body)] = tests
        self.guards[id(node.else_)] = tests
        super().visit_If(node, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802
        """Record a loop as a condition, and its variables as computed from the iterable."""
        sources = self._sources(node.iter)
        self.scopes.append(dict.fromkeys(names_of(node.target), sources))
        filtered = self._sources(node.test) if node.test else frozenset()
        loop = self._condition(node, loop_text(node), sources | filtered)
        self.guards |= {id(node.body): (loop,), id(node.else_): (loop,)}
        super().visit_For(node, frame)
        self.scopes.pop()

    def _condition(self, node: nodes.Node, text: str, names: frozenset[str]) -> int:
        self.environment.conditions.append(Condition(self.name or "", node.lineno, text, names))
        return len(self.environment.conditions) - 1

    def blockvisit(self, body: Iterable[nodes.Node], frame: Frame) -> None:
        """Generate code for a body within its conditions."""
        self._within(self.within + self.guards.get(id(body), ()), super().blockvisit, body, frame)

    def _within(self, within: tuple[int, ...], visit: Callable[..., Any], *arguments: Any) -> Any:
        outer, self.within = self.within, within
        self.regions.begin(self.code_lineno + 1, within)
        result = visit(*arguments)
        self.within = outer
        self.regions.begin(self.code_lineno + 1, outer)
        return result

    def visit_With(self, node: nodes.With, frame: Frame) -> None:  # noqa: N802
        """Record the variables of `with` as computed from their values."""
        pairs = zip(node.targets, node.values, strict=True)
        self.scopes.append(
            {name: self._sources(value) for target, value in pairs for name in names_of(target)}
        )
        super().visit_With(node, frame)
        self.scopes.pop()

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:  # noqa: N802
        """Record the call of a call block, whose result is not printed like an expression."""
        if not forward_caller:
            super().visit_Call(node, frame)
            return
        self.write("environment.trace_call(")
        super().visit_Call(node, frame, forward_caller=True)
        site = Site(template=self.name or "", line=node.lineno, expression=describe(node))
        self.write(f", {self.environment.add_site(site)!r})")
        self.environment.names.append(self._sources(node))

    def macro_body(self, node: Any, frame: Frame) -> tuple[Frame, Any]:
        """Record the parameters of a macro as CALLER; the chain names the call itself."""
        given = self._sources(*node.defaults) | {CALLER}
        self.scopes.append({argument.name: given for argument in node.args})
        body: tuple[Frame, Any] = self._within((), super().macro_body, node, frame)
        self.scopes.pop()
        return body


class TracingSandbox(TaintingSandbox):
    """A TaintingSandbox that returns Traced text; `names` are those that the expression of each site uses."""

    code_generator_class = _TracingGenerator
    concat = staticmethod(compose_traced)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.names: list[frozenset[str]] = []
        self.locals: dict[str, Locals] = {}
        self.extends: dict[str, int] = {}
        self.conditions: list[Condition] = []
        self.regions: dict[str, Regions] = {}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        self.locals[name or ""] = Locals.of(tree)
        self.extends.update((name or "", node.lineno) for node in tree.find_all(nodes.Extends))
        return tree

    def data(self, template: str, pieces: list[tuple[str, int, bool]]) -> Traced:
        """Return text of a template with a span per line."""
        here, *callers = self._running()
        spans = []
        for text, line, is_data in pieces:
            for after, part in enumerate(lines_of(text) if is_data else (text,)):
                step = Step(template, line + after, within=here.within)
                spans.append(Span(len(part), _chain(step, callers)))
        return Traced.of("".join(piece[0] for piece in pieces), spans)

    def trace_call(self, value: object, site: str) -> object:
        """Append a call block to the chains of its result."""
        where = self.sites[site_index(site)]
        if not isinstance(value, Traced):
            return value
        here, *callers = self._running()
        step = Step(where.template, where.line, site_index(site), here.within)
        return value.printed_by(_chain(step, callers))

    def taint(self, value: object, site: str) -> str:
        """Taint the value that an expression prints, with the chain of the expression."""
        text = super().taint(value, site)
        index = site_index(site)
        where = self.sites[index]
        here, *callers = self._running()
        chain = _chain(Step(where.template, where.line, index, here.within), callers)
        if isinstance(text, Traced):
            return text.printed_by(chain)
        return Traced.of(text, [Span(len(text), chain)])

    def _running(self) -> Chain:
        """Return the lines of the running templates, innermost first.

        They are read from Python's stack: Jinja compiles templates to functions and has no stack of its own.
        """
        frames: list[tuple[FrameType, Template]] = []
        frame: FrameType | None = sys._getframe(2)
        depth = 0
        while frame is not None:
            template = frame.f_globals.get("__jinja_template__")
            if isinstance(template, Template):
                frames.append((frame, template))
            frame = frame.f_back
            depth += 1
        METER.spend(depth)  # the stack of a recursive macro is deep
        return tuple(self._steps(frames))

    def _steps(self, frames: list[tuple[FrameType, Template]]) -> list[Step]:
        steps: list[Step] = []
        inner: tuple[FrameType, Template] | None = None
        for frame, template in frames:
            name, line = template.name or "", template.get_corresponding_lineno(frame.f_lineno)
            within = self.regions[name].at(frame.f_lineno)
            if inner and frame.f_locals.get("parent_template") is inner[1] and _is_root(inner[0]):
                line = self.extends.get(name, line)
            if inner and inner[1] is template and inner[0].f_code.co_name.startswith("block_"):
                # A block that is rendered where it is defined is not a call; the conditions there apply to
                # it.
                steps[-1] = steps[-1]._replace(within=within + steps[-1].within)
            else:
                steps.append(Step(name, line, within=within))
            inner = frame, template
        return steps


def _is_root(frame: FrameType) -> bool:
    return frame.f_code.co_name == "root"


def _chain(step: Step, callers: Iterable[Step]) -> Chain:
    """Return a line and its callers, without consecutive repetitions."""
    chain = [step]
    for caller in callers:
        if not caller.is_at(chain[-1]):
            chain.append(caller)
    return tuple(chain)
