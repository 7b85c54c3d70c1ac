"""What keeps a template from making gigabytes: bounds on repetition, powers, widths and text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from jinja2.exceptions import SecurityError

MAX_LENGTH = 4_000_000  # characters or items; a Dockerfile line may hold 65,535 bytes
_MAX_BITS = 20_000
_MAX_NUMBER = 100_000
_WIDE = re.compile(r"[0-9]{6,}|%[^a-zA-Z%]*\*")


def check_length(result: object) -> object:
    """Refuse text or a list that has grown beyond all use."""
    if isinstance(result, str | list | tuple) and len(result) > MAX_LENGTH:
        raise SecurityError(f"the result has {len(result):,} characters or items; {MAX_LENGTH:,} are allowed")
    return result


def check_product(left: object, right: object) -> None:
    """Refuse `text * number` beyond the limit, before it is made."""
    for sequence, number in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(number, int):
            if len(sequence) * number > MAX_LENGTH:
                raise SecurityError(f"the result would have more than {MAX_LENGTH:,} characters or items")
        elif isinstance(sequence, int) and sequence.bit_length() > _MAX_BITS:
            raise SecurityError("the number has too many digits")


def check_power(base: object, exponent: object) -> None:
    """Refuse a power with more digits than anybody can want."""
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and base.bit_length() * exponent > _MAX_BITS:  # type: ignore[attr-defined]
        raise SecurityError("the power has too many digits")


def check_format(text: object) -> None:
    """Refuse widths such as `%999999999d`, and widths that are given as arguments."""
    if isinstance(text, str) and _WIDE.search(text):
        raise SecurityError("a width of more than five digits, or '*', in a format is not allowed")


def check_numbers(positional: Iterable[object], named: Mapping[str, object]) -> None:
    """Refuse counts and widths in the arguments of text and list methods and of filters."""
    for argument in (*positional, *named.values()):
        if isinstance(argument, int) and argument > _MAX_NUMBER:
            raise SecurityError(f"the argument {argument:,} is too large; {_MAX_NUMBER:,} is allowed")
