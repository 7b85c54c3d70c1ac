"""Limits on the work of a template: its steps, and the size of every value that it makes.

CI renders the templates of other people's pull requests. Jinja's sandbox only limits `range`, so every loop,
call, operator and filter charges a meter instead. The cost of an operation follows from the template and its
values alone: a template that renders here renders on every machine, which a time limit would not guarantee.
Operations in C that a single call can make slow or large (`replace`, `==` of nested lists) are measured
before they run, because nothing can interrupt them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError

# Far above what Dockerfiles need (the shipped templates take less than 400 steps, and BuildKit accepts 65,535
# bytes per line), and low enough for a few seconds and some hundred MB.
STEPS = 500_000  # of one Dockerfile
CALL = 5  # steps of a call, which takes longer than a round of a loop
MAX_LENGTH = 1_000_000  # characters or items of one value
_MAX_GROWTH = 32 * MAX_LENGTH  # characters that one method or filter may have to produce
_MAX_BITS = 14_000  # Python converts integers of up to 4,300 digits (14,284 bits) to text
_MAX_NUMBER = 100_000
_WIDE = re.compile(r"[0-9]{6,}|%[^a-zA-Z%]*\*")
_SHORT = 1000  # characters: with widths of five digits, a format as short as this stays below all limits
_DIGITS = re.compile(r"[0-9]+")

CONTAINERS: tuple[type[Collection[Any]], ...] = (
    list,
    tuple,
    dict,
    set,
    frozenset,
    type({}.items()),
    type({}.keys()),
    type({}.values()),
)
_TEXT = (str, bytes, bytearray)
_LIMITED: tuple[type[Collection[Any]], ...] = (*_TEXT, *CONTAINERS)
_SIZED: tuple[type[Collection[Any]], ...] = (*CONTAINERS, range)


class LimitError(RuntimeError):
    """A template takes too many steps."""


class Meter(threading.local):
    """The steps that are left to the template that this thread renders.

    Hot code does not call `spend` but subtracts from `left` itself and calls `stop` below 0.
    """

    left = limit = STEPS

    def begin(self, steps: int) -> None:
        """Set the steps that the next render may take."""
        self.left = self.limit = steps

    def spend(self, steps: int) -> None:
        """Subtract steps. Raises LimitError if none are left."""
        self.left -= steps
        if self.left < 0:
            self.stop()

    def stop(self) -> None:
        """Raise LimitError."""
        raise LimitError(
            f"the template needs more than {self.limit:,} steps (rounds of loops, calls, and the text and"
            " items that they produce); simplify its loops and macros"
        )


METER = Meter()


def counted(items: Iterable[Any]) -> Iterator[Any]:
    """Charge a step for each item of a filter that computes its items one by one."""
    for item in items:
        METER.spend(1)
        yield item


def measure(value: object) -> tuple[int, int]:
    """Charge for all items of nested lists and mappings; returns their number, and the depth.

    A list that is an item in two places counts twice, as it does for `==` or `tojson`: 40 lists, each twice
    in the next one, are 2^40 items.
    """
    level, items, depth = [value], 0, 0
    while level:
        below: list[object] = []
        for one in level:
            if isinstance(one, CONTAINERS):
                METER.spend(1 + len(one))
                below += one
                if isinstance(one, dict):
                    below += one.values()
            else:
                METER.spend(_cost(one))
        items, level, depth = items + len(below), below, depth + 1
    return items, depth


def measured(value: object) -> Any:
    """Return a value after `measure`, which is free for text and numbers."""
    if isinstance(value, CONTAINERS):
        measure(value)
    return value


def searched(value: object) -> Any:
    """Return what the operator `in` searches, after it was charged."""
    METER.spend(len(value) if isinstance(value, _SIZED) else _cost(value))
    if isinstance(value, list | tuple) and not _PLAIN.issuperset(map(type, value)):
        measure(value)
    return value


_PLAIN = frozenset((str, int, float, bool, type(None)))


def sized(value: object) -> Any:
    """Return a new value after it was charged. Raises SecurityError if it is too long or too large."""
    METER.spend(len(value) if isinstance(value, _SIZED) else _cost(value))
    return check_length(value)


def _cost(value: object) -> int:
    """Return the steps for an operation on a value: C code handles 32 characters or 8 items in one step."""
    if isinstance(value, _TEXT):
        return len(value) >> 5
    return len(value) >> 3 if isinstance(value, _SIZED) else 0


def check_length(result: object) -> object:
    """Raise SecurityError if a text, list or number is too long; return it otherwise."""
    if isinstance(result, _LIMITED) and len(result) > MAX_LENGTH:
        raise SecurityError(
            f"the result has {len(result):,} characters or items; the limit is {MAX_LENGTH:,}"
        )
    if isinstance(result, int) and result.bit_length() > _MAX_BITS:
        raise SecurityError("the number has too many digits")
    return result


def check_operands(operator: str, left: object, right: object) -> None:
    """Charge for both operands. Raises SecurityError if the result would be too long or too large."""
    METER.spend(_cost(left) + _cost(right))
    if operator == "*":
        _check_product(left, right)
    elif operator == "**":
        _check_power(left, right)
    elif operator == "%":  # of bytes
        check_format(left, right)
    elif operator == "-":  # of the items of mappings, which are compared by their hashes
        measured(left)
        measured(right)


def _check_product(left: object, right: object) -> None:
    for sequence, number in ((left, right), (right, left)):
        if isinstance(sequence, (*_TEXT, list, tuple)) and isinstance(number, int):
            if len(sequence) * number > MAX_LENGTH:
                raise SecurityError(f"the result would have more than {MAX_LENGTH:,} characters or items")
        elif isinstance(sequence, int) and sequence.bit_length() > _MAX_BITS:
            raise SecurityError("the number has too many digits")


def _check_power(base: object, exponent: object) -> None:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > _MAX_BITS:
        raise SecurityError("the power has too many digits")


def check_format(text: object, values: object = ()) -> None:
    """Raise SecurityError for large widths like `%999999999d`, and for widths from arguments (`%*d`)."""
    if not isinstance(text, _TEXT):
        return
    pattern = text if isinstance(text, str) else text.decode("latin-1")
    if _WIDE.search(pattern):
        raise SecurityError("a width of more than five digits, or '*', in a format is not allowed")
    if len(text) < _SHORT and isinstance(values, int | float):
        return
    widths = sum(map(int, _DIGITS.findall(pattern)))
    lengths = [len(one) for one in _operands(values) if isinstance(one, _TEXT)]
    is_named = isinstance(values, dict)  # a format can use a named value many times
    produced = pattern.count("%") * max(lengths, default=0) if is_named else sum(lengths)
    if widths + produced > _MAX_GROWTH:
        raise SecurityError(f"the result could have more than {_MAX_GROWTH:,} characters")


def _operands(values: object) -> Iterable[object]:
    if isinstance(values, dict):
        return values.values()
    return values if isinstance(values, tuple) else (values,)


def check_numbers(positional: Iterable[object], named: Mapping[str, object]) -> None:
    """Raise SecurityError for large counts and widths in the arguments of methods and filters."""
    for argument in (*positional, *named.values()):
        if isinstance(argument, int) and argument > _MAX_NUMBER:
            raise SecurityError(f"the argument {argument:,} is too large; the limit is {_MAX_NUMBER:,}")


_BY_NUMBER = frozenset(("expandtabs", "indent"))  # their text grows with a number


def _check_text(name: str, length: int, arguments: Iterable[object]) -> None:
    """Charge for a method or a filter of a text, and refuse one that could produce too much.

    `replace` and `join` can produce the product of the lengths, and `rfind` and `strip` need as many steps.
    """
    product = length * sum(_extent(name, argument) for argument in arguments)
    if product > _MAX_GROWTH:
        raise SecurityError(
            f"the texts are too long for {name}: the product of their lengths is {product:,}; the limit is"
            f" {_MAX_GROWTH:,}"
        )
    METER.spend((length >> 5) + (product >> 20))


def _extent(name: str, argument: object) -> int:
    if isinstance(argument, _TEXT):
        return len(argument)
    if name in _BY_NUMBER and isinstance(argument, int):
        return max(argument, 0)
    if name == "join" and isinstance(argument, _SIZED):
        return len(argument)
    if name == "translate" and isinstance(argument, CONTAINERS):
        texts = argument.values() if isinstance(argument, dict) else argument
        return max((len(text) for text in texts if isinstance(text, _TEXT)), default=1)
    return 0


_FORMATS = frozenset(("format", "format_map"))
_WALKS = frozenset(("count", "index", "remove", "sort"))  # methods of lists that compare their items


def check_method(
    method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    """Charge for a function of Python before it is called; returns the arguments to call it with."""
    check_numbers(args, kwargs)
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    if name in _FORMATS:  # Formatter charges
        return args
    if name == "join":
        args = tuple(one if isinstance(one, (*_TEXT, *_SIZED)) else list(one) for one in args)
    for argument in (*args, *kwargs.values()):
        measured(argument)
    if isinstance(owner, _TEXT):
        _check_text(name, len(owner), (*args, *kwargs.values()))
    elif isinstance(owner, CONTAINERS):
        METER.spend(len(owner) >> 10)  # insert and pop move all items, but these are 8 bytes each
        if name in _WALKS:
            measure(owner)
    return args


_COMPARING = frozenset(("dictsort", "groupby", "max", "min", "sort", "sum", "unique"))
# Filters whose time grows with the square of their input, in Python's library or in Jinja.
_SLOW = frozenset(("pprint", "striptags", "urlize", "wordwrap"))


def check_filter(name: str, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Charge for a filter before it is called; returns the value to call it with."""
    METER.spend(1 + _cost(value))
    check_numbers(args, kwargs)
    for argument in (*args, *kwargs.values()):
        measured(argument)
    if isinstance(value, _TEXT):
        if name not in ("default", "d", "format", "join"):
            _check_text(name, len(value), (*args, *kwargs.values()))
        items = len(value)
    elif name in _COMPARING or name == "pprint":
        value = value if isinstance(value, _SIZED) else list(value)
        items = measure(value)[0]
        if name == "sum":  # of lists: each sum is a new list
            METER.spend(len(value) * items >> 12 if items > len(value) else 0)
    else:
        items = 0
    if name in _SLOW:
        METER.spend(items * items >> 12)
    return value


