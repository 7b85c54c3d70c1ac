"""hadolint's findings in lint: places, duplicates, and output that is not valid."""

from __future__ import annotations

import pytest

from tests.unit.catalogs import FAMILY, write
from tests.unit.lint.catalogs import HADOLINT, Linting, T

RUN = "FROM {{ parent }}\nRUN yum install -y curl\n"
AMD64 = "bases/app/1.0/Dockerfile_amd64"


@pytest.mark.parametrize("base", [FAMILY, FAMILY + "lint: {ignore: {DL3008: why}}\n"])
def test_hadolint_runs_if_it_is_installed(linting: Linting, base: str) -> None:
    template = "FROM {{ parent }}\nRUN x\n"
    linting.catalog(template, base)
    write(linting.root, {T: template, "bin/hadolint": HADOLINT})
    (linting.root / "bin/hadolint").chmod(0o755)
    done = linting.run()
    found = f"{T}:2: note: Pin it (in 2 files) [DL3008] (in {AMD64}:7)\n"
    assert (done.status, done.out) == (0, "" if "lint" in base else found)
    assert done.lines[1:] == ["not run: BuildKit's checks (`dfgen lint --buildkit`)"]
    assert (linting.root / "bin/hadolint.log").read_text() == "run\n"


@pytest.mark.parametrize(("code", "count"), [("DL3032", 1), ("DL4006", 2), ("DL3008", 2)])
def test_duplicates_of_a_rule_of_dfgen_are_reported_once(linting: Linting, code: str, count: int) -> None:
    linting.catalog(RUN)
    write(linting.root, {T: RUN, "bin/hadolint": HADOLINT.replace("DL3008", code)})
    (linting.root / "bin/hadolint").chmod(0o755)
    assert len(linting.found()) == count


def test_equal_findings_at_two_lines_are_reported_twice(linting: Linting) -> None:
    linting.catalog(RUN + "RUN x\n")
    twice = HADOLINT.replace(
        '"Pin it"}',
        '"Pin it"}, {"code": "DL1", "file": "\'$1\'", "level": "error", "line": 8, "message": "No"}',
    )
    write(
        linting.root,
        {T: RUN + "RUN x\n", "bin/hadolint": twice.replace("DL1", "DL3008").replace("No", "Pin it")},
    )
    (linting.root / "bin/hadolint").chmod(0o755)
    found = [line for line in linting.found() if "DL3008" in line]
    both = "Pin it (in 2 files)"
    assert [line.partition(" [")[0] for line in found] == [f"{T}:2: note: {both}", f"{T}:3: error: {both}"]


def test_a_parse_error_of_hadolint_is_a_note(linting: Linting) -> None:
    template = "FROM {{ parent }}\nRUN <<E\nx\nE\n"
    linting.catalog(template)
    answer = HADOLINT.replace("DL3008", "DL1000").replace("info", "error").replace("Pin it", "no\\n  x")
    write(linting.root, {T: template, "bin/hadolint": answer})
    (linting.root / "bin/hadolint").chmod(0o755)
    done = linting.run()
    message = "hadolint cannot parse this line and checked nothing: no x (in 2 files)"
    assert (done.status, done.out) == (0, f"{T}:2: note: {message} [DL1000] (in {AMD64}:7)\n")


def test_invalid_output_of_hadolint_is_an_error(linting: Linting) -> None:
    linting.catalog()
    write(linting.root, {"bin/hadolint": "#!/bin/sh\n/bin/echo oh\n"})
    (linting.root / "bin/hadolint").chmod(0o755)
    done = linting.run()
    assert (done.status, done.lines) == (
        3,
        ["hadolint: its output is not JSON; run `hadolint --version`"],
    )
