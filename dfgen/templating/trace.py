"""The environment in which templates tell where their text comes from: only `explain` and `lint` use it.

It renders as `Marking` does, but every piece of template text and every printed value knows the lines that
made it: its own, and those of the macro calls, includes and blocks that are running at that moment.
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

from dfgen.templating.environment import Generator, Marking, describe
from dfgen.templating.marks import UNKNOWN_SITE, Fragment, Site, site_index

NO_SITE = -1


class Step(NamedTuple):
    """A line of a template; `site` is the expression there that printed, or NO_SITE.

    `within` are the numbers of the conditions that it stands in, in its own template, the outermost first.
    """

    template: str
    line: int
    site: int = NO_SITE
    within: tuple[int, ...] = ()

    def is_at(self, other: Step) -> bool:
        """Whether both are the same line."""
        return self[:2] == other[:2]


Chain = tuple[Step, ...]  # the line that made the text first, then the lines that called or included it


class Span(NamedTuple):
    """So many characters, and the chain of lines that made them."""

    size: int
    chain: Chain


class Traced(Fragment):
    """Composed text with its spans, whose sizes add up to its length."""

    __slots__ = ("spans",)

    spans: tuple[Span, ...]

    @classmethod
    def of(cls, text: str, spans: Iterable[Span]) -> Traced:
        """Put a text and its spans together."""
        made = cls(text)
        made.spans = tuple(span for span in spans if span.size)
        return made

    def with_text(self, text: str) -> Traced:
        """What a filter made of the text: a part of it, or as many lines, or one span."""
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
        """A slice of it."""
        return Traced.of(self[start:end], _cut(self.spans, start, end))

    def at_site(self, site: str) -> Traced:
        """Name the expression that prints what was composed away from one."""
        return Traced.of(str.replace(self, UNKNOWN_SITE, site), self.spans)

    def replaced(self, old: str, new: str, count: int = -1) -> Traced:
        """Replace a text; what comes in its place has the origin of what it replaces."""
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
        """Say which expression printed it, and where that one was called."""
        return Traced.of(str(self), [Span(span.size, called(span.chain, chain)) for span in self.spans])


def lines_of(text: str) -> list[str]:
    """The lines of a text with their ends; only a line feed ends one, as in a Dockerfile."""
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
    """Put a chain before the one that printed its text; lines that they share stand once."""
    shared = 0
    for mine, theirs in zip(reversed(chain), reversed(by), strict=False):
        if not mine.is_at(theirs):
            break
        shared += 1
    steps = [*chain[: len(chain) - shared], *by[: len(by) - shared]]
    for mine, theirs in zip(chain[len(chain) - shared :], by[len(by) - shared :], strict=True):
        # Of one line both may know an expression: that of a block, and the one that prints the block.
        within = tuple(dict.fromkeys(theirs.within + mine.within))
        named = [step for step in dict.fromkeys((mine, theirs)) if step.site != NO_SITE]
        steps += [step._replace(within=within) for step in named or [mine]]
    return tuple(steps)


def compose_traced(parts: Iterable[str]) -> Traced:
    """Put text together with its origins; text that has none takes that of its neighbour before."""
    texts = list(parts)
    spans: list[Span] = []
    for text in texts:
        if isinstance(text, Traced):
            spans += text.spans
        elif text:
            spans.append(Span(len(text), spans[-1].chain if spans else ()))
    return Traced.of("".join(texts), spans)


CALLER = "\0caller"  # stands among names for what a macro's caller gives

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
    """An `if`, `elif` or `for`; `names` are what it takes from outside of the scopes there, CALLER too."""

    template: str
    line: int
    text: str
    names: frozenset[str]


class Regions:
    """Which conditions hold at each line of the Python code that a template is compiled to."""

    def __init__(self) -> None:
        self._lines = [0]
        self._within: list[tuple[int, ...]] = [()]

    def begin(self, line: int, within: tuple[int, ...]) -> None:
        """Say what holds from a line on."""
        self._lines.append(line)
        self._within.append(within)

    def at(self, line: int) -> tuple[int, ...]:
        """Give the numbers of the conditions that hold at a line, the outermost first."""
        return self._within[bisect_right(self._lines, line) - 1]


def loop_text(node: nodes.For) -> str:
    """Write a loop as in the template."""
    only = f" if {tested(node.test)}" if node.test else ""
    return f"for {tested(node.target)} in {tested(node.iter)}{only}"


def tested(node: nodes.Node) -> str:
    """Write a test as in the template, as far as `describe` can."""
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


Sources = Mapping[str, frozenset[str]]  # a name, and the names that its value is made from


@dataclass(frozen=True, slots=True)
class Locals:
    """What a template defines by `set`, and what loops and `with` define for what they include."""

    sets: Sources
    scoped: Sources

    @classmethod
    def of(cls, tree: nodes.Template) -> Locals:
        """Read a template's tree."""
        scoped = _collected(_scoped(tree))
        sets = {name: _followed(made_from, [scoped]) for name, made_from in _collected(_sets(tree)).items()}
        return cls(sets, scoped)


def resolve(names: Iterable[str], own: Locals, callers: Iterable[Locals]) -> frozenset[str]:
    """Follow names through a template, then what includes it, to names that none of them defines."""
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
        # A name may be the catalog's until a template sets it anew from itself.
        if sources is None or name in sources:
            found.add(name)
        waiting += sources or ()
    return frozenset(found)


