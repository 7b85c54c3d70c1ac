"""`dfgen review`: golden comments, JSON, durations and exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from dfgen.cli.review.text import pin, short, to_build
from dfgen.commands.plan.records import Records
from dfgen.commands.review.records import Impact, Kind, PinMove, Rebuild
from dfgen.errors import Place
from dfgen.oci.digest import Digest
from tests.unit.cli.run import dfgen

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests/unit/review/golden"
TIMES = "\N{MULTIPLICATION SIGN}"
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES)
def test_comment_is_the_golden_one(case: str) -> None:
    folder = GOLDEN / case
    done = dfgen("review", "--format", "markdown", folder / "before", folder / "after")
    assert done.out == (folder / "review.md").read_text(encoding="utf-8")
    assert done.status == (1 if "❌" in done.out else 0)


@pytest.mark.parametrize("case", CASES)
def test_json_follows_the_published_schema(case: str) -> None:
    schema = json.loads((ROOT / "docs/review.schema.json").read_text())
    found = json.loads(
        dfgen("--format", "json", "review", GOLDEN / case / "before", GOLDEN / case / "after").out
    )
    jsonschema_rs.validate(schema, found)
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(schema, {**found, "more": 1})


def test_change_of_42_files_fits_one_screen() -> None:
    text = (GOLDEN / "template-42/review.md").read_text()
    shown = re.sub(r"<details>(<summary>.*?</summary>).*?</details>", r"\1", text, flags=re.DOTALL)
    assert len([line for line in shown.splitlines() if line.strip()]) <= 40


def test_seconds_of_the_last_builds(tmp_path: Path) -> None:
    sides = [GOLDEN / "pin-bump" / side for side in ("before", "after")]
    offline = json.loads(dfgen("--format", "json", "review", *sides).out)
    names = [one["image"] for one in offline["radius"]["rebuilt"]]
    assert offline["radius"]["seconds"] is None
    Records(tmp_path / "dist").write_run({"took": {names[0]: 61.4, names[2]: 8, "other:1@amd64": 100}})
    total = "4 images to build, 69 s in total last time for 2 of them"
    shown = dfgen("-C", tmp_path, "review", *sides).out.splitlines()
    reason = "pin of docker.io/library/debian:12"
    assert total in shown
    at = shown.index(f"build {TIMES} 4  {reason}")
    expected = f"    {names[0]} (61 s last time), {names[1]}, {names[2]} (8 s last time), {names[3]}"
    assert shown[at + 1] == expected
    comment = dfgen("-C", tmp_path, "review", "--format", "markdown", *sides).out
    assert f"<details><summary>{total}</summary>\n\n- **{TIMES} 4** `{reason}`\n" in comment
    assert f"\n  - `{names[0]} (61 s last time)`\n  - `{names[1]}`\n" in comment
    data = json.loads(dfgen("-C", tmp_path, "--format", "json", "review", *sides).out)["radius"]
    assert data["seconds"] == pytest.approx(69.4)
    assert [one["seconds"] for one in data["rebuilt"]] == [61.4, None, 8.0, None]


def test_seconds_known_for_all_images() -> None:
    impact = Impact(rebuilt=(Rebuild(image="a", reasons=("new image",), seconds=2.0),))
    assert to_build(impact) == "1 image to build, 2 s in total last time"


def test_moved_digest_with_unchanged_pins() -> None:
    old, new = (Digest.of(text.encode()) for text in "ab")
    move = PinMove(
        kind=Kind.CHANGED, parent="a:1", before=old, after=new, platforms=(), images=(), place=Place("f")
    )
    assert pin(move) == f"a:1: digest {short(old)} → {short(new)}, pins unchanged"


def test_strict_fails_on_a_warning() -> None:
    folders = [GOLDEN / "template-42" / side for side in ("before", "after")]
    assert [dfgen("review", *folders).status, dfgen("review", "--strict", *folders).status] == [0, 1]
