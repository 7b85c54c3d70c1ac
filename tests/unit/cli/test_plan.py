"""`dfgen plan --format`: tables as everywhere, and exports on standard output alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.bench import built
from tests.unit.catalogs import FAMILY, loaded, locked, write
from tests.unit.cli.run import dfgen

APP = f"{FAMILY}platforms: [amd64, arm64]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    catalog = loaded(tmp_path, APP)
    write(tmp_path, {LOCK_FILE: locked(catalog).to_text()})
    assert dfgen("-C", tmp_path, "render").status == 0
    return tmp_path


def test_the_format_of_a_table_may_stand_after_the_command_too(root: Path) -> None:
    before = dfgen("-C", root, "--format", "json", "plan")
    assert dfgen("-C", root, "plan", "--format", "json") == before
    assert json.loads(before.out)[0]["reason"] == "new"
    assert dfgen("-C", root, "--format", "json", "plan", "--format", "markdown").out.startswith("| family")


def test_the_wave_of_each_image_is_told(root: Path) -> None:
    lower = "template: t.j2\nparent: app:1.0\nversions: ['2']\nplatforms: [amd64]\n"
    write(root, {"bases/lower/base.yaml": lower})
    found = json.loads(dfgen("-C", root, "plan", "--format", "json").out)
    assert [(one["family"], one["wave"], one["reason"]) for one in found] == [
        ("app", 1, "new"),
        ("app", 1, "new"),
        ("lower", 2, "parent is rebuilt: app:1.0"),
    ]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("mermaid", "flowchart LR"),
        ("bake", "{"),
        ("gitlab", "# Written by `dfgen"),
    ],
)
def test_an_export_stands_alone_on_standard_output(root: Path, name: str, first: str) -> None:
    done = dfgen("-C", root, "plan", "--format", name)
    assert done.status == 0
    assert done.out.startswith(first)
    assert done.lines[-1] == "2 of 2 images to build"


@pytest.mark.parametrize(
    ("sbom", "said"),
    [
        ("packages", "SBOMs by dfgen, from each image's package database"),
        (f"x/scan:1@sha256:{'a' * 64}", f"SBOMs by x/scan:1@sha256:{'a' * 64}"),
    ],
)
def test_how_sboms_are_made_is_said(root: Path, sbom: str, said: str) -> None:
    path = root / "bases" / "catalog.yaml"
    path.write_text(f"{path.read_text() if path.exists() else ''}\nsbom: {sbom}\n")
    assert dfgen("-C", root, "plan").lines[-2:] == [said, "2 of 2 images to build"]


def test_a_bake_file_comes_with_the_command_that_builds_it(root: Path) -> None:
    done = dfgen("-C", root, "plan", "--format", "bake")
    assert done.lines[0] == "build it with `docker buildx bake -f FILE wave-1`"


def test_a_matrix_is_one_line_of_what_select_and_wave_leave(root: Path) -> None:
    words = ("plan", "app@arm64", "--format", "github", "--wave", "1", "--runner", "arm64=mine")
    done = dfgen("-C", root, *words)
    (line,) = done.out.splitlines()
    assert [(one["select"], one["runner"]) for one in json.loads(line)["include"]] == [
        ("app:1.0@arm64", "mine")
    ]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ("--format", "bake", "--runner", "arm64=x"),
            "--runner: is of --format github and --format gitlab alone; leave it out",
        ),
        (("--format", "gitlab", "--wave", "1"), "--wave: is of --format github alone; leave it out"),
        (
            ("--format", "github", "--runner", "arm64"),
            "--runner arm64: does not say which runner; expected PLATFORM=LABEL, such as arm64=my-arm",
        ),
        (
            ("--format", "svg"),
            "dfgen plan: Invalid value for '--format': 'svg' is not one of 'table', 'json', 'markdown',"
            " 'mermaid', 'bake', 'github', 'gitlab'; see `dfgen plan --help`",
        ),
    ],
)
def test_what_does_not_fit_a_format_is_refused(root: Path, words: tuple[str, ...], problem: str) -> None:
    done = dfgen("-C", root, "plan", *words)
    assert (done.status, done.out, done.lines) == (2, "", [problem])


def test_a_template_that_was_not_rendered_yet_is_planned_as_it_will_be(tmp_path: Path) -> None:
    built.make(tmp_path, 2, 1)
    [template] = (tmp_path / "templates").iterdir()
    template.write_text(template.read_text() + "RUN true\n")
    done = dfgen("-C", tmp_path, "plan", "--format", "json")
    foreseen = json.loads(done.out)
    assert {one["reason"] for one in foreseen} == {"inputs changed"}  # what they were was not recorded
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("bases/*/*/Dockerfile_*"))
    assert done.status == 0
    named = f"{', '.join(files[:3])} and 1 more"
    assert f"to be rendered first, with `dfgen render`: {named}" in done.lines
    refused = dfgen("-C", tmp_path, "plan", "--format", "github")
    assert (refused.status, refused.out) == (1, "")
    assert refused.lines == [f"{file}: is out of date; run `dfgen render`" for file in files]
    assert dfgen("-C", tmp_path, "render").status == 0
    done = dfgen("-C", tmp_path, "plan", "--format", "json")
    assert json.loads(done.out) == foreseen
    assert "to be rendered" not in done.err
