"""The page of the benchmarks: what a row says that was measured, and one that could not be."""

from __future__ import annotations

from pathlib import Path

from tests.bench.measure import Sample, Series
from tests.bench.peers import Peers
from tests.bench.report import lines, text
from tests.bench.row import Aim, Bench, Row


def _series(name: str, *seconds: float) -> Series:
    return Series(name=name, samples=tuple(Sample(seconds=one, cpu=one / 2, memory=30.4) for one in seconds))


def test_a_row_shows_medians_aims_and_who_is_absent() -> None:
    ours, other = _series("dfgen lock", 1.0, 3.0, 2.0), _series("crane digest", 30.0, 33.0, 62.0)
    aims = [
        Aim(what="crane / dfgen", measured=other.ratio(ours), limit=10, unit="times", at_least=True),
        Aim(what="dfgen lock", measured=ours.seconds, limit=1.5, unit="s"),
    ]
    row = Row(
        title="lock",
        work="two parents",
        series=(ours, other),
        aims=aims,
        absent=["skopeo"],
    )
    assert list(lines(row)) == [
        "## lock",
        "",
        "Two parents.",
        "",
        "| what | seconds | fastest to slowest | processor | memory |",
        "|---|---|---|---|---|",
        "| dfgen lock | 2.000 | 1.000 to 3.000 | 1.000 | 30 MiB |",
        "| crane digest | 33.000 | 30.000 to 62.000 | 16.500 | 30 MiB |",
        "",
        "- crane / dfgen: 30 times (aim ≥ 10 times): reached",
        "- dfgen lock: 2 s (aim ≤ 1.5 s): missed, 1.33 of the limit",
        "- skopeo could not be had on this machine, and is not in the row.",
        "",
    ]


def test_outputs_that_differ_are_said() -> None:
    row = Row(title="lock", work="two parents", series=(_series("dfgen lock", 1.0),), aims=(), same=False)
    assert "- **The outputs differ: this row does not count.**" in lines(row)


def test_a_row_may_have_aims_alone() -> None:
    aim = Aim(what="size on disk", measured=45.25, limit=60, unit="MiB")
    row = Row(title="install", work="the wheel of dfgen", series=(), aims=[aim])
    assert list(lines(row)) == [
        "## install",
        "",
        "The wheel of dfgen.",
        "",
        "- size on disk: 45.2 MiB (aim ≤ 60 MiB): reached",
        "",
    ]


def test_a_row_that_is_left_out_says_for_want_of_what() -> None:
    row = Row.left_out("publish", "20 images", ["docker-registry"])
    assert list(lines(row)) == [
        "## publish",
        "",
        "20 images.",
        "",
        "- Left out: it needs docker-registry, which could not be had on this machine.",
        "",
    ]


def test_the_page_has_every_row_the_picture_and_the_notes(tmp_path: Path) -> None:
    sizes = {100: _series("dfgen render", 1.0)}
    rows = [
        Row(title="growth", work="more and more", series=tuple(sizes.values()), aims=(), sizes=sizes),
        Row.left_out("publish", "20 images", ["docker-registry"]),
    ]
    bench = Bench(folder=tmp_path, runs=5, peers=Peers(tmp_path))
    page = text(bench, rows, "## What is left\n", "cost.svg")
    assert [line for line in page.splitlines() if line.startswith(("#", "!", "Runs"))] == [
        "# Benchmarks",
        "Runs of each: 5.",
        "## growth",
        "![Cost against size](cost.svg)",
        "## publish",
        "## What is left",
    ]
