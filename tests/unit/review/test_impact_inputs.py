"""A change of any input of rendering is a reason, and every stale Dockerfile is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE, Lock, Pin
from dfgen.oci.digest import Digest
from tests.unit.review.states import lines, reviewed
from tests.unit.review.world import AMD64, ARM_FILE, BASE, DEBIAN, World, locked, put, write

_BASE = "bases/app/base.yaml"
_STALE = "not-rendered"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _stale(world: World) -> list[str]:
    """Return the files that a review reports as stale."""
    return [risk.place.file for risk in world.review().risks if risk.rule == _STALE]


def _reasons(world: World) -> set[str]:
    return {reason for one in world.review().impact.rebuilt for reason in one.reasons}


@pytest.mark.parametrize(
    ("template", "old", "new", "reason"),
    [
        (
            "{{ packages | join(' ') }}",
            "packages: [b, a]",
            "packages: [a, b]",
            "order or types of settings",
        ),
        ("{{ x }}", "variables: {x: 1}", "variables: {x: true}", "order or types of settings"),
        (
            "{% for name in x %}{{ name }} {% endfor %}",
            "variables: {x: {a: 1, b: 2}}",
            "variables: {x: {b: 2, a: 1}}",
            "order or types of settings",
        ),
        (
            "{% for name in labels %}{{ name }} {% endfor %}",
            "labels: {x.b: '1', x.a: '2'}",
            "labels: {x.a: '2', x.b: '1'}",
            "order or types of settings",
        ),
        (
            "{{ parents | join(' ') }}",
            f"parents: {{one: '{DEBIAN}'}}",
            f"parents: {{two: '{DEBIAN}'}}",
            "stage parents",
        ),
        ("{{ description }}", "description: a", "description: b", "description"),
        (
            "{{ image.end_of_life }}",
            "end_of_life: '2027-01-01'",
            "end_of_life: '2027-01-02'",
            "family settings",
        ),
    ],
)
def test_setting_that_changes_the_text(world: World, template: str, old: str, new: str, reason: str) -> None:
    files = {_BASE: f"{BASE}{old}\n", "templates/t.j2": f"FROM {{{{ parent }}}}\nRUN echo {template}\n"}
    world.make(files, files)
    put(world.now, {_BASE: f"{BASE}{new}\n"})
    assert _stale(world) == [ARM_FILE.replace("arm64", "amd64"), ARM_FILE]
    assert _reasons(world) == {reason}


def test_pin_of_a_stage_with_a_fixed_platform(world: World) -> None:
    template = "FROM {{ parents.tool }} AS tool\nFROM {{ parent }}\n"
    base = f"{BASE}parents: {{tool: {{image: 'docker.io/library/tool:1', platform: linux/amd64}}}}\n"
    tool = locked("docker.io/library/tool:1")
    for root in (world.was, world.now):
        write(
            root,
            {_BASE: base, "templates/t.j2": template},
            {DEBIAN: locked(), "docker.io/library/tool:1": tool},
        )
    pins = {**tool.platforms, AMD64: Pin(Digest.of(b"another"))}
    moved = type(tool)(
        digest=tool.digest, media_type=tool.media_type, first_seen=tool.first_seen, platforms=pins
    )
    lock = Lock({DEBIAN: locked(), "docker.io/library/tool:1": moved})
    put(world.now, {LOCK_FILE: lock.to_text()})
    assert _stale(world) == [ARM_FILE.replace("arm64", "amd64"), ARM_FILE]


def test_no_change_has_no_findings(world: World) -> None:
    world.make({}, {})
    found = reviewed(world.was, world.now)
    assert (lines(found.risks), found.impact.rebuilt, found.impact.untouched) == ([], (), 2)
