"""Versions from a list or mapping, and versions from a matrix."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.catalogs import images, problems

LINES = (8, 11, 17, 18, 19, 20, 21, 22)
DISTRIBUTIONS = ("noble", "jammy", "bookworm", "alpine", "ubi9")
# A large family in a few lines.
JAVA = """\
template: t.j2
parent: docker.io/library/eclipse-temurin:{{ java }}-{{ kind }}-{{ distribution }}
platforms:
  linux/amd64:
  linux/arm64:
  linux/ppc64le: {when: java >= 17}
  linux/s390x: {when: {distribution: [noble, ubi9]}}
matrix:
  version: "{{ java }}-{{ kind }}-{{ distribution }}"
  axes:
    java: [8, 11, 17, 18, 19, 20, 21, 22]
    distribution: [noble, jammy, bookworm, alpine, ubi9]
    kind: [jdk, jre]
  exclude:
    - {distribution: alpine, java: [8, 11]}
    - {kind: jre, java: 22}
  include:
    - {java: 23, distribution: noble, kind: jdk, preview: true}
    - {java: 21, distribution: noble, kind: jdk, lts: true}
variables: {lts: false, preview: false}
overrides:
  - when: distribution == "alpine"
    platforms: [amd64, aarch64]
"""
MATRIX = "template: t.j2\nparent: docker.io/library/busybox:1\nmatrix:\n"


def _versions(root: Path, base: str) -> list[str]:
    return list(dict.fromkeys(image.version for image in images(root, base).values()))


def test_a_matrix_with_exclude_and_include(tmp_path: Path) -> None:
    found = images(tmp_path, JAVA)
    versions = {image.version for image in found.values()}
    product = {
        f"{java}-{kind}-{where}" for java in LINES for where in DISTRIBUTIONS for kind in ("jdk", "jre")
    }
    alpine = {f"{java}-{kind}-alpine" for java in (8, 11) for kind in ("jdk", "jre")}
    jre = {f"22-jre-{where}" for where in DISTRIBUTIONS}
    assert versions == (product - alpine - jre) | {"23-jdk-noble"}


def _platforms(found: dict[str, object], version: str) -> list[str]:
    return [name.partition("@")[2] for name in found if name.startswith(f"app:{version}@")]


@pytest.mark.parametrize(
    ("version", "platforms"),
    [
        ("8-jdk-jammy", ["amd64", "arm64"]),
        ("8-jdk-noble", ["amd64", "arm64", "s390x"]),
        ("17-jre-jammy", ["amd64", "arm64", "ppc64le"]),
        ("17-jre-ubi9", ["amd64", "arm64", "ppc64le", "s390x"]),
        ("17-jre-alpine", ["amd64", "arm64"]),
        ("23-jdk-noble", ["amd64", "arm64", "ppc64le", "s390x"]),
    ],
)
def test_conditions_select_platforms(tmp_path: Path, version: str, platforms: list[str]) -> None:
    assert _platforms(dict(images(tmp_path, JAVA)), version) == platforms


def test_the_axes_are_variables(tmp_path: Path) -> None:
    image = images(tmp_path, JAVA)["app:21-jdk-noble@amd64"]
    assert image.variables == {
        "java": 21,
        "kind": "jdk",
        "distribution": "noble",
        "lts": True,
        "preview": False,
    }
    assert image.parent.key == "docker.io/library/eclipse-temurin:21-jdk-noble"


def test_the_place_of_an_axis_variable(tmp_path: Path) -> None:
    found = images(tmp_path, JAVA)
    layer = next(one for one in found["app:17-jdk-jammy@amd64"].layers if one.variables_path)
    assert str(layer.place("variables", "kind")) == "bases/app/base.yaml:13:11"
    included = next(one for one in found["app:23-jdk-noble@amd64"].layers if one.variables_path)
    assert str(included.place("variables", "preview")) == "bases/app/base.yaml:18:59"


def test_versions_are_in_the_order_of_the_axes(tmp_path: Path) -> None:
    axes = "  version: '{{ a }}{{ b }}'\n  axes: {a: [y, x], b: [2, 1]}\n  include: [{a: x, b: 3}]\n"
    assert _versions(tmp_path, MATRIX + axes) == ["y2", "y1", "x2", "x1", "x3"]


def test_a_mapping_of_versions_extends_the_matrix(tmp_path: Path) -> None:
    axes = (
        "  version: '{{ a }}'\n  axes: {a: [x, y]}\n"
        "versions:\n  y: {variables: {b: 1}}\n  z: {variables: {a: z}}\n"
    )
    found = images(tmp_path, MATRIX + axes)
    assert {image.version: dict(image.variables) for image in found.values()} == {
        "x": {"a": "x"},
        "y": {"a": "y", "b": 1},
        "z": {"a": "z"},
    }


def test_a_list_of_versions_extends_the_matrix(tmp_path: Path) -> None:
    axes = "  version: '{{ a }}'\n  axes: {a: [x]}\nversions: [x, w]\n"
    assert _versions(tmp_path, MATRIX + axes) == ["x", "w"]


@pytest.mark.parametrize(
    ("axes", "found"),
    [
        (
            "  version: '{{ a }}'\n  axes: {a: [x, y], b: [1, 2]}\n",
            [
                "bases/app/base.yaml:4:12: two combinations produce version 'x': {a: x, b: 1} and {a: x, b: 2}",
                "bases/app/base.yaml:4:12: two combinations produce version 'y': {a: y, b: 1} and {a: y, b: 2}",
            ],
        ),
        (
            "  version: '{{ a }} {{ b }}'\n  axes: {a: [x], b: ['1', '../../x']}\n",
            [
                "bases/app/base.yaml:4:12: {a: x, b: 1} produces 'x 1'; expected a version: letters, digits,"
                " '.', '_' and '-', at most 113",
                "bases/app/base.yaml:4:12: {a: x, b: ../../x} produces 'x ../../x'; expected a version:"
                " letters, digits, '.', '_' and '-', at most 113",
            ],
        ),
        (
            "  version: '{{ a }}'\n  axes: {a: [x], java: [1]}\n  exclude: [{jva: 1}, {a: y}]\n  include: [{a: z}]\n",
            [
                "bases/app/base.yaml:6:14: unknown axis 'jva' (did you mean 'java'?); the axes are a and java",
                "bases/app/base.yaml:6:23: this entry excludes nothing: no combination matches it",
                "bases/app/base.yaml:7:13: axis 'java' is missing from this combination",
            ],
        ),
        (
            "  version: '{{ c }}'\n  axes: {a: [x]}\n",
            ["bases/app/base.yaml:4:12: in '{{ c }}': 'c' is not defined"],
        ),
    ],
)
def test_errors_of_a_matrix(tmp_path: Path, axes: str, found: list[str]) -> None:
    assert problems(tmp_path, MATRIX + axes) == found


def test_a_duplicate_version(tmp_path: Path) -> None:
    text = "template: t.j2\nparent: docker.io/library/busybox:1\nversions:\n  - a\n  - b\n  - a\n  - a\n"
    assert problems(tmp_path, text) == [
        "bases/app/base.yaml:6:5: duplicate version 'a' (first on line 4)",
        "bases/app/base.yaml:7:5: duplicate version 'a' (first on line 4)",
    ]


def test_excluding_everything_leaves_no_image(tmp_path: Path) -> None:
    assert images(tmp_path, MATRIX + "  version: '{{ a }}'\n  axes: {a: [x]}\n  exclude: [{a: x}]\n") == {}


TEN = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
LARGE = MATRIX + (
    '  version: "{{ a }}-{{ b }}-{{ c }}-{{ d }}-{{ e }}"\n'
    f"  axes: {{a: &x {TEN}, b: *x, c: *x, d: *x, e: *x}}\n"
)


def test_the_number_of_combinations_is_limited_before_they_are_computed(tmp_path: Path) -> None:
    assert problems(tmp_path, LARGE) == [
        "bases/app/base.yaml:5:3: the matrix has 100,000 combinations; the limit is 10,000: shorten the axes, or"
        " divide the family"
    ]


@pytest.mark.parametrize("kind", ["exclude", "include"])
def test_the_comparisons_with_exclude_and_include_are_limited(kind: str, tmp_path: Path) -> None:
    entries = "".join("    - {a: 0, b: 1, c: 2, d: 3}\n" for _ in range(300))
    text = LARGE.replace("-{{ e }}", "").replace(", e: *x", "") + f"  {kind}:\n{entries}"
    assert problems(tmp_path, text) == [
        "bases/app/base.yaml:6:3: 1,200 values are compared with 10,000 combinations; the limit is 10,000,000"
        " comparisons: shorten the list, or divide the family"
    ]
