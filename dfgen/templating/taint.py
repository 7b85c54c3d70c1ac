"""Taint tracking: text in which sentinels enclose every value that does not come from the template itself.

A tainted value is an opening sentinel for its kind, a character for the expression that printed it (its
site), the value, and a closing sentinel. Sentinels are Unicode noncharacters, which are reserved for
internal use and have no place in a text file; templates and values that contain one are rejected, so no
value can forge taint. https://www.unicode.org/faq/private_use.html#nonchar1
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dfgen.templating.limits import METER

VALUE, JSON, WORD, CLOSE = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
SENTINEL = re.compile("[\ufdd0-\ufdd3]")
TAINTED = re.compile("([\ufdd0-\ufdd2])([\U000f0000-\U0010fffd])([^\ufdd0-\ufdd3]*)\ufdd3")

# The site of a value that a macro, block or `join` composed; it is replaced when an expression prints it.
UNKNOWN_SITE = "\U0010fffd"
_FIRST_SITE = 0xF0000  # a private use area: 131,068 expressions, more share the unknown site


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One `{{ expression }}` of a template."""

    template: str
    line: int
    expression: str


def site_char(index: int) -> str:
    """Return the character of the site with this index."""
    return chr(_FIRST_SITE + index) if _FIRST_SITE + index < ord(UNKNOWN_SITE) else UNKNOWN_SITE


def site_index(char: str) -> int:
    """Return the index of a site's character; that of the unknown site is beyond every table."""
    return ord(char) - _FIRST_SITE


class Trusted(str):
    """Dockerfile text: a literal of a template, or a text of the catalog that is declared as a snippet.

    Every operation on it returns an ordinary `str`, so that it becomes a value again: trust is never
    inherited.
    """

    __slots__ = ()


class Json(str):
    """JSON text of a value, from the `tojson` filter."""

    __slots__ = ()


class Word(str):
    """A value that is written as a single shell word, from the `quote` filter."""

    __slots__ = ()


class Fragment(Trusted):
    """Composed text that contains tainted values: the result of a macro, caller, set block or `join`.

    Comparisons use its visible text. Operations that keep the sentinels intact return a Fragment; all others
    return an ordinary `str` with sentinels, which is rejected when it is printed.
    """

    __slots__ = ()

    def plain(self) -> str:
        """Return the visible text, without sentinels."""
        METER.spend(len(self) >> 5)
        return TAINTED.sub(r"\3", self)

    def __eq__(self, other: object) -> bool:
        """Compare the visible text."""
        return self.plain() == (other.plain() if isinstance(other, Fragment) else other)

    def __ne__(self, other: object) -> bool:
        """Compare the visible text."""
        return not self == other

    def __hash__(self) -> int:
        """Hash the visible text."""
        return hash(self.plain())

    def __bool__(self) -> bool:
        """Whether the visible text is not empty."""
        return bool(self.plain())

    def __contains__(self, part: object) -> bool:
        """Search the visible text."""
        return str(plain(part)) in self.plain()

    def with_text(self, text: str) -> Fragment:
        """Return the result of an operation that kept the sentinels intact."""
        return Fragment(text)

    def at_site(self, site: str) -> Fragment:
        """Set the site of values that were composed and have none yet."""
        return Fragment(str.replace(self, UNKNOWN_SITE, site))

    def replaced(self, old: str, new: str, count: int = -1) -> Fragment:
        """Replace a text; sentinels are part of the text."""
        return Fragment(str.replace(self, old, new, count))

    def strip(self, chars: str | None = None, /) -> Fragment:
        """Strip characters of template text; values stay unchanged."""
        return self.with_text(super().strip(chars))

    def lstrip(self, chars: str | None = None, /) -> Fragment:
        """Strip characters of template text; values stay unchanged."""
        return self.with_text(super().lstrip(chars))

    def rstrip(self, chars: str | None = None, /) -> Fragment:
        """Strip characters of template text; values stay unchanged."""
        return self.with_text(super().rstrip(chars))

    def upper(self) -> Fragment:
        """Convert the case of text and values."""
        return self.with_text(super().upper())

    def lower(self) -> Fragment:
        """Convert the case of text and values."""
        return self.with_text(super().lower())


def plain(value: object) -> object:
    """Return the visible text of a Fragment, and any other value unchanged."""
    return value.plain() if isinstance(value, Fragment) else value


def compose(parts: Iterable[str]) -> Fragment:
    """Join tainted text."""
    return Fragment("".join(parts))
