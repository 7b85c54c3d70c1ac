"""Every variable of an image is traced to the file, line and column that sets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.catalog.provenance import Setting, Settings, pin_place
from dfgen.catalog.variables import PinnedParent, template_variables
from dfgen.errors import Place
from dfgen.oci.platform import Platform
from tests.unit.catalogs import loaded, locked

BASE = """\
description: an app
template: t.j2
parent: docker.io/library/busybox:{{ stem }}
parents:
  tool: docker.io/library/alpine:3
variables: {stem: "1.36", own: family}
packages: [curl]
labels: {team: platform}
versions:
  "1.0":
    variables: {own: version}
    packages: [{name: curl, version: "8"}, tzdata]
  "2.0":
    platforms:
      amd64:
      arm64: {variables: {own: platform}}
overrides:
  - when: {version: "2.0", arch: amd64}
    variables: {own: override}
    parent: docker.io/library/busybox:9
"""
CATALOG = """\
registry: registry.example.com
variables:
  shared: all
labels:
  vendor: us
"""
MATRIX = """\
template: t.j2
parent: docker.io/library/busybox:1
platforms: [arm64]
matrix:
  version: "{{ a }}-{{ b }}"
  axes:
    a: [1, 2]
    b: [x, y]
  include:
    - {a: 2, b: y, more: z}
    - {a: 3, b: q, more: w}
"""
BASE_FILE = "bases/app/base.yaml"


def given(catalog: Catalog, image: Image, lock: Lock) -> dict[str, Any]:
    """Return the variables of the image's template."""
    parents = {"parent": image.parent, **image.parents}
    pins = {
        name: PinnedParent(parent.reference.at(pin.digest), parent.platform)
        for name, parent in parents.items()
        if (pin := lock.pin(parent))
    }
    return template_variables(catalog, image, pins)


def found(root: Path, name: str, image: str, base: str = BASE, catalog: str = CATALOG) -> tuple[Setting, ...]:
    """Return the settings of one variable of one image."""
    whole = loaded(root, base, catalog)
    chosen = next(one for one in whole.images if one.name == image)
    lock = locked(whole)
    values = given(whole, chosen, lock)
    return Settings(chosen, lock, lock.to_text()).of(name, values.get(name))


def formatted(settings: tuple[Setting, ...]) -> list[str]:
    return [f"{one.name} = {one.value}, {one.by}, {one.place}" for one in settings]


VARIABLES = [
    ("shared", "app:1.0@arm64", ["shared = all, catalog, bases/catalog.yaml:3:11"]),
    ("stem", "app:1.0@arm64", [f"stem = 1.36, family, {BASE_FILE}:6:19"]),
    ("own", "app:1.0@arm64", [f"own = version, version, {BASE_FILE}:11:22"]),
    ("own", "app:2.0@arm64", [f"own = platform, platform, {BASE_FILE}:16:32"]),
    ("own", "app:2.0@amd64", [f"own = override, override, {BASE_FILE}:19:22"]),
    ("version", "app:1.0@arm64", [f"version = 1.0, version, {BASE_FILE}:10:3"]),
    ("platform", "app:1.0@arm64", ["platform = linux/arm64, dfgen, None"]),
    ("arch", "app:2.0@arm64", [f"arch = arm64, version, {BASE_FILE}:16:7"]),
    ("family", "app:1.0@arm64", [f"family = app, dfgen, {BASE_FILE}"]),
    ("description", "app:1.0@arm64", [f"description = an app, family, {BASE_FILE}:1:14"]),
    ("registry", "app:1.0@arm64", ["registry = registry.example.com, catalog, bases/catalog.yaml:1:11"]),
    ("nothing", "app:1.0@arm64", []),
    (
        "packages",
        "app:1.0@arm64",
        [
            f"packages = curl, family, {BASE_FILE}:7:12",
            f"packages = curl=8, version, {BASE_FILE}:12:16",
            f"packages = tzdata, version, {BASE_FILE}:12:44",
        ],
    ),
]


@pytest.mark.parametrize(("name", "image", "lines"), VARIABLES)
def test_a_variable_is_traced_to_the_layer_in_effect(
    name: str, image: str, lines: list[str], tmp_path: Path
) -> None:
    assert formatted(found(tmp_path, name, image)) == lines


