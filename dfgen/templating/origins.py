"""Where every line of a rendered Dockerfile comes from: lines of templates, and what they print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from dfgen.errors import InputError, Place, Problem
from dfgen.templating.environment import FILTER_BLOCK
from dfgen.templating.marks import MARK
from dfgen.templating.quoting import Quoting
from dfgen.templating.trace import (
    CALLER,
    NO_SITE,
    Chain,
    Span,
    Step,
    Traced,
    Tracing,
    compose_traced,
    resolve,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """An expression of a template that printed something in a line.

    `names` are what it is computed from and what the template does not define: the catalog's variables, and
    functions. What `set`, `for` and `with` define is followed to what they take it from.
    """

    text: str
    place: Place
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOrigin:
    """A rendered line, and what made it.

    `places` is the template line that made the line's first visible character, then what called it: the
    line that calls the macro, includes the template, prints the block. `also` are those of other parts of
    the line that stand elsewhere. `expressions` are what was printed in it, in the order of the line;
    `conditions` are the `if` and `for` that it stands in, wherever those are in what made it, and the calls
    that gave to a macro what decides there.
    """

    text: str
    places: tuple[Place, ...]
    also: tuple[tuple[Place, ...], ...] = ()
    expressions: tuple[Expression, ...] = ()
    conditions: tuple[Expression, ...] = ()


class Origins:
    """Reads the origins of what one environment gave; `shown` is the folder of templates in messages."""

    def __init__(self, tracing: Tracing, shown: str) -> None:
        self._tracing = tracing
        self._shown = shown
        self._quoting = Quoting(shown, tracing.sites)

    def of(self, text: str, template: str) -> tuple[LineOrigin, ...]:
        """Give one origin a line of the Dockerfile that the text stands for."""
        traced = text if isinstance(text, Traced) else compose_traced([text])
        final, empty = self._written(traced, template)
        end = len(str.rstrip(final, "\n"))
        nowhere = Span(1, final.spans[-1].chain if final.spans else (Step(template, 1),))
        feed = final.part(end, end + 1) or Traced.of("\n", [nowhere])
        whole = compose_traced([final.part(0, end), feed])
        return tuple(
            self._line(line, [chain for at, chain in empty if start <= at < start + len(line)])
            for start, line in _lines(whole)
        )

    def _written(self, text: Traced, template: str) -> tuple[Traced, list[tuple[int, Chain]]]:
        """Put the written values in the place of the marked ones, with their origins.

        A value that is empty has no character to carry its origin: it is given beside, by its position.
        """
        texts, written = self._quoting.pieces(text, template)
        parts, empty = [text.part(0, len(texts[0]))], []
        length = len(parts[0])
        for own, value, found in zip(texts[1:], written, MARK.finditer(text), strict=True):
            chain = text.part(*found.span()).spans[0].chain
            if not value:
                empty.append((length, chain))
            parts.append(Traced.of(value, [Span(len(value), chain)]))
            parts.append(text.part(found.end(), found.end() + len(own)))
            length += len(value) + len(own)
        return compose_traced(parts), empty

    def _line(self, line: Traced, empty: Sequence[Chain]) -> LineOrigin:
        chains = [*dict.fromkeys(_by_visible(line))]
        first, *others = dict.fromkeys(self._places(chain) for chain in chains)
        also = tuple(one for one in others if not _is_within(one, {first, *others} - {one}))
        # Text of a template has no variable in it, whatever the call was made with that led to it.
        printed = [*(span.chain for span in line.spans if span.chain[0].site != NO_SITE), *empty]
        expressions = (
            self._expression(step, chain[at:])
            for chain in printed
            for at, step in enumerate(chain)
            if step.site != NO_SITE and not self._tracing.sites[step.site].expression.startswith(FILTER_BLOCK)
        )
        text = str.rstrip(line, "\n")
        conditions = (one for chain in dict.fromkeys(chains) for one in self._deciding(chain))
        return LineOrigin(
            text=text,
            places=first,
            also=also,
            expressions=tuple(dict.fromkeys(expressions)),
            conditions=tuple(dict.fromkeys(conditions)),
        )

    def _deciding(self, chain: Chain) -> Iterator[Expression]:
        """Yield what decides that a chain is rendered, the innermost template first."""
        passed = False  # whether it depends on what the macro that is left has been given
        for at, step in enumerate(chain):
            if passed and step.site != NO_SITE and not step.is_at(chain[at - 1]):
                passed = CALLER in self._tracing.names[step.site]
                yield self._expression(step, chain[at:])
            for condition in (self._tracing.conditions[number] for number in step.within):
                passed |= CALLER in condition.names
                place = Place(f"{self._shown}/{condition.template}", condition.line)
                names = self._resolved(condition.names, step, chain[at:])
                yield Expression(text=condition.text, place=place, names=names)

    def _places(self, chain: Chain) -> tuple[Place, ...]:
        """The places of a chain, one that stands twice in a row once."""
        return tuple(place for place, _ in groupby(map(self._place, chain)))

    def _place(self, step: Step) -> Place:
        return Place(f"{self._shown}/{step.template}", step.line)

    def _expression(self, step: Step, chain: Chain) -> Expression:
        names = self._resolved(self._tracing.names[step.site], step, chain)
        text = self._tracing.sites[step.site].expression
        return Expression(text=text, place=self._place(step), names=names)

    def _resolved(self, names: frozenset[str], step: Step, chain: Chain) -> tuple[str, ...]:
        """Follow names at a step to what no template of its chain defines."""
        own = self._tracing.locals[step.template]
        outer = dict.fromkeys(caller.template for caller in chain if caller.template != step.template)
        found = resolve(names, own, [self._tracing.locals[name] for name in outer])
        return tuple(sorted(found - {CALLER}))


def check_same(found: Iterable[LineOrigin], rendered: str, place: Place) -> None:
    """Refuse origins of other text than the rendered one: they would send a reader astray."""
    lines = [line.text for line in found]
    expected = rendered.removesuffix("\n").split("\n")
    if lines != expected:
        at = next(at for at, pair in enumerate(zip_longest(lines, expected), 1) if pair[0] != pair[1])
        message = f"line {at} renders differently when it is traced; this is a bug in dfgen, please report it"
        raise InputError(Problem(place, message))


def _lines(text: Traced) -> Iterator[tuple[int, Traced]]:
    start = 0
    while start < len(text):
        end = str.find(text, "\n", start) + 1 or len(text)
        yield start, text.part(start, end)
        start = end


def _by_visible(line: Traced) -> Iterator[Chain]:
    """The chains of a line, that of its first visible character first."""
    at = len(line) - len(str.lstrip(line))
    visible = line.part(at, at + 1) or line.part(0, 1)
    yield from (span.chain for span in (*visible.spans, *line.spans))


def _is_within(places: tuple[Place, ...], others: Iterable[tuple[Place, ...]]) -> bool:
    """Whether a chain is the end of another one: what a line's callers are is told with the line."""
    return any(other[-len(places) :] == places for other in others)