def names_of(node: nodes.Node) -> Iterator[str]:
    """The names that stand in a node."""
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
    """Text that is known when a template is compiled, with its line."""

    __slots__ = ("is_data", "line")

    line: int
    is_data: bool


class _TracingGenerator(Generator):
    """Python code in which the template's own text comes with its lines.

    `scopes` are the parameters and loop variables where the code is, and what each is made from; `within` are
    the numbers of the conditions that it stands in.
    """

    environment: Tracing

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scopes: list[dict[str, frozenset[str]]] = []
        self.within: tuple[int, ...] = ()
        self.guards: dict[int, tuple[int, ...]] = {}  # the conditions of a body, by its id
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
        """The names that nodes take from outside of the scopes here."""
        found: set[str] = set()
        for name in (name for node in made_from for name in names_of(node)):
            scope = next((scope for scope in reversed(self.scopes) if name in scope), {name: {name}})
            found |= scope[name]
        return frozenset(found)

    def visit_If(self, node: nodes.If, frame: Frame) -> None:  # noqa: N802
        """A body stands in its own test, and in those before it that did not hold."""
        tests: tuple[int, ...] = ()
        for part in (node, *node.elif_):
            word = "if" if part is node else "elif"
            tests += (self._condition(part, f"{word} {tested(part.test)}", self._sources(part.test)),)
            self.guards[id(part.body)] = tests
        self.guards[id(node.else_)] = tests
        super().visit_If(node, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802
        """The variables of a loop are made from what it runs over."""
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
        """Whatever is written for a body stands in the body's conditions."""
        self._stand_in(self.within + self.guards.get(id(body), ()), super().blockvisit, body, frame)

    def _stand_in(self, within: tuple[int, ...], visit: Callable[..., Any], *arguments: Any) -> Any:
        outer, self.within = self.within, within
        self.regions.begin(self.code_lineno + 1, within)
        result = visit(*arguments)
        self.within = outer
        self.regions.begin(self.code_lineno + 1, outer)
        return result

    def visit_With(self, node: nodes.With, frame: Frame) -> None:  # noqa: N802
        """A variable of `with` is made from its value."""
        pairs = zip(node.targets, node.values, strict=True)
        self.scopes.append(
            {name: self._sources(value) for target, value in pairs for name in names_of(target)}
        )
        super().visit_With(node, frame)
        self.scopes.pop()

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:  # noqa: N802
        """What a call block gives is not printed as an expression is; its call is told all the same."""
        if not forward_caller:
            super().visit_Call(node, frame)
            return
        self.write("environment.told(")
        super().visit_Call(node, frame, forward_caller=True)
        site = Site(template=self.name or "", line=node.lineno, expression=describe(node))
        self.write(f", {self.environment.add_site(site)!r})")
        self.environment.names.append(self._sources(node))

    def macro_body(self, node: Any, frame: Frame) -> tuple[Frame, Any]:
        """The parameters of a macro are what its caller gives, and the caller is told beside it."""
        given = self._sources(*node.defaults) | {CALLER}
        self.scopes.append({argument.name: given for argument in node.args})
        body: tuple[Frame, Any] = self._stand_in((), super().macro_body, node, frame)
        self.scopes.pop()
        return body


class Tracing(Marking):
    """A Marking whose text is Traced; `names` are those that each site's expression takes from elsewhere."""

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
        """Text of a template: every line of it has a span."""
        here, *callers = self._running()
        spans = []
        for text, line, is_data in pieces:
            for after, part in enumerate(lines_of(text) if is_data else (text,)):
                step = Step(template, line + after, within=here.within)
                spans.append(Span(len(part), _chain(step, callers)))
        return Traced.of("".join(piece[0] for piece in pieces), spans)

    def told(self, value: object, site: str) -> object:
        """What a call block gives, with the call."""
        where = self.sites[site_index(site)]
        if not isinstance(value, Traced):
            return value
        here, *callers = self._running()
        step = Step(where.template, where.line, site_index(site), here.within)
        return value.printed_by(_chain(step, callers))

    def mark(self, value: object, site: str) -> str:
        """What an expression prints, marked, with the expression and what it was called by."""
        text = super().mark(value, site)
        index = site_index(site)
        where = self.sites[index]
        here, *callers = self._running()
        chain = _chain(Step(where.template, where.line, index, here.within), callers)
        if isinstance(text, Traced):
            return text.printed_by(chain)
        return Traced.of(text, [Span(len(text), chain)])

    def _running(self) -> Chain:
        """The lines of templates that are running now, innermost first."""
        frames: list[tuple[FrameType, Template]] = []
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            template = frame.f_globals.get("__jinja_template__")
            if isinstance(template, Template):
                frames.append((frame, template))
            frame = frame.f_back
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
                # A block that stands where it is defined is no call; it stands in what decides there.
                steps[-1] = steps[-1]._replace(within=within + steps[-1].within)
            else:
                steps.append(Step(name, line, within=within))
            inner = frame, template
        return steps


def _is_root(frame: FrameType) -> bool:
    return frame.f_code.co_name == "root"


def _chain(step: Step, callers: Iterable[Step]) -> Chain:
    """A line and its callers, a line that calls itself once."""
    chain = [step]
    for caller in callers:
        if not caller.is_at(chain[-1]):
            chain.append(caller)
    return tuple(chain)