def test_a_parent_comes_from_the_catalog_and_the_lock(tmp_path: Path) -> None:
    named, pinned = found(tmp_path, "parent", "app:2.0@amd64")
    assert formatted((named,)) == [f"parent = docker.io/library/busybox:9, override, {BASE_FILE}:20:13"]
    assert (pinned.by, str(pinned.value)[:7]) == ("lock", "sha256:")
    text = locked(loaded(tmp_path, BASE, CATALOG)).to_text().splitlines()
    assert pinned.place is not None
    assert pinned.place.file == "bases/lock.json"
    line = text[pinned.place.line - 1]
    assert line[pinned.place.column - 1 :].startswith('"linux/amd64": ')
    assert str(pinned.value) in line


def test_parents_of_stages_are_traced(tmp_path: Path) -> None:
    named, pinned = found(tmp_path, "parents", "app:1.0@arm64")
    assert formatted((named,)) == [f"parents.tool = docker.io/library/alpine:3, family, {BASE_FILE}:5:9"]
    assert (pinned.name, pinned.by) == ("parents.tool", "lock")


def test_each_label_is_traced(tmp_path: Path) -> None:
    lines = {one.entry: (one.by, str(one.place)) for one in found(tmp_path, "labels", "app:1.0@arm64")}
    image = "org.opencontainers.image"
    assert lines.pop(f"{image}.base.digest")[0] == "lock"
    assert lines == {
        f"{image}.title": ("dfgen", BASE_FILE),
        f"{image}.version": ("version", f"{BASE_FILE}:10:3"),
        f"{image}.base.name": ("family", f"{BASE_FILE}:3:9"),
        f"{image}.description": ("family", f"{BASE_FILE}:1:14"),
        "vendor": ("catalog", "bases/catalog.yaml:5:11"),
        "team": ("family", f"{BASE_FILE}:8:16"),
    }


COMBINATIONS = [
    ("a", "app:2-x@arm64", [f"a = 2, matrix, {BASE_FILE}:7:12"]),
    ("b", "app:1-y@arm64", [f"b = y, matrix, {BASE_FILE}:8:12"]),
    ("more", "app:2-y@arm64", [f"more = z, matrix, {BASE_FILE}:10:26"]),
    ("more", "app:3-q@arm64", [f"more = w, matrix, {BASE_FILE}:11:26"]),
    ("a", "app:3-q@arm64", [f"a = 3, matrix, {BASE_FILE}:11:11"]),
    ("version", "app:1-x@arm64", [f"version = 1-x, matrix, {BASE_FILE}:5:12"]),
    ("platform", "app:1-x@arm64", [f"platform = linux/arm64, family, {BASE_FILE}:3:13"]),
    ("description", "app:1-x@arm64", ["description = , dfgen, None"]),
    ("registry", "app:1-x@arm64", ["registry = localhost, dfgen, None"]),
]


@pytest.mark.parametrize(("name", "image", "lines"), COMBINATIONS)
def test_a_matrix_is_traced_to_its_values(name: str, image: str, lines: list[str], tmp_path: Path) -> None:
    assert formatted(found(tmp_path, name, image, MATRIX, "")) == lines


def test_a_version_in_a_list_is_traced_to_its_entry(tmp_path: Path) -> None:
    base = 'template: t.j2\nparent: docker.io/library/busybox:1\nversions: ["1", "2"]\n'
    [setting] = found(tmp_path, "version", "app:2@arm64", base)
    assert formatted((setting,)) == [f"version = 2, version, {BASE_FILE}:3:17"]


def test_the_image_variable_can_be_printed(tmp_path: Path) -> None:
    [setting] = found(tmp_path, "image", "app:1.0@arm64")
    assert setting.value["tag"] == "1.0-aarch64"
    assert setting.value["packages"] == ["curl=8", "tzdata"]
    assert (setting.by, str(setting.place)) == ("dfgen", f"{BASE_FILE}:10:3")


def test_a_missing_pin_is_traced_to_the_lock_file() -> None:
    assert pin_place("{}\n", "docker.io/library/busybox:1", Platform.parse("amd64")) == Place(
        "bases/lock.json"
    )
