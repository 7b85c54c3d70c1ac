"""A review on a terminal fits its width and is cut with counts; to a pipe it is plain and complete."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from dfgen.cli.review.terminal import print_review
from dfgen.commands.review.records import Group, Impact, Kind, Rebuild, Review
from dfgen.errors import Place
from dfgen.findings import Finding, Level
from tests.unit.cli.run import dfgen
from tests.unit.review.states import reviewed

GOLDEN = Path(__file__).parents[1] / "review/golden"
TIMES = "\N{MULTIPLICATION SIGN}"
WIDTHS = (80, 200)


def printed(review: Review, width: int, *, colour: bool = False) -> list[str]:
    """Return the rows printed on a terminal of this width."""
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=True,
        width=width,
        color_system="standard" if colour else None,
        highlight=False,
    )
    print_review(review, console)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir()))
def test_golden_review_fits_the_terminal(name: str, width: int) -> None:
    rows = printed(reviewed(GOLDEN / name / "before", GOLDEN / name / "after"), width)
    assert max(map(cell_len, rows)) <= width
    assert len(rows) <= 54


def test_further_changes_are_counted() -> None:
    groups = tuple(
        Group(kind=Kind.CHANGED, title=f"USER: a → {at}", steps=(), hunk=("a", "b", "+c"), files=("f", "g"))
        for at in range(22)
    )
    rows = printed(Review(groups=groups), 80)
    assert [row for row in rows if "USER" in row] == [f"{TIMES} 2  USER: a → {at}" for at in range(20)]
    assert "and 2 more changes in 4 files; use `--format json` to see all" in rows


@pytest.mark.parametrize(("name", "shown"), [("pin-bump", False), ("hand-edit", True)])
def test_diff_of_a_pin_move_is_hidden(name: str, shown: bool) -> None:
    review = reviewed(GOLDEN / name / "before", GOLDEN / name / "after")
    assert any(row.startswith("    @@ ") for row in printed(review, 80)) == shown


def test_digest_without_a_pin_move_is_shown(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "pin-bump/before", tmp_path / "after")
    for path in tmp_path.glob("after/bases/*/*/Dockerfile_arm64"):
        path.write_text(re.sub("@sha256:.{64}", f"@sha256:{'0' * 64}", path.read_text(encoding="utf-8")))
    rows = printed(reviewed(GOLDEN / "pin-bump/before", tmp_path / "after"), 80)
    assert any(row.startswith("    +FROM") for row in rows)


def test_risks_come_first_then_outliers() -> None:
    rows = printed(reviewed(GOLDEN / "template-42/before", GOLDEN / "template-42/after"), 200)
    heads = [row for row in rows if not row.startswith(" ")]
    change = "RUN: tini added, -y → --yes; ENV added: APP_HOME=/opt/app"
    assert heads == [
        "1 warning; 44 Dockerfiles changed (2 different changes), 0 unchanged; 0 pins moved; 44 images to build, 0 untouched",
        "templates/app.Dockerfile.j2:9: warning: the image now runs as root; end with an unprivileged USER"
        " (in 2 files) [user-root] (in bases/app/22.0/Dockerfile_amd64:13)",
        f"{TIMES} 2  {change}; USER: 1000:1000 → root  (differs from the rest)",
        f"{TIMES} 42  {change}",
        f"build {TIMES} 44  template templates/app.Dockerfile.j2",
    ]


def test_lists_are_cut_to_the_width_with_a_count() -> None:
    files = tuple(
        f"bases/app/{number}.0/Dockerfile_{arch}" for number in range(42) for arch in ("amd64", "arm64")
    )
    group = Group(kind=Kind.CHANGED, title="t", steps=(), hunk=(), files=files)
    ends = [printed(Review(groups=(group,)), width)[-1].partition(" and ")[2] for width in WIDTHS]
    assert ends == ["37 more folders", "28 more folders"]


def test_long_hunk_is_cut_with_a_count_and_that_of_a_removed_file_is_hidden() -> None:
    hunk = ("--- a/x", "+++ b/x", *(f"+{number}" for number in range(50)))
    groups = [
        Group(kind=kind, title="t", steps=(), hunk=hunk, files=("x_y",))
        for kind in (Kind.CHANGED, Kind.REMOVED)
    ]
    rows = printed(Review(groups=tuple(groups)), 200)
    assert rows[1:3] == [f"{TIMES} 1  t", "    +0"]
    assert rows[41:] == ["    +39", "    and 10 more lines", "    in x_y", f"{TIMES} 1  t", "    in x_y"]


def test_same_risk_in_many_places_is_one() -> None:
    risks = [Finding(rule="r", level=Level.ERROR, message="m", place=Place("f", line)) for line in (1, 2, 3)]
    assert printed(Review(risks=tuple(risks)), 200)[1:] == [
        "f:1: error: m [r]",
        f"    {TIMES} 3, also at f:2, f:3",
    ]


def test_unchanged_lines_are_cut_and_changed_lines_are_wrapped() -> None:
    hunk = ("--- a/x", "+++ b/x", f" {'s' * 100}", f"+{'n' * 100}")
    rows = printed(
        Review(groups=(Group(kind=Kind.CHANGED, title="t", steps=(), hunk=hunk, files=("x_y",)),)), 80
    )
    assert rows[3:6] == [f"     {'s' * 70}…", f"    +{'n' * 71}", f"        {'n' * 29}"]


def test_colors_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    found = reviewed(GOLDEN / "hand-edit/before", GOLDEN / "hand-edit/after")
    assert "\x1b[32m+RUN" in "\n".join(printed(found, 200, colour=True))
    sides = GOLDEN / "hand-edit/before", GOLDEN / "hand-edit/after"
    assert "\x1b" not in dfgen("review", *sides).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32m+RUN" in dfgen("review", *sides).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in dfgen("review", *sides).out


def test_pipe_gets_complete_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = dfgen("review", GOLDEN / "pin-bump/before", GOLDEN / "pin-bump/after").out.splitlines()
    assert [line[-64:] for line in shown if line.startswith("    +FROM")] == [
        "deaf077e9780c6de4e871e3322142d17b0cdfef2d190e23fe3060afaa8bcdcd3"
    ]


texts = st.text(st.sampled_from("a[]/\\\x1b\n\t\r\u202e\u4e2d \x9b#:"), max_size=300)


@settings(max_examples=60, deadline=None)
@given(texts, texts, st.sampled_from(WIDTHS))
def test_catalog_text_cannot_control_the_terminal(text: str, other: str, width: int) -> None:
    group = Group(
        kind=Kind.CHANGED, title=text, steps=(), hunk=("a", "b", f"+{other}", f" {text}"), files=(other,)
    )
    risk = Finding(rule="r", level=Level.NOTE, message=text, place=Place(other, 1))
    impact = Impact(rebuilt=(Rebuild(image=text, reasons=(other,)),), removed=(text,))
    review = Review(groups=(group,), risks=(risk,), impact=impact, notes=(text,))
    for row in printed(review, width):
        assert cell_len(row) <= width
        assert row.isprintable(), row
