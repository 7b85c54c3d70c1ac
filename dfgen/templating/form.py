"""Forms: marked text with a token for every value, taken apart once, into which values are put unread."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dfgen.templating.holes import HOLE, Hole
from dfgen.templating.marks import MARK, SENTINEL, TOKEN, VALUE
from dfgen.templating.outline import PINNED, Part, Run, runs
from dfgen.templating.walk import Walk

_FROM_TOKEN = re.compile(f"^FROM ({TOKEN}.)(?= |$)", re.MULTILINE)
_TOKEN = re.compile(f"({TOKEN}.)")


@dataclass(frozen=True, slots=True)
class _Span:
    """Statements whose values have to be written for their places; what was written is kept.

    `at` are the holes' positions among the pieces.
    """

    run: Run
    at: tuple[int, ...]
    holes: tuple[Hole, ...]
    kept: dict[tuple[str, ...], list[str] | None] = field(default_factory=dict)

    def written(self, values: Mapping[str, str]) -> list[str] | None:
        """Write the values for their places; None when one cannot stand there."""
        own = tuple(values.get(hole.value, hole.value) for hole in self.holes)
        if own not in self.kept:
            holes = [hole._replace(value=value) for hole, value in zip(self.holes, own, strict=True)]
            walk = Walk("", holes)
            for part in self.run.parts:
                walk.part(part)
            self.kept[own] = None if walk.refused else walk.written
        return self.kept[own]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The pieces of a text, and where values go in them.

    `parents` are tokens in a FROM, `tokens` those that stand as they are where they match all `rules`.
    """

    pieces: list[str]
    parents: Sequence[tuple[int, str]]
    tokens: Sequence[tuple[int, str]]
    rules: frozenset[tuple[str, re.Pattern[str]]]
    spans: Sequence[_Span]

    def fill(self, values: Mapping[str, str]) -> str | None:
        """Give the Dockerfile with the texts of values, by token; None when that takes reading it anew."""
        if any(rule.fullmatch(values[token]) is None for token, rule in self.rules):
            return None
        pieces = self.pieces.copy()
        for at, token in self.tokens:
            pieces[at] = values[token]
        for at, token in self.parents:
            if PINNED.fullmatch(values[token]) is None:
                return None
            pieces[at] = values[token]
        for span in self.spans:
            written = span.written(values)
            if written is None:
                return None
            for at, text in zip(span.at, written, strict=True):
                pieces[at] = text
        return "".join(pieces)


def form(marked: str, example: Mapping[str, str]) -> Form | None:
    """Take a text with tokens apart; `example` are the texts of one image's values.

    None when a value stands in the text otherwise than as the parent of a FROM.
    """
    found = MARK.split(marked)
    texts, holes = found[::4], [Hole(*found[at : at + 3]) for at in range(1, len(found), 4)]
    skeleton = HOLE.join(texts)
    if len(_FROM_TOKEN.findall(skeleton)) != skeleton.count(TOKEN) or any(map(_broken, texts)):
        return None
    pieces = [piece for text in texts for piece in (*_TOKEN.split(text), "")][:-1]
    at_holes = [at for at, piece in enumerate(pieces) if at % 2 and not piece]
    parents = [(at, piece) for at, piece in enumerate(pieces) if at % 2 and piece]
    filled = _TOKEN.sub(lambda token: example[token[0]], skeleton)
    return _form(pieces, parents, at_holes, holes, runs(filled))


def _broken(text: str) -> bool:
    return SENTINEL.search(_TOKEN.sub("", text)) is not None


def _form(
    pieces: list[str],
    parents: Sequence[tuple[int, str]],
    positions: Sequence[int],
    holes: Sequence[Hole],
    found: Sequence[Run],
) -> Form:
    tokens: list[tuple[int, str]] = []
    rules: set[tuple[str, re.Pattern[str]]] = set()
    spans: list[_Span] = []
    start = 0
    for run in found:
        at, own = positions[start : start + run.holes], holes[start : start + run.holes]
        start += run.holes
        asked = [*_rules(run, own)]
        if asked and all(TOKEN in hole.value or rule.fullmatch(hole.value) for hole, rule in asked):
            for position, (hole, rule) in zip(at, asked, strict=True):
                pieces[position] = hole.value
                if TOKEN in hole.value:
                    tokens.append((position, hole.value))
                    rules.add((hole.value, rule))
        else:
            spans.append(_Span(run, tuple(at), tuple(own)))
    return Form(pieces=pieces, parents=parents, tokens=tokens, rules=frozenset(rules), spans=spans)


def _rules(run: Run, holes: Sequence[Hole]) -> Iterator[tuple[Hole, re.Pattern[str]]]:
    """Pair the holes of a run with what can stand in them as it is; nothing where that is not certain."""
    if run.plain is None or any(hole.kind != VALUE for hole in holes):
        return
    patterns = (rule for part in run.parts if isinstance(part, Part) for rule in part.plain)
    yield from zip(holes, patterns, strict=True)
