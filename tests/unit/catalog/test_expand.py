"""Expanding the settings of catalog, family, platform, version and overrides into images."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog import layers
from dfgen.catalog.model import JinjaOptions, Package
from tests.unit.catalogs import FAMILY, images, loaded, problems

CATALOG = "platforms: [amd64]\nvariables: {a: catalog, b: catalog, c: catalog, d: catalog, e: catalog, f: catalog}\n"
LAYERED = """\
template: t.j2
parent: docker.io/library/busybox:1.36
variables: {b: family, c: family, d: family, e: family, f: family}
labels: {l: family, m: family}
packages: [one, {name: two, version: "1"}]
platforms:
  x86_64:
    variables: {c: platform, d: platform, e: platform, f: platform}
    packages: [{name: two, version: "2"}]
  arm64:
versions:
  "1":
    variables: {d: version, e: version, f: version}
    labels: {m: version}
    platforms:
      linux/amd64:
        variables: {e: version's platform, f: version's platform}
      s390x: {parent: "docker.io/library/busybox:2", template: other.j2}
  "2":
overrides:
  - when: a == "catalog" and version == "1" and arch == "amd64"
    variables: {f: override, g: first}
    packages: [three]
  - when: {g: first, platform: [x64, riscv64], family: app}
    variables: {h: second}
    parents: {tool: 'docker.io/library/alpine:3'}
