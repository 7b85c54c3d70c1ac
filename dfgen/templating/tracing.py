"""The environment in which templates tell where their text comes from: only `explain` and `lint` use it.

It renders as `Marking` does, but every piece of template text and every printed value knows the lines that
made it: its own, and those of the macro calls, includes and blocks that are running at that moment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from jinja2 import Template, nodes
from jinja2.compiler import Frame

from dfgen.templating.conditions import CALLER, Condition, Regions, loop_text, tested
from dfgen.templating.describe import describe
from dfgen.templating.locals import Locals, names_of
from dfgen.templating.marking import Generator, Marking
from dfgen.templating.marks import Site, site_index
from dfgen.templating.traced import Chain, Span, Step, Traced, compose_traced, lines_of


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
