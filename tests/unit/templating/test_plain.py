"""The fast path for values that are written unchanged: its result is that of the full analysis."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.templating.quoting import Quoter
from dfgen.templating.quoting.positions import batches
from dfgen.templating.quoting.values import PLACEHOLDER, PrintedValue
from dfgen.templating.taint import JSON, VALUE, WORD

PIECES = st.sampled_from(
    [
        PLACEHOLDER,
        PLACEHOLDER,
        "A",
        "=",
        " ",
        '"',
        "'",
        "$",
        "$A",
        "${",
        "}",
        "-",
        "\\",
        "`",
        "#",
        "[",
        "<",
        ":",
        "1",
    ]
)
TEXTS = st.builds(
    "{} {}".format, st.sampled_from(["ENV", "LABEL", "ARG", "env"]), st.lists(PIECES).map("".join)
)
VALUES = st.text("aZ09_-@%+=:,./~^", min_size=1, max_size=4)


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.data())
def test_the_fast_path_writes_what_the_full_analysis_writes(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join(lines)
    for batch in batches(text):
        values = [PrintedValue(VALUE, "s", data.draw(VALUES)) for _ in range(batch.size)]
        if batch.keeps(values):
            quoter = Quoter(text, values)
            for part in batch.parts:
                quoter.part(part)
            assert (quoter.written, quoter.rejected) == ([value.raw for value in values], [])


@pytest.mark.parametrize(
    ("text", "has_fast_path"),
    [
        (f"ENV A={PLACEHOLDER}", True),
        (f'ENV A="{PLACEHOLDER}" {PLACEHOLDER}=b', True),
        (f"LABEL a='{PLACEHOLDER}'", True),
        (f"ENV A=$B{PLACEHOLDER}", False),
        (f"ENV A=${{{PLACEHOLDER}}}", False),
        (f"ENV A=\\{PLACEHOLDER}", False),
        (f"ENV --{PLACEHOLDER}=b", False),
        (f"ENV A=[{PLACEHOLDER}]", False),
        (f"RUN echo {PLACEHOLDER}", False),
        (f"ENV A=b \\\n  C={PLACEHOLDER}", False),
        (f"# {PLACEHOLDER}", False),
    ],
)
def test_only_certain_positions_take_the_fast_path(text: str, has_fast_path: bool) -> None:
    (batch,) = batches(text)
    assert (batch.unchanged is not None) is has_fast_path


@pytest.mark.parametrize(
    "value",
    [
        PrintedValue(JSON, "s", "1"),
        PrintedValue(WORD, "s", "a"),
        PrintedValue(VALUE, "s", "-a"),
        PrintedValue(VALUE, "s", ""),
    ],
)
def test_only_harmless_plain_values_take_the_fast_path(value: PrintedValue) -> None:
    (batch,) = batches(f"ENV A={PLACEHOLDER}")
    assert not batch.keeps([value])


def test_skeletons_that_only_differ_in_a_pinned_parent_share_a_cache_entry() -> None:
    texts = (
        f"FROM --platform=linux/{name} a/{name}:1@sha256:{name[-1] * 64}\nENV A={PLACEHOLDER}"
        for name in ("amd64", "arm64")
    )
    first, second = (batches(text) for text in texts)
    assert first is second
