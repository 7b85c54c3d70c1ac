"""The rule `end-of-life`, and the notes and risks of other commands about versions that have ended."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from dfgen.workspace import Workspace
from tests.unit.catalogs import FAMILY, write
from tests.unit.cli.run import dfgen
from tests.unit.lint.catalogs import Linting
from tests.unit.review.world import BASE, World

END = date(2027, 10, 31)
PLACE = "bases/app/base.yaml:4:14"
APP = f"{FAMILY}end_of_life: '{END}'\n"
FIX = "; remove the version, or ignore this rule for it with a reason [end-of-life]"
OVER = f"app:1.0 reached its end of life on {END}{FIX}"


def on(monkeypatch: pytest.MonkeyPatch, day: date) -> None:
    monkeypatch.setattr(Workspace, "today", str(day))


@pytest.mark.parametrize(
    ("days", "found"),
    [
        (-91, ""),
        (-90, f"warning: app:1.0 reaches its end of life in 90 days, on {END}"),
        (-2, f"warning: app:1.0 reaches its end of life in 2 days, on {END}"),
        (-1, f"warning: app:1.0 reaches its end of life tomorrow, {END}"),
        (0, f"warning: app:1.0 reaches its end of life today, {END}"),
        (1, f"warning: {OVER}"),
        (999, f"warning: {OVER}"),
    ],
)
def test_a_version_is_reported_from_90_days_before_its_end(
    linting: Linting, monkeypatch: pytest.MonkeyPatch, days: int, found: str
) -> None:
    on(monkeypatch, END + timedelta(days=days))
    linting.catalog(base=APP)
    done = linting.run()
    advice = "" if days > 0 or not found else "; move its users to another version [end-of-life]"
    assert (done.status, done.out) == (0, f"{PLACE}: {found}{advice}\n" if found else "")
    strict = linting.run("--strict")
    level = "error" if days > 0 else "warning"
    assert (strict.status, strict.out) == (bool(found), done.out.replace(" warning:", f" {level}:"))


@pytest.mark.parametrize(
    ("own", "ends", "place", "day", "found"),
    [
        ("", "ends", "2:9", "2026-01-01", "warning: child:1 has no end_of_life"),
        ("end_of_life: '2028-01-01'", "ends", "4:14", "2026-01-01", "warning: child:1 ends on 2028-01-01"),
        ("end_of_life: '2027-10-31'", "", "", "2026-01-01", ""),
        ("end_of_life: '2027-01-01'", "", "", "2026-01-01", ""),
        ("", "ends", "2:9", "2027-10-31", "warning: child:1 has no end_of_life"),
        ("", "ended", "2:9", "2027-11-01", "error: child:1 has no end_of_life"),
    ],
)  # fmt: skip
def test_a_child_that_outlives_its_parent(
    linting: Linting, monkeypatch: pytest.MonkeyPatch, own: str, ends: str, place: str, day: str, found: str
) -> None:
    on(monkeypatch, date.fromisoformat(day))
    child = f"template: t.j2\nparent: app:1.0\nversions: ['1']\n{own}\n"
    linting.catalog(base=APP, **{"bases/child/base.yaml": child})
    lines = [line for line in linting.found("--strict") if "bases/child" in line]
    message = (
        f"bases/child/base.yaml:{place}: {found}, but its parent app:1.0 {ends} on {END};"
        f' use another parent, or write end_of_life: "{END}" [end-of-life]'
    )
    assert lines == ([message] if found else [])


def test_a_child_whose_parent_is_not_built_is_checked(
    linting: Linting, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, END)
    child = "template: t.j2\nparent: app:1.0\nversions: ['1']\nend_of_life: '2026-01-01'\n"
    write(linting.root, {"bases/app/base.yaml": FAMILY, "bases/child/base.yaml": child})
    dfgen("-C", linting.root, "lint")
    assert "child:1 reached its end of life on 2026-01-01" in linting.run().out


def test_a_version_is_kept_with_a_reason(linting: Linting, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, END + timedelta(days=1))
    lint = "    lint: {ignore: {end-of-life: still in use}}\n"
    versions = f"versions:\n  '1':\n    end_of_life: '{END}'\n{lint}  '2':\n    end_of_life: '{END}'\n"
    linting.catalog(base=FAMILY.replace('versions: ["1.0"]\n', versions))
    (found,) = linting.found()
    assert found.startswith("bases/app/base.yaml:8:18: warning: app:2 reached its end of life")


def test_an_exception_that_is_not_needed_yet_is_reported(
    linting: Linting, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, date(2026, 1, 1))
    lint = "    lint: {ignore: {end-of-life: still in use}}\n"
    linting.catalog(base=FAMILY.replace('["1.0"]', f"\n  '1':\n    end_of_life: '{END}'\n{lint}"))
    assert linting.found() == [
        "bases/app/base.yaml:6:21: warning: rule end-of-life is ignored, but finds nothing; remove it [unused-ignore]"
    ]


def test_plan_names_the_versions_to_build_in_one_line(
    linting: Linting, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, END + timedelta(days=1))
    linting.catalog(base=APP)
    assert f"past end of life: app:1.0 ({END})" in dfgen("-C", linting.root, "plan").lines
    on(monkeypatch, END)
    assert "end of life" not in dfgen("-C", linting.root, "plan").err


@pytest.mark.parametrize(
    ("more", "change", "rules"),
    [
        ("", "LABEL a=b\n", ["end-of-life"]),
        ("lint: {ignore: {end-of-life: still in use}}\n", "LABEL a=b\n", []),
        ("", "", []),
    ],
)
def test_review_reports_an_ended_version_that_is_built_again(
    tmp_path: Path, more: str, change: str, rules: list[str]
) -> None:
    world, template = World(tmp_path), "FROM {{ parent }}\n"
    base = {"bases/app/base.yaml": f"{BASE}end_of_life: '{END}'\n{more}"}
    world.make({**base, "templates/t.j2": template}, {**base, "templates/t.j2": template + change})
    assert [risk.rule for risk in world.review(today="2027-11-01").risks] == rules
    assert world.review(today=str(END)).risks == ()