def check_json(value: object, indent: int | None) -> None:
    """Charge for the text of a value as JSON."""
    if not isinstance(indent, int | None):
        raise TypeError("tojson: the indent is not a number of spaces")
    items, depth = measure(value)
    METER.spend(items * depth * (indent or 0) >> 5)


class Metering(CodeGenerator):
    """Generates Python code that charges for each round of a loop, and for each run of a macro or template.

    The code subtracts from the meter without a call, so that it costs next to nothing.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._costs: dict[int, int] = {}  # of a body, by the id() of its list
        self._tests: set[int] = set()  # ids of the conditions of loops

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        """Charge for each run of the template and of its macros, blocks and loops."""
        kinds = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)
        parts: Iterable[Any] = (node, *node.find_all(kinds))
        for part in parts:
            self._costs[id(part.body)] = _cost_of(part.body) + (0 if isinstance(part, nodes.For) else CALL)
            if isinstance(part, nodes.For) and part.test is not None:
                self._tests.add(id(part.test))
        super().visit_Template(node, frame)

    def blockvisit(self, body: Iterable[nodes.Node], frame: Frame) -> None:
        """Charge for a body before it runs."""
        if cost := self._costs.get(id(body)):
            self.writeline(f"environment.meter.left -= {cost}")
            self.writeline("if environment.meter.left < 0: environment.meter.stop()")
        super().blockvisit(body, frame)

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """Charge for the items that the condition of a loop leaves out."""
        if id(node) not in self._tests:
            return super().visit(node, *args, **kwargs)
        self.write("(not environment.meter.spend(1) and (")
        super().visit(node, *args, **kwargs)
        self.write("))")
        return None

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        """Charge for slices, and for keys that are not constant."""
        if isinstance(node.arg, nodes.Slice):
            self.write("environment.sized(")
            super().visit_Getitem(node, frame)
        else:
            self.write("environment.getitem(")
            self.visit(node.node, frame)
            self.write(", ")
            self._key(node.arg, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        """Charge for keys that are not constant."""
        self.write("{")
        for item in node.items:
            self._key(item.key, frame)
            self.write(": ")
            self.visit(item.value, frame)
            self.write(", ")
        self.write("}")

    def _key(self, node: nodes.Expr, frame: Frame) -> None:
        """Generate a key: hashing a tuple visits all items of all tuples in it."""
        is_constant = isinstance(node, nodes.Const)
        self.write("" if is_constant else "environment.measured(")
        self.visit(node, frame)
        self.write("" if is_constant else ")")


def _cost_of(body: Iterable[nodes.Node]) -> int:
    """Return the steps of one run of a body, by the size of its code and of its literal text."""
    cost, literal = 0, 0
    for part in (found for node in body for found in (node, *node.find_all(nodes.Node))):
        cost += 1
        if isinstance(part, nodes.TemplateData):
            literal += len(part.data)
        elif isinstance(part, nodes.Const) and isinstance(part.value, str):
            literal += len(part.value)
    return 1 + (cost >> 3) + (literal >> 5)
