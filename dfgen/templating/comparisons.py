"""Comparison operators, tests and filters of templates, by value instead of by spelling.

Jinja compares text letter by letter, so that "1.9" is greater than "1.10", and never finds text equal to a
number. Both give a wrong image without a message, and are therefore defined here or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import nodes
from jinja2.compiler import Frame, operators

from dfgen.catalog.versions import SIGNS, Version, is_spelled, looks_like_version, ordered, version_key
from dfgen.templating.limits import CONTAINERS, METER, Metering, measure
from dfgen.templating.taint import Fragment
from dfgen.untrusted import brief

_SAME_KIND = "write both with quotes, or both without"


class Operand(str):
    """Text on one side of a comparison; it exists only while Jinja evaluates the operator."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        """Compare as text, also with a whole number; a type that overrides `==` compares itself."""
        if isinstance(other, str) and type(other).__eq__ not in (str.__eq__, Operand.__eq__):
            return bool(other == str(self))
        return is_spelled(self, other)

    def __ne__(self, other: object) -> bool:
        """Override `str.__ne__`, which would not accept numbers."""
        return not self == other

    __hash__ = str.__hash__

    def __lt__(self, other: object) -> bool:
        """Compare text that is not a version."""
        return self._ordered(other, "<")

    def __le__(self, other: object) -> bool:
        """Compare text that is not a version."""
        return self._ordered(other, "<=")

    def __gt__(self, other: object) -> bool:
        """Compare text that is not a version."""
        return self._ordered(other, ">")

    def __ge__(self, other: object) -> bool:
        """Compare text that is not a version."""
        return self._ordered(other, ">=")

    def _ordered(self, other: object, sign: str) -> bool:
        if isinstance(other, Version):
            return ordered(self, other, sign)
        if not isinstance(other, str):
            raise TypeError(f"the text '{self!s}' cannot be compared with {brief(other)}; {_SAME_KIND}")
        if looks_like_version(self) and looks_like_version(other):
            both = f"'{self!s}' {sign} '{other!s}'"
            raise ValueError(f"{both} would compare versions letter by letter; write … | as_version {sign} …")
        return SIGNS[sign](str(self), str(other))


def operand(value: object) -> object:
    """Prepare one side of a comparison; a value that defines its own order or equality is not changed."""
    if isinstance(value, Fragment):
        return Operand(value.plain())
    if isinstance(value, str) and type(value).__eq__ is str.__eq__:
        METER.spend(len(value) >> 5)
        return Operand(value)
    if isinstance(value, CONTAINERS):
        measure(value)
    return value


def as_version(value: object) -> Version:
    """The `as_version` filter: text, or a whole number, that orders as a version."""
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, (bool, float)) or not looks_like_version(text):
        raise ValueError(f'as_version: {brief(value)} is not a version such as "1.10"')
    return Version(text)


def check_order(values: Iterable[Any], name: str) -> None:
    """Refuse to sort plain text in a way that differs from the order of the versions that it spells."""
    texts = [value for value in values if isinstance(value, str) and not isinstance(value, Version)]
    if all(map(looks_like_version, texts)) and sorted(texts) != sorted(texts, key=version_key):
        advice = f'write … | map("as_version") | {name}'
        raise ValueError(f"{name} would order versions letter by letter; {advice}")


COMPARING_TESTS = frozenset(
    (
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "eq",
        "equalto",
        "ne",
        "lt",
        "lessthan",
        "le",
        "gt",
        "greaterthan",
        "ge",
    )
)
ORDERING_FILTERS = frozenset(("max", "min", "sort"))


def comparing(test: Callable[..., Any]) -> Callable[..., Any]:
    """Let a test such as `eq` compare as the operator does."""
    return lambda left, right: test(operand(left), operand(right))


class Comparing(Metering):
    """Python code in which text is compared by the rules of `comparisons`, not letter by letter."""

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802
        """Prepare the sides of each operator; only `in` takes its right side as it is."""
        self.write("(")
        self._side(node.expr, frame)
        for step in node.ops:
            self.write(f" {operators[step.op]} ")
            if step.op in ("in", "notin"):
                self.write("environment.searched(")
                self.visit(step.expr, frame)
                self.write(")")
            else:
                self._side(step.expr, frame)
        self.write(")")

    def _side(self, node: nodes.Node, frame: Frame) -> None:
        self.write("environment.operand(")
        self.visit(node, frame)
        self.write(")")
