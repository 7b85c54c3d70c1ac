"""The short way by which most values go: it gives what the long way gives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.templating.marks import JSON, VALUE, WORD
from dfgen.templating.quoting import Walk
from dfgen.templating.quoting.positions import runs
from dfgen.templating.quoting.values import HOLE, Hole

PIECES = st.sampled_from(
    [HOLE, HOLE, "A", "=", " ", '"', "'", "$", "$A", "${", "}", "-", "\\", "`", "#", "[", "<", ":", "1"]
)
TEXTS = st.builds(
    "{} {}".format, st.sampled_from(["ENV", "LABEL", "ARG", "env"]), st.lists(PIECES).map("".join)
)
VALUES = st.text("aZ09_-@%+=:,./~^", min_size=1, max_size=4)


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=3), st.data())
def test_what_stands_as_it_is_is_what_the_whole_walk_writes(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join(lines)
    for run in runs(text):
        holes = [Hole(VALUE, "s", data.draw(VALUES)) for _ in range(run.holes)]
        if run.stand(holes):
            walk = Walk(text, holes)
            for part in run.parts:
                walk.part(part)
            assert (walk.written, walk.refused) == ([hole.value for hole in holes], [])


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        (f"ENV A={HOLE}", True),
        (f'ENV A="{HOLE}" {HOLE}=b', True),
        (f"LABEL a='{HOLE}'", True),
        (f"ENV A=$B{HOLE}", False),
        (f"ENV A=${{{HOLE}}}", False),
        (f"ENV A=\\{HOLE}", False),
        (f"ENV --{HOLE}=b", False),
        (f"ENV A=[{HOLE}]", False),
        (f"RUN echo {HOLE}", False),
        (f"ENV A=b \\\n  C={HOLE}", False),
        (f"# {HOLE}", False),
    ],
)
def test_only_what_is_certain_goes_the_short_way(text: str, is_plain: bool) -> None:
    (run,) = runs(text)
    assert (run.plain is not None) is is_plain


@pytest.mark.parametrize(
    "hole", [Hole(JSON, "s", "1"), Hole(WORD, "s", "a"), Hole(VALUE, "s", "-a"), Hole(VALUE, "s", "")]
)
def test_only_plain_and_harmless_values_go_the_short_way(hole: Hole) -> None:
    (run,) = runs(f"ENV A={HOLE}")
    assert not run.stand([hole])


def test_renders_that_differ_in_their_pinned_parent_are_taken_apart_once() -> None:
    texts = (
        f"FROM --platform=linux/{name} a/{name}:1@sha256:{name[-1] * 64}\nENV A={HOLE}"
        for name in ("amd64", "arm64")
    )
    first, second = (runs(text) for text in texts)
    assert first is second
