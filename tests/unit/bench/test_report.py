"""The page of the benchmarks: its summary, measured rows, and rows that were left out."""

from __future__ import annotations

from pathlib import Path

from tests.bench.measure import Sample, Series
from tests.bench.peers import Peers
from tests.bench.report import page, section, summary
from tests.bench.row import Bench, Row, Target


def _series(name: str, *seconds: float) -> Series:
    return Series(name=name, samples=tuple(Sample(seconds=one, cpu=one / 2, memory=30.4) for one in seconds))


def test_a_row_shows_medians_targets_and_absent_tools() -> None:
    ours, other = _series("dfgen lock", 1.0, 3.0, 2.0), _series("crane digest", 30.0, 33.0, 62.0)
    targets = [
        Target(what="crane / dfgen", measured=other.ratio(ours), limit=10, unit="times", at_least=True),
        Target(what="dfgen lock", measured=ours.seconds, limit=1.5, unit="s"),
    ]
    row = Row(
        title="lock",
        work="two parents",
        series=(ours, other),
        targets=targets,
        absent=["skopeo"],
    )
    assert list(section(row)) == [
        "## lock",
        "",
        "Two parents.",
        "",
        "| command | seconds | fastest to slowest | CPU | memory |",
        "|---|---|---|---|---|",
        "| dfgen lock | 2.000 | 1.000 to 3.000 | 1.000 | 30 MiB |",
        "| crane digest | 33.000 | 30.000 to 62.000 | 16.500 | 30 MiB |",
        "",
        "- crane / dfgen: 30 times (target ≥ 10 times): reached",
        "- dfgen lock: 2 s (target ≤ 1.5 s): missed",
        "- Not measured: skopeo is not available on this machine.",
        "",
    ]


def test_different_outputs_are_reported() -> None:
    row = Row(title="lock", work="two parents", series=(_series("dfgen lock", 1.0),), targets=(), same=False)
    assert "- **The outputs differ, so this row does not count.**" in section(row)


def test_a_row_may_have_targets_only() -> None:
    target = Target(what="size on disk", measured=45.25, limit=60, unit="MiB")
    row = Row(title="install", work="the wheel of dfgen", series=(), targets=[target])
    assert list(section(row)) == [
        "## install",
        "",
        "The wheel of dfgen.",
        "",
        "- size on disk: 45.2 MiB (target ≤ 60 MiB): reached",
        "",
    ]


def test_a_row_that_is_left_out_names_what_it_needs() -> None:
    row = Row.left_out("publish", "20 images", ["docker-registry"])
    assert list(section(row)) == [
        "## publish",
        "",
        "20 images.",
        "",
        "- Not measured: docker-registry is not available on this machine.",
        "",
    ]


def test_the_summary_lists_reached_and_missed_targets() -> None:
    fast = Target(what="dfgen lock", measured=1, limit=1.5, unit="s")
    slow = Target(what="crane / dfgen", measured=4.25, limit=10, unit="times", at_least=True)
    rows = [
        Row(title="lock", work="two parents", series=(), targets=[fast]),
        Row(title="merge", work="two versions", series=(), targets=[fast, slow]),
        Row(title="build", work="two images", series=(), targets=[fast], same=False),
        Row.left_out("publish", "20 images", ["docker-registry"]),
    ]
    assert list(summary(rows)) == [
        "Targets reached, 2 of 4: lock, merge (1 of 2).",
        "Targets missed, 2 of 4: merge: crane / dfgen: 4.25 times (target ≥ 10 times);"
        " build: dfgen lock: 1 s (target ≤ 1.5 s).",
    ]
    assert list(summary([])) == ["Targets reached, 0 of 0: none.", "Targets missed, 0 of 0: none."]


def test_the_page_has_all_rows_the_chart_and_the_notes(tmp_path: Path) -> None:
    sizes = {100: _series("dfgen render", 1.0)}
    rows = [
        Row(title="growth", work="more and more", series=tuple(sizes.values()), targets=(), sizes=sizes),
        Row.left_out("publish", "20 images", ["docker-registry"]),
    ]
    bench = Bench(folder=tmp_path, runs=5, peers=Peers(tmp_path))
    lines = page(bench, rows, "## Why targets were missed\n", "chart.svg").splitlines()
    assert [line for line in lines if line.startswith(("#", "!", "- Targets", "- Runs"))] == [
        "# Benchmarks",
        "- Targets reached, 0 of 0: none.",
        "- Targets missed, 0 of 0: none.",
        "- Runs: 5 per command.",
        "## growth",
        "![Time and memory by number of versions](chart.svg)",
        "## publish",
        "## Why targets were missed",
    ]
