"""Golden reviews: a folder each, with the two states and their review."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.review.states import as_json, reviewed

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.name for path in GOLDEN.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_golden_review(name: str) -> None:
    folder = GOLDEN / name
    expected = (folder / "review.json").read_text(encoding="utf-8")
    assert as_json(reviewed(folder / "before", folder / "after")) == expected


def test_golden_cases() -> None:
    assert NAMES == [
        "deleted-family",
        "half-rendered",
        "hand-edit",
        "immutable-touched",
        "new-family",
        "pin-bump",
        "swapped-pair",
        "template-42",
        "wrong-architecture",
    ]


def test_outliers_of_42_files_come_first() -> None:
    found = reviewed(GOLDEN / "template-42/before", GOLDEN / "template-42/after")
    assert [(len(group.files), group.outlier) for group in found.groups] == [(2, True), (42, False)]
    assert [step.summary for step in found.groups[0].steps] == [
        "RUN: tini added, -y → --yes",
        "ENV added: APP_HOME=/opt/app",
        "USER: 1000:1000 → root",
    ]


def test_pin_bump_has_no_risk_and_rebuilds_all() -> None:
    found = reviewed(GOLDEN / "pin-bump/before", GOLDEN / "pin-bump/after")
    assert found.risks == ()
    assert [one.reasons for one in found.impact.rebuilt] == [("pin of docker.io/library/debian:12",)] * 4
    assert not found.fails(strict=True)


def test_equal_states_have_an_empty_review() -> None:
    found = reviewed(GOLDEN / "pin-bump/before", GOLDEN / "pin-bump/before")
    assert (found.groups, found.pins, found.risks, found.notes) == ((), (), (), ())
    assert (found.unchanged, found.impact.untouched, found.impact.rebuilt) == (4, 4, ())
