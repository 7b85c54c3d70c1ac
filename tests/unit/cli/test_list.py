"""`dfgen list` in its three formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.unit.catalogs import FAMILY, loaded, locked, write
from tests.unit.cli.run import dfgen

APP = (
    FAMILY
    + "parents: {tool: 'docker.io/library/alpine:3'}\nend_of_life: '2030-01-31'\nplatforms: [amd64, armhf]\n"
)
CHILD = "template: t.j2\nparent: app:1.0\nversions: ['2']\nplatforms: [amd64]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    catalog = loaded(tmp_path, APP, child=CHILD)
    write(tmp_path, {LOCK_FILE: locked(catalog, "app:1.0").to_text()})
    assert dfgen("-C", tmp_path, "render").status == 0
    return tmp_path


def _states(root: Path) -> list[str]:
    return [row["state"] for row in json.loads(dfgen("-C", root, "--format", "json", "list").out)]


def test_json(root: Path) -> None:
    done = dfgen("-C", root, "--format", "json", "list", "app@armv7")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == [
        {
            "family": "app",
            "version": "1.0",
            "platform": "linux/arm/v7",
            "tag": "1.0-armv7l",
            "parents": ["docker.io/library/busybox:1.36", "docker.io/library/alpine:3"],
            "dockerfile": "bases/app/1.0/Dockerfile_armv7",
            "state": "rendered",
            "end_of_life": "2030-01-31",
        }
    ]


def test_states(root: Path) -> None:
    assert _states(root) == ["rendered", "rendered", "waits for its parent"]
    path = root / "bases/app/1.0/Dockerfile_amd64"
    path.write_text(path.read_text() + "RUN by hand\n")
    (root / "bases/app/1.0/Dockerfile_armv7").unlink()
    assert _states(root) == ["edited by hand", "not rendered", "waits for its parent"]
    (root / LOCK_FILE).unlink()
    assert _states(root) == ["not locked", "not locked", "waits for its parent"]


def test_a_file_that_differs_from_the_rendered_one_is_out_of_date(root: Path) -> None:
    template = root / "templates/t.j2"
    old = template.read_text()
    template.write_text(old + '{% if platform == "linux/amd64" %}\nRUN x\n{% endif %}\n')
    assert _states(root) == ["out of date", "rendered", "waits for its parent"]
    template.write_text(old + "{{ nope }}\n")
    assert _states(root) == ["does not render", "does not render", "waits for its parent"]
    template.write_text(old)
    assert _states(root) == ["rendered", "rendered", "waits for its parent"]


def test_a_table_has_one_line_per_image_at_any_width(root: Path) -> None:
    lines = dfgen("-C", root, "list").out.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["family", "version", "platform", "tag"],
        ["app", "1.0", "linux/amd64", "1.0-x86_64"],
        ["app", "1.0", "linux/arm/v7", "1.0-armv7l"],
        ["child", "2", "linux/amd64", "2-x86_64"],
    ]
    assert all(line == line.rstrip() for line in lines)


def test_markdown(root: Path) -> None:
    lines = dfgen("-C", root, "--format", "markdown", "list", "child").out.splitlines()
    assert lines == [
        "| family | version | platform | tag | parents | dockerfile | state | end_of_life |",
        "|---|---|---|---|---|---|---|---|",
        "| child | 2 | linux/amd64 | 2-x86_64 | app:1.0 | bases/child/2/Dockerfile_amd64 | waits for its parent |  |",
    ]
