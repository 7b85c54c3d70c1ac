"""The environment that gives a value away, instead of its stand-in, to whatever could look at it unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import BuiltinMethodType
from typing import Any

from jinja2.runtime import Context, LoopContext, Macro

from dfgen.templating.marking import Marking
from dfgen.templating.marks import TOKEN, Fragment, InsideError
from dfgen.templating.standins import Looks, StandIn, look, looked

# Filters that hand on what is in a list or mapping, or composed text, as it is.
_HANDING_ON = frozenset(("count", "d", "default", "first", "items", "join", "last", "length", "list", "safe"))
_FOR_TEXT = frozenset(("d", "default", "join", "safe", "trim"))
_BLIND_TESTS = ("defined", "undefined")


class _Asked(Context):
    """What a template sees; all its names come from here."""

    environment: Watching

    def resolve_or_missing(self, key: str) -> Any:
        """Note what is asked for, be it there or not."""
        if self.environment.looks is not None:
            self.environment.looks.names.add(key)
        return super().resolve_or_missing(key)


class Watching(Marking):
    """Marking that also takes stand-ins, while it is told to watch; else it is Marking alone.

    What operators do to a stand-in, it sees itself. What this is for are functions, filters and tests that
    ask for a value's class, and those in C.
    """

    context_class = _Asked
    looks: Looks | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        tests: dict[str, Any] = self.tests
        for name, test in tests.items():
            if name not in _BLIND_TESTS:
                self.tests[name] = self._looking(test)

    @contextmanager
    def watching(self, looks: Looks) -> Iterator[None]:
        """Take stand-ins within the block."""
        self.looks = looks
        try:
            yield
        finally:
            self.looks = None

    def guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Besides the bounds and marks: give values away, but to filters that hand them on."""
        inner = super().guarded(name, function)
        at = 1 if hasattr(function, "jinja_pass_arg") else 0

        @wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            """The subject alone may stay a stand-in; all other arguments are given away."""
            if self.looks is None:
                return inner(*args, **kwargs)
            subject = [_handed(name, arg) for arg in args[at : at + 1]]
            others = {key: looked(arg) for key, arg in kwargs.items()}
            return inner(*args[:at], *subject, *map(looked, args[at + 1 :]), **others)

        return watched

    def _looking(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            """Without a watch going on, nothing is a stand-in."""
            if self.looks is None:
                return function(*args, **kwargs)
            return function(*map(looked, args), **{key: looked(arg) for key, arg in kwargs.items()})

        return watched

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Jinja asks for the class of a key that is not there."""
        if self.looks is not None:
            argument = looked(argument)
            _no_tokens(obj)
        return super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Operands are measured before they are used."""
        if self.looks is not None and operator != "+":
            left, right = looked(left), looked(right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Macros and lists hand values on; any other function may do what it likes with them."""
        if __self.looks is not None and not _hands_on(__obj):
            args = tuple(map(looked, args))
            kwargs = {key: looked(arg) for key, arg in kwargs.items()}
            _no_tokens(getattr(__obj, "__self__", None))
        return super().call(__context, __obj, *args, **kwargs)


def _no_tokens(text: Any) -> None:
    """Refuse to have composed text taken apart while it has tokens."""
    if type(text) is Fragment and TOKEN in str.__str__(text):
        raise InsideError(str.__str__(text))


def _handed(name: str, value: Any) -> Any:
    """What a filter gets to work on."""
    kind = type(value)
    if kind is StandIn:
        return value if name in ("d", "default") else look(value)
    if kind is Fragment:
        return value if name in _FOR_TEXT else looked(value)
    return value if name in _HANDING_ON else looked(value)


def _hands_on(function: Any) -> bool:
    if isinstance(function, BuiltinMethodType):
        return type(function.__self__) in (dict, list)
    return isinstance(function, Macro | LoopContext) or isinstance(
        getattr(function, "__self__", None), LoopContext
    )
