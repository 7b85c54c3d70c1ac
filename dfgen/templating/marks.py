"""Text in which every value that came from outside of the template is marked.

Rendered text is template text with marks: an opening character that says what kind of value it is, one
character that stands for the expression that printed it, the value, and a closing character. They are
Unicode noncharacters, which no text file may hold; a value that holds one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

VALUE, JSON, WORD, CLOSE = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
SENTINEL = re.compile("[\ufdd0-\ufdd3]")
MARK = re.compile("([\ufdd0-\ufdd2])([\U000f0000-\U0010fffd])([^\ufdd0-\ufdd3]*)\ufdd3")

UNKNOWN_SITE = "\U0010fffd"  # text composed away from a print: the print that shows it names the place
_FIRST_SITE = 0xF0000


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One `{{ expression }}` of a template."""

    template: str
    line: int
    expression: str


def site_mark(index: int) -> str:
    """The character that stands for the site of that index."""
    return chr(_FIRST_SITE + index) if _FIRST_SITE + index < ord(UNKNOWN_SITE) else UNKNOWN_SITE


def site_index(mark: str) -> int:
    """The index behind a site's character; the unknown site's is beyond every table."""
    return ord(mark) - _FIRST_SITE


class Trusted(str):
    """Dockerfile text: a literal of the template, or a catalog text that is declared to be a snippet.

    Every operation gives an ordinary `str`, that is, a value: only what is printed as it is stays trusted.
    """

    __slots__ = ()


class Json(str):
    """JSON text of a value, from the `tojson` filter."""

    __slots__ = ()


class Word(str):
    """A value that the `quote` filter makes one shell word."""

    __slots__ = ()


class Fragment(Trusted):
    """Composed text, marked inside: what a macro, a caller, a set block or `join` gives.

    It compares as the text that a reader sees. Operations that keep the marks whole give a Fragment;
    any other gives an ordinary `str` with marks in it, which is refused when it is printed.
    """

    __slots__ = ()

    def plain(self) -> str:
        """The text without its marks."""
        return MARK.sub(r"\3", self)

    def __eq__(self, other: object) -> bool:
        """Compare what a reader sees."""
        return self.plain() == (other.plain() if isinstance(other, Fragment) else other)

    def __ne__(self, other: object) -> bool:
        """Compare what a reader sees."""
        return not self == other

    def __hash__(self) -> int:
        """Find what the plain text finds."""
        return hash(self.plain())

    def __bool__(self) -> bool:
        """Whether a reader sees anything."""
        return bool(self.plain())

    def __contains__(self, part: object) -> bool:
        """Search what a reader sees."""
        return str(plain(part)) in self.plain()

    def with_text(self, text: str) -> Fragment:
        """What an operation that keeps the marks whole made of it."""
        return Fragment(text)

    def at_site(self, site: str) -> Fragment:
        """Name the expression that prints what was composed away from one."""
        return Fragment(str.replace(self, UNKNOWN_SITE, site))

    def replaced(self, old: str, new: str, count: int = -1) -> Fragment:
        """Replace a text, marks included."""
        return Fragment(str.replace(self, old, new, count))

    def strip(self, chars: str | None = None, /) -> Fragment:
        """Take characters of the template's text off; values are left alone."""
        return self.with_text(super().strip(chars))

    def lstrip(self, chars: str | None = None, /) -> Fragment:
        """Take characters of the template's text off; values are left alone."""
        return self.with_text(super().lstrip(chars))

    def rstrip(self, chars: str | None = None, /) -> Fragment:
        """Take characters of the template's text off; values are left alone."""
        return self.with_text(super().rstrip(chars))

    def upper(self) -> Fragment:
        """Change the case of text and values."""
        return self.with_text(super().upper())

    def lower(self) -> Fragment:
        """Change the case of text and values."""
        return self.with_text(super().lower())


def plain(value: object) -> object:
    """A Fragment's text; anything else as it is."""
    return value.plain() if isinstance(value, Fragment) else value


def compose(parts: Iterable[str]) -> Fragment:
    """Put marked text together."""
    return Fragment("".join(parts))
