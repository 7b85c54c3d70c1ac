"""Traced text: every character keeps an origin, whatever operation is applied."""

from __future__ import annotations

from dfgen.templating.trace import Span, Step, Traced, called, compose_traced

A, B, C = (Step(name, 1) for name in "abc")
TEXT = Traced.of("one\ntwo\n", [Span(4, (A,)), Span(4, (B,))])


def spans(text: Traced) -> list[tuple[int, str]]:
    assert sum(span.size for span in text.spans) == len(text)
    return [(span.size, "".join(step.template for step in span.chain)) for span in text.spans]


def test_parts_keep_their_spans() -> None:
    assert spans(TEXT.part(2, 6)) == [(2, "a"), (2, "b")]
    assert spans(TEXT.part(4, 4)) == []
    assert spans(compose_traced([TEXT.part(0, 1), "xy", TEXT.part(4, 5)])) == [(1, "a"), (2, "a"), (1, "b")]
    assert spans(compose_traced(["xy", ""])) == [(2, "")]


def test_filters_keep_lines() -> None:
    assert spans(TEXT.with_text("ONE\nTWO\n")) == [(4, "a"), (4, "b")]
    assert spans(TEXT.with_text("one\n  two\n")) == [(4, "a"), (2, "b"), (4, "b")]
    assert spans(TEXT.with_text("ein\nzwei\n")) == [(4, "a"), (5, "b")]
    assert spans(TEXT.with_text("two")) == [(3, "b")]


def test_text_with_other_lines_has_the_origin_of_the_first() -> None:
    assert spans(TEXT.with_text("1\n2\n3\n")) == [(6, "a")]
    assert spans(Traced.of("", []).with_text("1\n2")) == [(3, "")]


def test_a_replacement_has_the_origin_of_the_replaced_text() -> None:
    text = Traced.of("a;b;c", [Span(2, (A,)), Span(3, (B,))])
    assert str(text.replaced(";", "\n")) == "a\nb\nc"
    assert spans(text.replaced(";", "--")) == [(1, "a"), (2, "a"), (1, "b"), (2, "b"), (1, "b")]
    assert spans(text.replaced(";", "", 1)) == [(1, "a"), (3, "b")]
    assert str(text.replaced("", "-")) == "-a-;-b-;-c-"
    assert spans(text.replaced("", "-")) == [(11, "a")]


def test_a_chain_names_shared_callers_once() -> None:
    assert called((A, C), (B, C)) == (A, B, C)
    assert called((A, C), (C,)) == (A, C)
    assert called((A,), (B,)) == (A, B)
    assert called((A, C), (C._replace(site=3),)) == (A, C._replace(site=3))
    inner, outer = A._replace(site=1), A._replace(site=2)
    assert called((inner,), (outer,)) == (inner, outer)
