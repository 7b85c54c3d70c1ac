"""Printed rows in three formats, sizes and notes."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from dfgen.cli import output as show

DIGEST = f"sha256:{'a' * 64}"


class Terminal(io.StringIO):
    """Output that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def _printed(output: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        show.rows(("a", "b"), [("[bold]x|y", None), (Path("p"), ["q", "r"])], output)
    return out.getvalue()


def test_json_keeps_lists_and_null() -> None:
    assert json.loads(_printed("json")) == [{"a": "[bold]x|y", "b": None}, {"a": "p", "b": ["q", "r"]}]


def test_markdown_escapes_bars() -> None:
    assert _printed("markdown") == "| a | b |\n|---|---|\n| [bold]x\\|y |  |\n| p | q, r |\n"


def test_a_table_does_not_interpret_markup() -> None:
    words = [line.split(maxsplit=1) for line in _printed("table").splitlines()]
    assert words == [["a", "b"], ["[bold]x|y"], ["p", "q, r"]]


def test_without_rows_no_table_is_printed() -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        show.rows(("a",), [], "table")
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (200, ["app", "1.0", DIGEST, "1.0-x86_64"]),
        (60, ["app", "1.0", DIGEST[:19], "1.0-x86_64"]),
        (37, ["app", "1.0", DIGEST[:19]]),
        (28, ["app", DIGEST[:19]]),
    ],
)
def test_a_table_fits_into_the_terminal(
    monkeypatch: pytest.MonkeyPatch, width: int, words: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    columns = ("family", "version", "digest", "tag")
    with redirect_stdout(out):
        show.rows(columns, [("app", "1.0", DIGEST, "1.0-x86_64")], "table", ("tag", "version"))
    _, row = out.getvalue().splitlines()
    assert row.split() == words


def test_a_table_in_a_pipe_is_not_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    out = io.StringIO()
    with redirect_stdout(out):
        show.rows(("family", "digest"), [("app", DIGEST)], "table", ("digest",))
    assert out.getvalue().splitlines()[1].split() == ["app", DIGEST]


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (64_800_000, "64.8 MB"), (2_500_000_000, "2.5 GB")],
)
def test_sizes(count: int, shown: str) -> None:
    assert show.size(count) == shown


def test_a_note_goes_to_stderr() -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        show.note("x")
    assert (out.getvalue(), err.getvalue()) == ("", "x\n")


def test_control_characters_in_cells_are_escaped() -> None:
    for output in ("table", "markdown"):
        out = io.StringIO()
        with redirect_stdout(out):
            show.rows(("user",), [("\x1b[31mroot\nadmin",), (["a\rb"],)], output)
        assert "\\x1b[31mroot\\nadmin" in out.getvalue()
        assert "a\\rb" in out.getvalue()
        assert len(out.getvalue().splitlines()) == (3 if output == "table" else 4)
