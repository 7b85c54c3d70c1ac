"""The Markdown comment: within its limit, complete parts only, and catalog text is never markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from dfgen.cli.review.markdown import LIMIT, code, markdown
from dfgen.commands.review.records import Group, Impact, Kind, PinMove, PlatformMove, Rebuild, Review
from dfgen.errors import Place
from dfgen.findings import Finding, Level
from dfgen.oci.platform import Platform

TIMES = "\N{MULTIPLICATION SIGN}"
MARK = "\N{GREEK CAPITAL LETTER OMEGA}"  # in every text of the catalog and in no text of dfgen


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@all <b>", "`@all <b>`"),
        ("a`b``c", "``` a`b``c ```"),
        ("a\n</details>\u202e", r"`a\n</details>\u202e`"),
        (" ", ""),
        ("x" * 500, f"`{'x' * 400}… (100 more characters)`"),
    ],
)
def test_catalog_text_cannot_close_its_code_marks(text: str, shown: str) -> None:
    assert code(text) == shown


def _group(number: int) -> Group:
    hunk = (
        "--- a",
        "+++ b",
        "+````",
        "+</details>",
        *(f"+{number} {line} {'x' * 300}" for line in range(200)),
    )
    return Group(kind=Kind.CHANGED, title="t", steps=(), hunk=hunk, files=("a", "b"))


def test_fence_is_longer_than_fences_inside_and_groups_that_do_not_fit_are_left_out() -> None:
    text = markdown(Review(groups=tuple(map(_group, range(9)))))
    assert len(text.encode()) <= LIMIT
    assert text.endswith("\nLeft out, because the size of a comment is limited: 4 changes.\n")
    assert text.count("\n`````diff\n") == text.count("\n`````\n\n161 more lines.\n") == 5
    outside = re.sub(r"\n`````diff\n.*?\n`````\n", "", text, flags=re.DOTALL)
    assert outside.count("<details>") == outside.count("</details>") == 10


def test_left_out_parts_are_counted_and_the_first_part_that_fits_has_the_heading() -> None:
    short = Group(kind=Kind.CHANGED, title="short", steps=(), hunk=(), files=("a",))
    text = markdown(Review(groups=(_group(1), short, _group(2)), notes=("n" * 399,) * 9), limit=1000)
    assert f"### Changes\n\n**{TIMES} 1** `short` in `a`\n" in text
    assert text.endswith(
        "\nLeft out, because the size of a comment is limited: 2 changes, 1 list of notes.\n"
    )


def _finding(line: int, message: str = "m", level: Level = Level.ERROR) -> Finding:
    place = Place("t.j2", line)
    return Finding(rule="r", level=level, message=message, place=place, generated=Place("D", line))


def test_risks_that_do_not_fit_are_counted() -> None:
    text = markdown(Review(risks=tuple(_finding(1, f"{at} {'m' * 300}") for at in range(500))))
    shown = text.count("\n- ")
    assert len(text.encode()) <= LIMIT
    assert text.endswith(f"\nLeft out, because the size of a comment is limited: {500 - shown} risks.\n")
    assert markdown(Review(risks=(_finding(1),))).count("\n- ") == 1


def test_same_risk_in_many_places_is_one_and_the_most_severe_is_first() -> None:
    risks = (_finding(7, "n", Level.NOTE), *(_finding(line) for line in range(1, 41)))
    text = markdown(Review(risks=risks))
    first, note = re.findall(r"^(?:- )?(?:❌|ℹ️).*$", text, re.MULTILINE)  # noqa: RUF001
    assert first == f"❌ **{TIMES} 40** `t.j2:1` `m` `r` (in `D:1`)"
    assert note == "- ℹ️ `t.j2:7` `n` `r` (in `D:7`)"  # noqa: RUF001
    assert "<details><summary>40 places</summary>\n\n- `t.j2:1 (in D:1)`\n" in text


SIGNS = "` `` ``` ~~~ <!-- </details> <b> | @all #1 * _ [a](b) \\ &amp; - > ![a](b) https://x.example $"
ODD = ("\n", "\r\n", "\t", "\u202e", "\u2028", "    ", "- ", "> ", "x" * 700, "é" * 90)
pieces = st.sampled_from((*SIGNS.split(), *ODD))
texts = st.lists(pieces, max_size=6).map(lambda parts: "".join([*parts, MARK]))
few = st.lists(texts, min_size=1, max_size=4).map(tuple)
hunks = st.lists(
    st.builds(lambda sign, text: sign + text.replace("\n", ""), st.sampled_from("+- "), texts), max_size=30
)
groups = st.builds(
    lambda kind, title, hunk, files: Group(
        kind=kind, title=title, steps=(), hunk=("--- a", "+++ b", *hunk), files=files
    ),
    st.sampled_from(Kind),
    texts,
    hunks,
    few,
)
places = st.builds(Place, texts, st.integers(0, 9))
risks = st.builds(
    Finding, rule=st.just("r"), level=st.sampled_from(Level), message=texts, place=places,
    generated=st.none() | places,
)  # fmt: skip
moves = st.builds(
    lambda parent, inside: PinMove(
        kind=Kind.CHANGED, parent=parent, before=None, after=None, images=(), place=Place("l"),
        platforms=(PlatformMove(platform=Platform.parse("amd64"), before=None, after=None, inside=inside),),
    ),
    texts, few,
)  # fmt: skip
impacts = st.builds(
    lambda images, reasons, removed: Impact(
        rebuilt=tuple(Rebuild(image=one, reasons=reasons) for one in images), removed=removed
    ),
    few, few, few,
)  # fmt: skip
reviews = st.builds(
    Review,
    groups=st.lists(groups, max_size=4).map(tuple),
    pins=st.lists(moves, max_size=2).map(tuple),
    impact=impacts,
    risks=st.lists(risks, max_size=4).map(tuple),
    notes=few,
)


def _leaves(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from _leaves(token.children) if token.children else (token,)


@settings(max_examples=150, deadline=None)
@given(reviews, st.sampled_from([600, 2000, 8000, LIMIT]))
def test_catalog_text_is_never_markup_and_parts_are_complete(review: Review, limit: int) -> None:
    # According to a CommonMark parser, all catalog text is code.
    text = markdown(review, limit)
    assert len(text.encode()) <= limit
    found = [*_leaves(MarkdownIt("commonmark").parse(text))]
    for token in found:
        if token.type not in ("code_inline", "fence"):
            assert MARK not in token.content, (token, text)
        if token.type == "text":
            assert not set(token.content) & set("@<`|"), (token, text)
    html = "".join(token.content for token in found if token.type.startswith("html"))
    assert re.fullmatch(r"(?:<details><summary>[\w ,]+</summary>\n</details>\n?)*", html), (html, text)
    lines = text.splitlines()
    for begin, end in (token.map or (0, 0) for token in found if token.type == "fence"):
        assert lines[end - 1] == lines[begin].removesuffix("diff"), text
