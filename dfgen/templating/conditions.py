"""What decides that a piece of a template is rendered: the conditions and loops that it stands in."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from jinja2 import nodes

from dfgen.templating.describe import describe

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
