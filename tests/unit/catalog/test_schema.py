"""The schemas: the exact text of each kind of error, and all errors in one report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dfgen
from dfgen.catalog import schema, yaml
from dfgen.errors import InputError

ROOT = Path(dfgen.__file__).parent.parent
GOOD = "template: t\nparent: p\nversions: ['1']\n"
HERE_BASE = (
    "architecture_independent, context, description, end_of_life, foreign_programs, immutable, jinja, labels, lint, matrix,"
    " overrides, package_lock, packages, parent, parents, platforms, snippets, template, tests, variables and versions"
)


def _check(text: str, name: str = "base") -> list[str]:
    try:
        schema.check(yaml.parse(text, "f"), name)
    except InputError as error:
        return str(error).splitlines()
    return []


def _only(text: str) -> list[str]:
    """Return the problems of `text`, with the required keys appended to it."""
    return [line.replace("f:", "", 1) for line in _check(text.rstrip() + "\n" + GOOD)]


@pytest.mark.parametrize("name", ["base", "catalog"])
def test_the_published_schema_is_the_one_that_validates(name: str) -> None:
    published = ROOT / "bases" / ".schema" / f"{name}.schema.json"
    assert published.read_text(encoding="utf-8") == schema.text(name)


@pytest.mark.parametrize("name", ["base", "catalog"])
def test_every_key_has_a_type_or_a_definition(name: str) -> None:
    parts = json.loads(schema.text(name))
    assert parts["additionalProperties"] is False
    assert all("$ref" in part or "type" in part for part in parts["properties"].values())


def test_a_valid_family_and_an_empty_catalog() -> None:
    assert _check(GOOD) == []
    assert _check("", "catalog") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("packges: [a]", ["1:1: unknown key 'packges' (did you mean 'packages'?)"]),
        ("expect: a", ["1:1: unknown key 'expect'; it belongs under tests"]),
        ("axes: {a: [b]}", ["1:1: unknown key 'axes'; it belongs under matrix"]),
        ("trim_blocks: false", ["1:1: unknown key 'trim_blocks'; it belongs under jinja"]),
        ("label: {a: b}", ["1:1: unknown key 'label' (did you mean 'labels'?)"]),
        ("mirrors: {a: b}", ["1:1: unknown key 'mirrors'; it belongs in bases/catalog.yaml"]),
        ("variables:", ["1:11: expected a mapping of names to values, found nothing; indent the lines that belong to it"]),
        ("platforms: {variables: {a: 1}, arm64: {}}", ["1:13: 'variables' is a setting, not a platform; indent it below a platform, or move it out of platforms"]),
        ("zzz: [a]", [f"1:1: unknown key 'zzz'; known keys are {HERE_BASE}"]),
        ("description: 7", ['1:14: 7 is a YAML integer; expected text: write "7" with quotes']),
        ("description: ''", ["1:14: expected text, found ''"]),
        ("description: [a]", ["1:14: expected text, found a list"]),
        ("description: {}", ["1:14: expected text, found an empty mapping"]),
        ("description:", ["1:13: expected text, found nothing"]),
        ("immutable: 1", ["1:12: expected true or false, found 1"]),
        ("immutable: 'yes'", ["1:12: expected true or false, found 'yes'"]),
        ("platforms: []", ["1:12: expected a list of platforms, or a mapping with settings per platform, found an empty list"]),
        ("platforms: {}", ["1:12: expected a list of platforms, or a mapping with settings per platform, found an empty mapping"]),
        ("platforms: arm64", ["1:12: expected a list of platforms, or a mapping with settings per platform, found 'arm64'"]),
        ("platforms: [1]", ['1:13: 1 is a YAML integer; expected a platform such as linux/arm64: write "1" with quotes']),
        ("platforms: {arm64: [x]}", ["1:20: expected a mapping, found a list"]),
        ("platforms: {arm64: {versions: []}}", ["1:21: unknown key 'versions'; it belongs at the top level of the file"]),
        ("variables: {a-b: 1}", ["1:13: 'a-b' is not a variable name: letters, digits and _"]),
        ("variables: [a]", ["1:12: expected a mapping of names to values, found a list"]),
        ("packages: a", ["1:11: expected a list of packages, found 'a'"]),
        ("packages: [{version: '1'}]", ["1:12: key 'name' is missing"]),
        ("packages: [{name: a, ver: '1'}]", ["1:22: unknown key 'ver' (did you mean 'version'?)"]),
        ("packages: [{name: a, version: 1.5}]", ['1:31: 1.5 is a YAML float; expected text: write "1.5" with quotes']),
        ("packages: ['']", ["1:12: expected a package name, or a mapping with 'name' and 'version', found ''"]),
        ("packages: [[a]]", ["1:12: expected a package name, or a mapping with 'name' and 'version', found a list"]),
        ("labels: {a: 1.5}", ['1:13: 1.5 is a YAML float; expected text: write "1.5" with quotes']),
        ("labels: x", ["1:9: expected a mapping of label names to text, found 'x'"]),
        ("parents: {a: [x]}", ["1:14: expected an image, or a mapping with 'image' and 'platform', found a list"]),
        ("parents: {a: {platform: amd64}}", ["1:14: key 'image' is missing"]),
        ("parents: {a.b: x}", ["1:11: 'a.b' is not a variable name: letters, digits and _"]),
        ("tests: [{}]", ["1:9: expected 'run', 'args', 'starts', 'healthy', 'ports' or 'logs'"]),
        ("tests: [{ports: []}]", ["1:17: expected a list, found an empty list"]),
        ("tests: [{ports: [0]}]", ["1:18: expected a whole number from 1 to 65535, found 0"]),
        ("tests: [{ports: ['80']}]", ["1:18: expected a whole number from 1 to 65535, found '80'"]),
        ("tests: [{args: --version}]", ["1:16: expected a list, found '--version'"]),
        ("tests: [{logs: ''}]", ["1:16: expected text, found ''"]),
        ("tests: [{run: x, exit: 256}]", ["1:24: expected a whole number from 0 to 255, found 256"]),
        ("tests: [{run: x, timeout: 0}]", ["1:27: expected a whole number from 1 to 3600, found 0"]),
        ("tests: [{run: x, network: 'no'}]", ["1:27: expected true or false, found 'no'"]),
        ("tests: [{run: []}]", ["1:15: expected text or a list, found an empty list"]),
        ("tests: {run: x}", ["1:8: expected a list of smoke tests, found a mapping"]),
        ("foreign_programs: {opt/cross: why}", ["1:20: 'opt/cross' is not a path such as /opt/cross/**"]),
        ("foreign_programs: {/opt/cross: ''}", ["1:32: expected a reason, found ''"]),
        ("foreign_programs: [/opt/cross]", ["1:19: expected a mapping of paths to reasons, found a list"]),
        ("end_of_life: soon", ["1:14: expected a date such as 2024-06-30, found 'soon'"]),
        ("snippets: [a b]", ["1:12: expected a variable name: letters, digits and _, found 'a b'"]),
        ("jinja: {trim: true}", ["1:9: unknown key 'trim'; known keys are keep_trailing_newline, lstrip_blocks and trim_blocks"]),
        ("jinja: x", ["1:8: expected a mapping, found 'x'"]),
        ("overrides: [{variables: {a: 1}}]", ["1:13: key 'when' is missing"]),
        ("overrides: [{when: [x]}]", ['1:20: expected an expression such as "java >= 17", or a mapping of variables to values, found a list']),
        ("overrides: [{when: x, versions: {}}]", ["1:23: unknown key 'versions'; it belongs at the top level of the file"]),
        ("matrix: {axes: {a: [1]}}", ["1:9: key 'version' is missing"]),
        ("matrix: {version: x, axes: {}}", ["1:28: expected a list of values for each axis, found an empty mapping"]),
        ("matrix: {version: x, axes: {a: []}}", ["1:32: expected a list, found an empty list"]),
        ("matrix: {version: x, axes: {a: [1.5]}}", ['1:33: 1.5 is a YAML float; expected text or a whole number or true or false: write "1.5" with quotes']),
        ("lint: {ignore: {DL3008: ''}}", ["1:25: expected a reason, found ''"]),
    ],
)  # fmt: skip
def test_errors_of_a_family(text: str, found: list[str]) -> None:
    assert _only(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("registry: 7", ['f:1:11: 7 is a YAML integer; expected a registry and path such as registry.example.com/platform: write "7" with quotes']),
        ("platfroms: [a]", ["f:1:1: unknown key 'platfroms' (did you mean 'platforms'?)"]),
        ("platforms: {arm64: {}}", ["f:1:12: expected a list of platforms, found a mapping"]),
        ("mirrors: {docker.io: ''}", ["f:1:22: expected a host and path, found ''"]),
        ("mirrors: [x]", ["f:1:10: expected a mapping of registries to mirrors, found a list"]),
        ("builders: {arm64: {}}", ["f:1:19: expected {context: NAME} or {builder: NAME}, or a list of these, found an empty mapping"]),
        ("builders: {arm64: {context: a, builder: b}}", ["f:1:19: expected {context: NAME} or {builder: NAME}, or a list of these, found a mapping"]),
        ("builders: {arm64: []}", ["f:1:19: expected {context: NAME} or {builder: NAME}, or a list of these, found an empty list"]),
        ("builders: {arm64: [{context: a}, {context: b, builder: c}]}", ["f:1:34: expected {context: NAME} or {builder: NAME}, found a mapping"]),
        ("builders: {arm64: [{context: a, jobs: 0}]}", ["f:1:39: expected a whole number, at least 1, found 0"]),
        ("builders: {arm64: {contxt: a}}", ["f:1:20: unknown key 'contxt' (did you mean 'context'?)"]),
        ("sbom: scanner:1", ["f:1:7: expected packages, or a generator pinned by digest, such as docker.io/docker/buildkit-syft-scanner:1@sha256:…, found 'scanner:1'"]),
        ("build_cache: {from: [gha]}", ["f:1:22: expected a cache such as type=registry,ref=registry.example.com/cache/{family}:{version}-{arch}, found 'gha'"]),
        ("source_date_epoch: -1", ["f:1:20: expected a whole number, at least 0, found -1"]),
        ("source_date_epoch: now", ["f:1:20: expected a whole number, at least 0, found 'now'"]),
        ("source_date_epoch: true", ["f:1:20: expected a whole number, at least 0, found true"]),
        ("source_date_epoch: 1.5", ["f:1:20: expected a whole number, at least 0, found 1.5"]),
        ("source_date_epoch: commit", ["f:1:20: expected a whole number, at least 0, found 'commit'"]),
        ("variables: {a b: 1}", ["f:1:13: 'a b' is not a variable name: letters, digits and _"]),
        ("- a", ["f:1:1: expected a mapping or nothing, found a list"]),
    ],
)  # fmt: skip
def test_errors_of_the_catalog(text: str, found: list[str]) -> None:
    assert _check(text, "catalog") == found


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        ("[1.10]", '1.10 is a YAML float and would become 1.1; write "1.10" with quotes'),
        ("[1.5]", "1.5 is a YAML float; expected a version: letters, digits, '.', '_' and '-', at most 113: write \"1.5\" with quotes"),
        ("['a b']", "expected a version: letters, digits, '.', '_' and '-', at most 113, found 'a b'"),
        ("['1\\n']", "expected a version: letters, digits, '.', '_' and '-', at most 113, found '1\\\\n'"),
        ("['../x']", "expected a version: letters, digits, '.', '_' and '-', at most 113, found '../x'"),
        (f"['{'v' * 114}']", f"expected a version: letters, digits, '.', '_' and '-', at most 113, found '{'v' * 57}...'"),
    ],
)  # fmt: skip
def test_versions_must_be_valid_tags(versions: str, found: str) -> None:
    lines = _check(f"template: t\nparent: p\nversions: {versions}\n")
    assert lines == [f"f:3:12: {found}"]


def test_version_names_in_a_mapping() -> None:
    assert _check("template: t\nparent: p\nversions: {1.10: {}}\n") == [
        'f:3:12: key 1.10 is a YAML float; expected text: write "1.10" with quotes'
    ]
    assert _check("template: t\nparent: p\nversions: {.x: {}}\n") == [
        "f:3:12: '.x' is not a version: letters, digits, '.', '_' and '-', at most 113"
    ]


def test_a_family_needs_versions_or_a_matrix() -> None:
    assert _check("description: x") == [
        "f:1:1: expected 'versions', 'matrix' or both",
        "f:1:1: key 'template' is missing",
    ]


@pytest.mark.parametrize(("text", "found"), [("", "nothing"), ("x", "'x'"), ("[]", "an empty list")])
def test_a_family_is_a_mapping(text: str, found: str) -> None:
    assert _check(text) == [f"f:1:1: expected a mapping, found {found}"]


def test_all_errors_are_reported_in_the_order_of_the_file() -> None:
    assert _only("immutable: 1\nlabels: {a: 010}\npackges: []\nlabels: {}\n") == [
        "1:12: expected true or false, found 1",
        '2:13: 010 is a YAML integer and would become 10; write "010" with quotes',
        "3:1: unknown key 'packges' (did you mean 'packages'?)",
        "4:1: duplicate key 'labels' (first on line 2)",
    ]


@pytest.mark.parametrize("key", ["17", "017", "+17", "0", "00", "²", "18446744073709551615", "1_0"])
def test_keys_that_look_like_an_index_have_their_place(key: str) -> None:
    found = _only(f'labels:\n  "{key}x": x\n  "²³": x\n  "{key}": 1.5\n')
    column = 7 + len(key)
    assert found == [f'4:{column}: 1.5 is a YAML float; expected text: write "1.5" with quotes']


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.text("a²0.\n'", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("a01²", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = sorted(json.loads(schema.text("base"))["properties"])


@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=4))
def test_any_value_is_valid_or_reported_with_its_place(data: dict[str, object]) -> None:
    document = yaml.parse(json.dumps(data, ensure_ascii=False), "f")
    try:
        schema.check(document, "base")
    except InputError as error:
        places = [problem.place for problem in error.problems]
        assert None not in places


def test_a_setting_among_the_versions() -> None:
    text = "template: t\nparent: p\nversions:\n  '1':\n  platforms: [amd64]\n  variables:\n    a: 1\n"
    advice = "indent it below a version, or move it out of versions"
    assert _check(text) == [
        f"f:5:3: 'platforms' is a setting, not a version; {advice}",
        f"f:6:3: 'variables' is a setting, not a version; {advice}",
    ]
    catalog = "template: t\n"
    assert _check(catalog, "catalog") == ["f:1:1: unknown key 'template'; it belongs in a base.yaml"]