"""


def test_later_layers_override_earlier_ones(tmp_path: Path) -> None:
    image = images(tmp_path, LAYERED, CATALOG, **{"templates/other.j2": "FROM {{ parent }}\n"})["app:1@amd64"]
    assert image.variables == {
        "a": "catalog",
        "b": "family",
        "c": "platform",
        "d": "version",
        "e": "version's platform",
        "f": "override",
        "g": "first",
        "h": "second",
    }
    assert image.labels == {"l": "family", "m": "version"}
    assert image.packages == (Package("one"), Package("two", "2"), Package("three"))
    assert [str(package) for package in image.packages] == ["one", "two=2", "three"]
    assert [parent.key for parent in image.all_parents] == [
        "docker.io/library/busybox:1.36",
        "docker.io/library/alpine:3",
    ]


FOREIGN = """\
template: t.j2
parent: docker.io/library/busybox:1.36
platforms:
  amd64:
    foreign_programs: {/opt/cross/**: cross compiler}
  arm64:
foreign_programs: {/opt/wine: reason of the family}
versions:
  "1":
    foreign_programs: {/opt/wine: reason of the version}
"""


def test_foreign_programs_of_all_layers_are_merged(tmp_path: Path) -> None:
    found = {name: image.foreign_programs for name, image in images(tmp_path, FOREIGN).items()}
    assert found == {
        "app:1@amd64": {"/opt/wine": "reason of the version", "/opt/cross/**": "cross compiler"},
        "app:1@arm64": {"/opt/wine": "reason of the version"},
    }


def test_a_pattern_of_foreign_programs_that_cannot_be_read(tmp_path: Path) -> None:
    text = FOREIGN.replace("/opt/cross/**", '"/opt/[a"')
    assert problems(tmp_path, text) == [
        "bases/app/base.yaml:5:24: the pattern '/opt/[a' cannot be read: a [] class is empty or not closed"
    ]


def test_the_last_layer_with_platforms_selects_them(tmp_path: Path) -> None:
    found = images(tmp_path, LAYERED, CATALOG, **{"templates/other.j2": "FROM {{ parent }}\n"})
    assert list(found) == ["app:1@amd64", "app:1@s390x", "app:2@amd64", "app:2@arm64"]
    image = found["app:1@s390x"]
    assert (image.template, image.parent.key) == ("other.j2", "docker.io/library/busybox:2")
    assert found["app:2@arm64"].variables["c"] == "family"


def test_the_default_platforms(tmp_path: Path) -> None:
    found = images(tmp_path, FAMILY)
    assert list(found) == ["app:1.0@amd64", "app:1.0@arm64"]
    image = found["app:1.0@arm64"]
    assert (image.tag, str(image.dockerfile)) == ("1.0-aarch64", "bases/app/1.0/Dockerfile_arm64")
    assert (image.merged_name, image.end_of_life, image.immutable) == ("app:1.0", "", False)
    assert image.family.base_file == "bases/app/base.yaml"


def test_a_stage_with_a_fixed_platform(tmp_path: Path) -> None:
    stages = (
        "parents:\n  cross: {image: 'docker.io/library/golang:{{ go }}', platform: x64}\n"
        "  tool: {image: 'docker.io/library/alpine:3'}\nvariables: {go: '1.24'}\n"
    )
    image = images(tmp_path, FAMILY + stages)["app:1.0@arm64"]
    assert {name: (parent.key, str(parent.platform)) for name, parent in image.parents.items()} == {
        "cross": ("docker.io/library/golang:1.24", "linux/amd64"),
        "tool": ("docker.io/library/alpine:3", "linux/arm64"),
    }
    assert str(image.parent.platform) == "linux/arm64"


def test_smoke_tests(tmp_path: Path) -> None:
    text = FAMILY + (
        "variables: {v: 7}\ntests:\n"
        "  - {run: 'echo v', expect: 'v{{ v }}', exit: 3, network: true, timeout: 9}\n"
        "  - {run: [java, -version]}\n"
        "  - {healthy: 30, name: answers}\n"
        "  - {healthy: 5}\n"
    )
    tests = images(tmp_path, text)["app:1.0@amd64"].tests
    assert [test.name for test in tests] == ["echo v", "java -version", "answers", "becomes healthy"]
    first = tests[0]
    assert (first.command, first.expect, first.exit, first.network, first.timeout) == (
        "echo v",
        "v7",
        3,
        True,
        9,
    )
    assert (tests[1].command, tests[2].healthy, str(tests[2].place)) == (
        ("java", "-version"),
        30,
        "bases/app/base.yaml:8:5",
    )


def test_smoke_tests_that_start_the_image(tmp_path: Path) -> None:
    text = FAMILY + (
        "variables: {v: 7}\ntests:\n"
        "  - {starts: 5}\n"
        "  - {args: []}\n"
        "  - {args: [--version], expect: '7'}\n"
        "  - {ports: [80, 443], starts: 3}\n"
        "  - {logs: 'version {{ v }}$'}\n"
    )
    tests = images(tmp_path, text)["app:1.0@amd64"].tests
    assert [test.name for test in tests] == [
        "stays up",
        "runs its own command",
        "starts with --version",
        "listens on 80 and 443",
        "logs version {{ v }}$",
    ]
    assert [test.args for test in tests] == [None, (), ("--version",), None, None]
    assert (tests[0].starts, tests[3].ports, tests[4].logs) == (5, (80, 443), "version 7$")
    assert [test.ends for test in tests] == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            "{run: [id], args: [x]}",
            "'run' replaces the ENTRYPOINT that 'args' is for; use one of them, or start the image with 'starts',"
            " 'healthy', 'ports' or 'logs'",
        ),
        ("{starts: 5, exit: 1}", "'exit' has no effect, because the test does not wait until the image ends; remove it"),
        ("{args: [x], healthy: 5, exit: 0}", "'exit' has no effect, because the test does not wait until the image ends; remove it"),
        ("{logs: '(a'}", "'logs': '(a' is not a regular expression: missing ), unterminated subpattern at position 0"),
    ],
)  # fmt: skip
def test_smoke_tests_with_keys_that_do_not_fit(tmp_path: Path, test: str, message: str) -> None:
    assert problems(tmp_path, f"{FAMILY}tests:\n  - {test}\n") == [f"bases/app/base.yaml:5:5: {message}"]


def test_settings_of_a_family(tmp_path: Path) -> None:
    text = (
        "description: what it is for\ncontext: ../..\nimmutable: true\nsnippets: [s]\nlint: {ignore: {DL3008: why}}\n"
        "architecture_independent: true\njinja: {trim_blocks: false}\ntemplate: t.j2\n"
        "parent: docker.io/library/busybox:1\nversions: {'1': {immutable: false, end_of_life: '2030-01-31'}, '2': }\n"
    )
    catalog = loaded(tmp_path, text, "jinja: {lstrip_blocks: false}\n")
    family = catalog.families["app"]
    assert (family.description, str(family.context)) == ("what it is for", ".")
    assert family.snippets == frozenset({"s"})
    assert [reason for reason, _ in layers.ignored(catalog.images[0].layers).values()] == ["why"]
    assert family.jinja == JinjaOptions(trim_blocks=False, lstrip_blocks=False)
    assert family.architecture_independent
    ended = {image.version: (image.immutable, image.end_of_life) for image in catalog.images}
    assert ended == {"1": (False, "2030-01-31"), "2": (True, "")}
    assert list(catalog.versions) == ["app:1", "app:2"]


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (
            "platforms: [amd46]\n",
            "bases/app/base.yaml:4:13: unknown architecture 'amd46' (did you mean 'amd64'?); supported: linux/amd64,"
            " linux/arm64, linux/arm/v7, linux/ppc64le, linux/s390x and linux/riscv64",
        ),
        (
            "overrides: [{when: 'true', platforms: [arm65]}]\n",
            "bases/app/base.yaml:4:40: unknown architecture 'arm65' (did you mean 'arm64'?); supported: linux/amd64,"
            " linux/arm64, linux/arm/v7, linux/ppc64le, linux/s390x and linux/riscv64",
        ),
        (
            "overrides: [{when: {platform: sparc}}]\n",
            "bases/app/base.yaml:4:31: unknown architecture 'sparc'; supported: linux/amd64, linux/arm64,"
            " linux/arm/v7, linux/ppc64le, linux/s390x and linux/riscv64",
        ),
        (
            "parents: {tool: {image: 'docker.io/library/alpine:3', platform: z80}}\n",
            "bases/app/base.yaml:4:17: unknown architecture 'z80'; supported: linux/amd64, linux/arm64,"
            " linux/arm/v7, linux/ppc64le, linux/s390x and linux/riscv64",
        ),
        (
            "overrides: [{when: jva >= 17}]\nvariables: {java: 17}\n",
            "bases/app/base.yaml:4:20: in 'jva >= 17': 'jva' is not defined (did you mean 'java'?)",
        ),
        (
            "overrides: [{when: {jva: 17}}]\nvariables: {java: 17}\n",
            "bases/app/base.yaml:4:21: 'jva' is not defined (did you mean 'java'?)",
        ),
        (
            "overrides: [{when: 'java >'}]\n",
            "bases/app/base.yaml:4:20: in 'java >': the expression is incomplete",
        ),
        (
            "variables: {image: x, parent: y, parents: z}\n",
            [
                "bases/app/base.yaml:4:13: 'image' is reserved by dfgen; choose another name",
                "bases/app/base.yaml:4:23: 'parent' is reserved by dfgen; choose another name",
                "bases/app/base.yaml:4:34: 'parents' is reserved by dfgen; choose another name",
            ],
        ),
    ],
)
def test_errors_of_a_family(tmp_path: Path, more: str, found: str | list[str]) -> None:
    assert problems(tmp_path, FAMILY + more) == ([found] if isinstance(found, str) else found)


def test_problems_of_all_families_are_reported_together(tmp_path: Path) -> None:
    found = problems(tmp_path, FAMILY + "platforms: [a]\n", lib=FAMILY + "platforms: [b]\n")
    assert [line.partition(": ")[0] for line in found] == [
        "bases/app/base.yaml:4:13",
        "bases/lib/base.yaml:4:13",
    ]


ALIASES = ("arm64", "aarch64", "ARM64", "arm64v8", "linux/arm64", "linux/aarch64")


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("name", ["arch", "platform", "platform.architecture", "platform.uname"])
def test_an_architecture_equals_every_alias(name: str, alias: str, tmp_path: Path) -> None:
    conditions = [f"{name} == '{alias}'", f"'{alias}' == {name}", f"{name} in ['{alias}']"]
    text = f"{FAMILY}overrides:\n"
    for at, condition in enumerate(conditions):
        text += f'  - {{when: "{condition}", variables: {{v{at}: x}}}}\n'
    if "." not in name:
        text += f"  - {{when: {{{name}: {alias}}}, variables: {{v3: x}}}}\n"
    found = images(tmp_path, text)
    assert len(found["app:1.0@arm64"].variables) == 4 - ("." in name)
    assert not found["app:1.0@amd64"].variables


def test_an_unknown_architecture_in_a_condition_is_reported(tmp_path: Path) -> None:
    text = f"{FAMILY}overrides:\n  - {{when: {{arch: aarch46}}, variables: {{a: b}}}}\n"
    (problem,) = dict.fromkeys(problems(tmp_path, text))
    assert "unknown architecture 'aarch46' (did you mean 'aarch64'?)" in problem


def test_versions_order_as_versions_in_conditions(tmp_path: Path) -> None:
    text = (
        "template: t.j2\nparent: docker.io/library/busybox:1\nplatforms: [amd64]\n"
        'versions: ["1", "1.9", "1.10", "2.0"]\noverrides:\n'
        "  - {when: \"version >= '1.10'\", variables: {new: x}}\n"
        "  - {when: version == 1, variables: {one: x}}\n"
        "  - {when: {version: 1}, variables: {same: x}}\n"
    )
    found = {image.version: set(image.variables) for image in images(tmp_path, text).values()}
    assert found == {"1": {"one", "same"}, "1.9": set(), "1.10": {"new"}, "2.0": {"new"}}


@pytest.mark.parametrize(
    ("date", "reason"),
    [
        ("2026-13-45", "month must be in 1..12"),
        ("2026-02-30", "day is out of range for month"),
        ("0000-01-01", "year 0 is out of range"),
    ],
)
def test_an_end_of_life_is_in_the_calendar(date: str, reason: str, tmp_path: Path) -> None:
    text = f'{FAMILY}end_of_life: "{date}"\n'
    assert problems(tmp_path, text) == [f"bases/app/base.yaml:4:14: '{date}' is not a date: {reason}"]


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ('versions: ["1.0-RC", "1.0-rc"]', "3:22"),
        ("versions:\n  1-A:\n  1-a:", "5:3"),
        ('matrix: {version: "{{ a }}", axes: {a: [x, X]}}', "3:19"),
    ],
)
def test_versions_that_differ_in_case_only_are_refused(setting: str, place: str, tmp_path: Path) -> None:
    text = f"template: t.j2\nparent: docker.io/library/busybox:1\n{setting}\n"
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(f"bases/app/base.yaml:{place}: versions '")
    assert problem.endswith("differ only in case; on some systems they are one folder: rename one")
