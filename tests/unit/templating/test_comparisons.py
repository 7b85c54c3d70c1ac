"""Versions, architectures and numbers are compared by their values, wherever a template compares."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from dfgen.catalog.versions import Version, looks_like_version
from dfgen.errors import InputError, Place
from dfgen.templating import Templates
from tests.unit.templating.helpers import TemplateFolder

ASCENDING = (
    "0.9",
    "1.0-dev",
    "1.0-alpha1",
    "1.0-alpha2",
    "1.0-beta1",
    "1.0-rc.1",
    "1.0-rc.10",
    "1.0",
    "1.0-r1",
    "1.0.1",
    "1.0.1_p2",
    "1.9",
    "1.10",
    "v2",
    "2.0",
    "8u402",
    "8u1000",
    "10",
    "2024.1",
)
PLACE = Place("bases/a/base.yaml", 3, 7)


@pytest.mark.parametrize(("older", "newer"), [*itertools.combinations(ASCENDING, 2)])
def test_versions_order_as_versions(older: str, newer: str) -> None:
    assert looks_like_version(older)
    assert Version(older) < newer
    assert newer > Version(older)
    assert Version(newer) >= older
    assert not Version(older) > newer
    assert Version(older) != newer


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("version < '1.10'", True),
        ("'1.10' > version", True),
        ("version <= '1.9'", True),
        ("version is lt('1.10')", True),
        ("['1.9', '1.10'] | map('as_version') | max == '1.10'", True),
        ("jdk | as_version < '1.10'", True),
        ("jdk == '1.9'", True),
        ("major == 17", True),
        ("17 == major", True),
        ("major != 17", False),
        ("major is eq 17", True),
        ("major in [16, 17]", True),
        ("major in ['17']", True),
        ("major | as_version >= 9", True),
        ("'2026-01-31' < '2026-02-01'", True),
        ("day < '2026-02-01'", True),
        ("name < 'trixie'", True),
        ("name == 'bookworm'", True),
        ("major == true", False),
        ("1 < number < 18", True),
    ],
)
def test_a_comparison_means_what_it_says(text: str, holds: bool, tmp_path: Path) -> None:
    names = {
        "version": Version("1.9"),
        "jdk": "1.9",
        "major": "17",
        "number": 17,
        "name": "bookworm",
        "day": "2026-01-31",
    }
    assert Templates(tmp_path, "templates").expression(text, names, PLACE) is holds
    printed = TemplateFolder(tmp_path).render(f"FROM scratch\nLABEL a={{{{ 1 if {text} else 0 }}}}", names)
    assert printed.splitlines()[-1] == f"LABEL a={int(holds)}"


LETTERS = "would compare versions letter by letter; write … | as_version"
QUOTES = "is a number, of which 1.10 would be 1.1; write it with quotes"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jdk < '1.10'", f"'1.9' < '1.10' {LETTERS} < …"),
        ("'1.10' >= jdk", f"'1.10' >= '1.9' {LETTERS} >= …"),
        ("jdk is ge '1.10'", f"'1.9' >= '1.10' {LETTERS} >= …"),
        ("['9', '10'] | select('>', jdk) | list", f"'9' > '1.9' {LETTERS} > …"),
        ("major > '9'", f"'17' > '9' {LETTERS} > …"),
        (
            "['9', '10'] | sort",
            'sort would order versions letter by letter; write … | map("as_version") | sort',
        ),
        ("['9', '10'] | max", 'max would order versions letter by letter; write … | map("as_version") | max'),
        ("version == 1.9", f"'1.9' is text and 1.9 {QUOTES}"),
        ("jdk == 1.9", f"'1.9' is text and 1.9 {QUOTES}"),
        ("version >= 1.10", f"'1.9' is text and 1.1 {QUOTES}"),
        ("version > 'latest'", "'1.9' > 'latest' compares a version with text that is not a version"),
        ("'latest' | as_version", "as_version: 'latest' is not a version such as \"1.10\""),
    ],
)
def test_a_comparison_by_spelling_is_refused(text: str, message: str, tmp_path: Path) -> None:
    names = {"version": Version("1.9"), "jdk": "1.9", "major": "17"}
    with pytest.raises(InputError) as error:
        Templates(tmp_path, "templates").expression(text, names, PLACE)
    assert str(error.value) == f"{PLACE}: in {text!r}: {message}"
    with pytest.raises(InputError) as error:
        TemplateFolder(tmp_path).render(f"FROM scratch\n{{% if {text} %}}{{% endif %}}", names)
    assert str(error.value) == f"templates/x.j2:2: {message}"
