"""The source map of a rendered Dockerfile: the template lines and variables that each line comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from dfgen.errors import InputError, Place, Problem
from dfgen.templating.environment import FILTER_BLOCK
from dfgen.templating.quoting import Quoting
from dfgen.templating.taint import TAINTED
from dfgen.templating.trace import (
    CALLER,
    NO_SITE,
    Chain,
    Span,
    Step,
    Traced,
    TracingSandbox,
    compose_traced,
    resolve,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """An expression of a template that printed something in a line.

    `names` are the catalog's variables, and functions, that it is computed from. Names that `set`, `for` and
    `with` define are replaced by those that they are computed from.
    """

    text: str
    place: Place
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOrigin:
    """The origin of a rendered line.

    `stack` is the template line of the first visible character, then its callers: the lines that call the
    macro, include the template or print the block. `other_stacks` are those of other parts of the line.
    `expressions` were printed in the line, in this order. `conditions` are the `if` and `for` around all of
    these template lines, and the macro calls whose arguments these conditions depend on.
    """

    text: str
    stack: tuple[Place, ...]
    other_stacks: tuple[tuple[Place, ...], ...] = ()
    expressions: tuple[Expression, ...] = ()
    conditions: tuple[Expression, ...] = ()


class Origins:
    """Reads the origins of traced text; `shown` is the folder of templates in messages."""

    def __init__(self, tracing: TracingSandbox, shown: str) -> None:
        self._tracing = tracing
        self._shown = shown
        self._quoting = Quoting(shown, tracing.sites)

    def of(self, text: str, template: str) -> tuple[LineOrigin, ...]:
        """Return the origin of each line of the Dockerfile. Raises InputError for rejected values."""
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
        """Replace tainted values by their quoted text, with their origins.

        An empty value has no character that could have an origin; those are returned separately, with their
        index.
        """
        texts, written = self._quoting.pieces(text, template)
        parts, empty = [text.part(0, len(texts[0]))], []
        length = len(parts[0])
        for own, value, found in zip(texts[1:], written, TAINTED.finditer(text), strict=True):
            chain = text.part(*found.span()).spans[0].chain
            if not value:
                empty.append((length, chain))
            parts.append(Traced.of(value, [Span(len(value), chain)]))
            parts.append(text.part(found.end(), found.end() + len(own)))
            length += len(value) + len(own)
        return compose_traced(parts), empty

    def _line(self, line: Traced, empty: Sequence[Chain]) -> LineOrigin:
        chains = [*dict.fromkeys(_by_visible(line))]
        first, *others = dict.fromkeys(self._stack(chain) for chain in chains)
        other_stacks = tuple(one for one in others if not _is_within(one, {first, *others} - {one}))
        # Template text depends on no variable, whatever arguments its macro was called with.
        printed = [*(span.chain for span in line.spans if span.chain[0].site != NO_SITE), *empty]
        expressions = (
            self._expression(step, chain[at:])
            for chain in printed
            for at, step in enumerate(chain)
            if step.site != NO_SITE and not self._tracing.sites[step.site].expression.startswith(FILTER_BLOCK)
        )
        text = str.rstrip(line, "\n")
        conditions = (one for chain in dict.fromkeys(chains) for one in self._conditions(chain))
        return LineOrigin(
            text=text,
            stack=first,
            other_stacks=other_stacks,
            expressions=tuple(dict.fromkeys(expressions)),
            conditions=tuple(dict.fromkeys(conditions)),
        )

    def _conditions(self, chain: Chain) -> Iterator[Expression]:
        """Yield the conditions of a chain, the innermost template first."""
        by_caller = False  # whether a condition depends on the arguments of the macro below
        for at, step in enumerate(chain):
            if by_caller and step.site != NO_SITE and not step.is_at(chain[at - 1]):
                by_caller = CALLER in self._tracing.names[step.site]
                yield self._expression(step, chain[at:])
            for condition in (self._tracing.conditions[number] for number in step.within):
                by_caller |= CALLER in condition.names
                place = Place(f"{self._shown}/{condition.template}", condition.line)
                names = self._resolved(condition.names, step, chain[at:])
                yield Expression(text=condition.text, place=place, names=names)

    def _stack(self, chain: Chain) -> tuple[Place, ...]:
        """Return the places of a chain without consecutive repetitions."""
        return tuple(place for place, _ in groupby(map(self._place, chain)))

    def _place(self, step: Step) -> Place:
        return Place(f"{self._shown}/{step.template}", step.line)

    def _expression(self, step: Step, chain: Chain) -> Expression:
        names = self._resolved(self._tracing.names[step.site], step, chain)
        text = self._tracing.sites[step.site].expression
        return Expression(text=text, place=self._place(step), names=names)

    def _resolved(self, names: frozenset[str], step: Step, chain: Chain) -> tuple[str, ...]:
        """Replace names by those that no template of the chain defines."""
        own = self._tracing.locals[step.template]
        outer = dict.fromkeys(caller.template for caller in chain if caller.template != step.template)
        found = resolve(names, own, [self._tracing.locals[name] for name in outer])
        return tuple(sorted(found - {CALLER}))


def check_same(found: Iterable[LineOrigin], rendered: str, place: Place) -> None:
    """Raise InputError if the traced text differs from the rendered text: its origins would be wrong."""
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
    """Yield the chains of a line, that of its first visible character first."""
    at = len(line) - len(str.lstrip(line))
    visible = line.part(at, at + 1) or line.part(0, 1)
    yield from (span.chain for span in (*visible.spans, *line.spans))


def _is_within(stack: tuple[Place, ...], others: Iterable[tuple[Place, ...]]) -> bool:
    """Whether a stack is the end of another one, which already names all of its lines."""
    return any(other[-len(stack) :] == stack for other in others)
