"""Text that knows, character by character, which lines of which templates it comes from.

A `Traced` is a Fragment whose text is what it would be without: the origins are kept beside the text, never
within it, so that filters, comparisons and white space control see exactly what they see in a render.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dfgen.templating.marks import UNKNOWN_SITE, Fragment

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
