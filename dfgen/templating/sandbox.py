"""The sandboxed Jinja2 environment that templates and the catalog's own expressions share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import BuiltinMethodType
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from dfgen.templating.limits import check_format, check_length, check_numbers, check_power, check_product
from dfgen.templating.missing import Missing
from dfgen.templating.printable import as_text, as_word

_RANDOM = {"filters": ("random",), "globals": ("lipsum",)}  # the same input must give the same bytes


class Sandbox(SandboxedEnvironment):
    """Strict, bounded and deterministic; shared by everything that comes from a user's files."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self, **options: Any) -> None:
        super().__init__(undefined=Missing, autoescape=False, auto_reload=False, cache_size=-1, **options)
        for name in _RANDOM["filters"]:
            del self.filters[name]
        for name in _RANDOM["globals"]:
            del self.globals[name]
        self.filters["quote"] = as_word
        for name, function in self.filters.items():
            self.filters[name] = self.guarded(name, function)

    def guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Bound a filter's numbers, and the widths that `format` takes."""

        @wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            """Measure the arguments, and the text of `format`, which says how wide the result is."""
            if name == "format":
                check_format(args[0])
            check_numbers(args[1:], kwargs)
            return function(*args, **kwargs)

        return bounded

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Look at the operands of what can grow without bound first."""
        if operator == "*":
            check_product(left, right)
        elif operator == "**":
            check_power(left, right)
        elif operator == "%":
            check_format(left)
        return check_length(super().call_binop(context, operator, left, right))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Bound the widths in a `'...'.format()`."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None:
            check_format(value.__self__)
        return wrapped

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        """Refuse an attribute when it is used."""
        hint = f"the attribute {attribute!r} is closed to templates"
        return self.undefined(hint, name=attribute, obj=obj, exc=SecurityError)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Bound the numbers that methods of texts and lists take, such as `ljust`."""
        if isinstance(getattr(__obj, "__wrapped__", __obj), BuiltinMethodType):
            check_numbers(args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)


class PlainSandbox(Sandbox):
    """For the catalog's conditions and texts: nothing is marked, nothing is quoted."""

    def __init__(self) -> None:
        super().__init__(finalize=as_text, keep_trailing_newline=True)
