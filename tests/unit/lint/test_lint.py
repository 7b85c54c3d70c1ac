"""`dfgen lint`: places and grouping of findings, ignored rules, skipped images, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dfgen as package
from dfgen.commands.lint.records import RULES
from tests.unit.catalogs import FAMILY, write
from tests.unit.cli.run import dfgen
from tests.unit.lint.catalogs import BUILDKIT, Linting, T

ROOT = Path(package.__file__).parent.parent
RUN = "FROM {{ parent }}\nRUN yum install -y curl\n"
CACHE = "`yum` leaves its cache in the layer; add `yum clean all` to this RUN"
AMD64 = "bases/app/1.0/Dockerfile_amd64"
ARM64 = "bases/app/1.0/Dockerfile_arm64"
HERE = f"{T}:2: warning: {CACHE} (in 2 files) [package-cache] (in {AMD64}:7)"
PARITY = " — declare the difference under platforms in base.yaml, or remove it"


def test_a_clean_catalog_has_no_findings(linting: Linting) -> None:
    linting.catalog()
    done = linting.run("--strict")
    assert (done.status, done.out) == (0, "")
    assert done.lines == ["2 Dockerfiles: 0 errors, 0 warnings, 0 notes", BUILDKIT]


def test_a_finding_is_reported_once_at_the_template_line(linting: Linting) -> None:
    linting.catalog(RUN)
    done = linting.run()
    assert (done.status, done.out.splitlines()) == (0, [HERE])
    assert done.lines[0] == "2 Dockerfiles: 0 errors, 1 warning, 0 notes"


def test_warnings_fail_with_strict(linting: Linting) -> None:
    linting.catalog(RUN)
    assert linting.run("--strict").status == 1


def test_a_finding_in_a_macro_is_reported_in_the_macro(linting: Linting) -> None:
    macro = "{% macro install() %}\nRUN yum install -y curl\n{% endmacro %}\n"
    template = '{% from "m.j2" import install %}\nFROM {{ parent }}\n{{ install() }}\n'
    linting.catalog(template, **{"templates/m.j2": macro})
    assert [line.partition(":")[0] for line in linting.found()] == ["templates/m.j2"]


def test_equal_findings_at_two_lines_are_reported_twice(linting: Linting) -> None:
    linting.catalog(RUN + "RUN yum install -y curl\n")
    assert [line[: len(T) + 2] for line in linting.found()] == [f"{T}:2", f"{T}:3"]


def test_an_unpinned_image_is_an_error_at_its_line(linting: Linting) -> None:
    linting.catalog("FROM {{ parent }}\nCOPY --from=docker.io/library/tool:1 /x /x\n")
    done = linting.run("app@amd64")
    assert (done.status, done.out.splitlines()) == (
        1,
        [
            f"{T}:2: error: COPY uses 'docker.io/library/tool:1' without a digest; declare it as a parent, and use"
            f" {{{{ parent }}}} or {{{{ parents.NAME.reference }}}} [unpinned-from] (in {AMD64}:7)"
        ],
    )


def test_an_invalid_dockerfile_is_reported_once_at_the_template_line(linting: Linting) -> None:
    linting.catalog("FROM {{ parent }}\n{# a comment #}\nLABEL a\n")
    (found,) = linting.found()
    why = "LABEL has a name but no value; expected name=value (in 2 files)"
    assert found == f"{T}:3: error: {why} [does-not-render] (in {AMD64}:7)"


def test_an_unpinned_frontend_is_reported_at_the_first_line(linting: Linting) -> None:
    linting.catalog("# syntax=docker/dockerfile:1\nFROM {{ parent }}\n")
    assert linting.found("app@amd64") == [
        f"{T}:1: warning: the frontend 'docker/dockerfile:1' has no digest; use"
        f" # syntax=docker/dockerfile:1@sha256:… [unpinned-syntax] (in {AMD64}:1)"
    ]


def test_a_rendering_error_does_not_hide_other_findings(linting: Linting) -> None:
    linting.catalog(RUN + "{% if arch == 'arm64' %}\n{{ oops }}\n{% endif %}\n")
    done = linting.run()
    assert done.status == 1
    assert done.out.splitlines() == [
        f"{T}:2: warning: {CACHE} [package-cache] (in {AMD64}:7)",
        f"{T}:4: error: 'oops' is not defined [does-not-render]",
        f"{T}:4: warning: variable oops is not defined in any version [undefined-variable]",
    ]


def test_a_latest_parent_is_reported_in_the_catalog(linting: Linting) -> None:
    linting.catalog(base=FAMILY.replace("1.36", "latest"))
    assert linting.found() == [
        "bases/app/base.yaml:2:9: warning: parent docker.io/library/busybox:latest changes without notice;"
        " use a version tag [latest-tag]"
    ]


def test_a_difference_between_platforms_shows_both_sides(linting: Linting) -> None:
    linting.catalog("FROM {{ parent }}\n{% if arch == 'arm64' %}\nRUN x\n{% endif %}\nUSER 1\n")
    assert linting.found() == [
        f"{T}:3: warning: amd64: nothing | arm64: `RUN x`{PARITY} [arch-parity] (in {ARM64}:7)"
    ]


def test_a_difference_is_reported_at_the_line_of_the_first_platform(linting: Linting) -> None:
    linting.catalog("FROM {{ parent }}\nUSER 1\nRUN {{ 'x' if arch == 'arm64' else 'y' }}\n")
    assert linting.found() == [
        f"{T}:3: warning: amd64: `RUN y` | arm64: `RUN x`{PARITY} [arch-parity] (in {AMD64}:8)"
    ]


def test_declared_values_may_contain_the_name_of_a_platform(linting: Linting) -> None:
    base = FAMILY + (
        "variables: {lib: /usr/lib/x86_64-linux-gnu/l.so, more: a}\n"
        "platforms: {amd64: null, arm64: {variables: {lib: /usr/lib/aarch64-linux-gnu/l.so, more: b}}}\n"
    )
    linting.catalog("FROM {{ parent }}\nENV L={{ lib }} A={{ arch }}\nENV M={{ more }}\n", base)
    assert linting.found() == []


def test_platforms_with_different_templates_are_not_compared(linting: Linting) -> None:
    linting.catalog(
        "FROM {{ parent }}\nRUN x\n",
        FAMILY + "platforms: {amd64: null, arm64: {template: o.j2}}\n",
        **{"templates/o.j2": "FROM {{ parent }}\n"},
    )
    assert linting.found() == []


def test_declared_settings_of_a_platform_may_differ(linting: Linting) -> None:
    template = (
        "FROM {{ parent }}\nRUN get {{ url }} {{ platform.debian }}\n{% if fast %}\nRUN fast\n{% endif %}\n"
        "RUN x {% for package in packages %}{{ package.name }} {% endfor %}y\n"
    )
    platforms = (
        "platforms:\n  amd64: {variables: {url: a, fast: true}}\n"
        "  arm64: {variables: {url: b, fast: false}, packages: [more]}\n"
    )
    linting.catalog(template, FAMILY + platforms)
    assert linting.found() == []


def test_a_rule_is_ignored_with_a_reason(linting: Linting) -> None:
    linting.catalog(RUN, FAMILY + "lint: {ignore: {package-cache: the layer is squashed}}\n")
    assert linting.run("--strict").out == ""


def test_a_rule_about_the_catalog_is_ignored(linting: Linting) -> None:
    ignore = "variables: {a: 1}\nlint: {ignore: {unused-variable: for children, latest-tag: moves}}\n"
    linting.catalog(base=FAMILY.replace("1.36", "latest") + ignore)
    assert linting.run("--strict").out == ""


def test_unused_and_unknown_ignored_rules_are_reported(linting: Linting) -> None:
    rules = "lint:\n  ignore:\n    pipefail: none left\n    pipfail: a slip\n    zzz: who knows\n    DL3008: hadolint's\n    JSONArgsRecommended: BuildKit's\n"
    linting.catalog(base=FAMILY + rules)
    assert linting.found() == [
        "bases/app/base.yaml:6:5: warning: rule pipefail is ignored, but finds nothing; remove it [unused-ignore]",
        "bases/app/base.yaml:7:5: warning: unknown rule 'pipfail' (did you mean 'pipefail'?); see docs/reference/lint.md [unused-ignore]",
        "bases/app/base.yaml:8:5: warning: unknown rule 'zzz'; see docs/reference/lint.md [unused-ignore]",
    ]
    assert linting.found("app@arm64") == []


@pytest.mark.parametrize("reason", ["''", "'  '"])
def test_a_reason_is_required(linting: Linting, reason: str) -> None:
    linting.catalog()
    write(linting.root, {"bases/app/base.yaml": FAMILY + f"lint: {{ignore: {{pipefail: {reason}}}}}\n"})
    done = linting.run()
    assert (done.status, done.lines) == (2, [f"bases/app/base.yaml:4:27: expected a reason, found {reason}"])


def test_an_image_that_waits_for_a_family_is_checked(linting: Linting) -> None:
    linting.catalog()
    child = "template: child.j2\nparent: app:1.0\nversions: ['2']\nplatforms: [amd64]\n"
    write(linting.root, {"bases/child/base.yaml": child, "templates/child.j2": RUN})
    done = linting.run()
    assert [line.partition(":")[0] for line in done.out.splitlines()] == ["templates/child.j2"]
    assert done.lines[:2] == [
        "3 Dockerfiles: 0 errors, 1 warning, 0 notes",
        "bases/child/2/Dockerfile_amd64 waits for app:1.0 to be built: checked, apart from the digest in FROM",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY nothing /x", "COPY takes 'nothing', which does not exist in the context bases/app; add it there, or copy it from a stage with --from"),
        ("ADD Start.sh /x", "ADD takes 'Start.sh', which does not exist in the context bases/app (did you mean 'start.sh'?); add it there, or copy it from a stage with --from"),
        ("COPY files/strat.sh /x", "COPY takes 'files/strat.sh', which does not exist in the context bases/app (did you mean 'files/start.sh'?); add it there, or copy it from a stage with --from"),
        ("COPY bases/app/start.sh /x", "COPY takes 'bases/app/start.sh', which does not exist in the context bases/app (paths are relative to it: did you mean 'start.sh'?); add it there, or copy it from a stage with --from"),
        ("COPY ../start.sh /x", ""),  # `..` does not lead out of the context
        ("COPY secret.txt /x", "COPY takes 'secret.txt', which bases/app/.dockerignore excludes from the context bases/app; re-include it there with !"),
        ("RUN --mount=type=bind,source=nothing,target=/x sh /x", "RUN takes 'nothing', which does not exist in the context bases/app; add it there, or copy it from a stage with --from"),
        ("COPY start.sh files/*.sh /x/", ""),
        ("COPY no*thing /x", ""),
    ],
)  # fmt: skip
def test_a_file_that_is_missing_from_the_context(linting: Linting, line: str, message: str) -> None:
    linting.catalog(f"FROM {{{{ parent }}}}\n{line}\n", FAMILY.replace('"1.0"', '"1.0", "2.0"'))
    files = {"start.sh": "", "files/start.sh": "", "secret.txt": "", ".dockerignore": "secret.txt\n"}
    write(linting.root, {f"bases/app/{name}": text for name, text in files.items()})
    write(linting.root, {T: f"FROM {{{{ parent }}}}\n{line}\n"})
    done = linting.run()
    places = f" (in 4 files) [context] (in {AMD64}:7)"
    assert done.out.splitlines() == ([f"{T}:2: error: {message}{places}"] if message else [])
    assert done.status == (1 if message else 0)


@pytest.mark.parametrize(
    ("file", "base", "advice"),
    [
        ("old/1/Dockerfile_amd64", "", "add one, or remove the folder"),
        ("old/base.yaml~", "", "rename base.yaml~, or remove the folder"),
        ("group/java/base.yaml", "", "a family is a folder directly in bases/: move bases/group/java there"),
        ("shared/files/a", "context: ../shared\n", ""),
        ("shared/files/a", "context: ../shared/files\n", ""),
        ("shared/files/a", "context: ..\n", ""),
        (".hidden/a", "", ""),
    ],
)
def test_a_folder_that_is_no_family(linting: Linting, file: str, base: str, advice: str) -> None:
    linting.catalog(base=FAMILY + base)
    write(linting.root, {f"bases/{file}": "x\n"})
    message = f"warning: the folder is ignored, because it has no base.yaml; {advice} [no-family]"
    assert linting.found() == ([f"bases/{file.partition('/')[0]}/: {message}"] if advice else [])
    assert linting.found("app") == []


def test_json_and_markdown(linting: Linting) -> None:
    linting.catalog(RUN)
    found = json.loads(dfgen("-C", linting.root, "--format", "json", "lint").out)
    assert found == [
        {
            "level": "warning",
            "rule": "package-cache",
            "place": f"{T}:2",
            "message": f"{CACHE} (in 2 files)",
            "generated": f"{AMD64}:7",
        }
    ]
    assert dfgen("-C", linting.root, "--format", "markdown", "lint").out.splitlines()[0] == (
        "| level | rule | place | message | generated |"
    )


def test_the_shipped_catalog_is_clean() -> None:
    done = dfgen("-C", ROOT, "lint", "--strict")
    assert (done.status, done.out) == (0, "")


def test_every_rule_is_documented() -> None:
    table = (ROOT / "docs/reference/lint.md").read_text(encoding="utf-8").splitlines()
    described = [
        tuple(cell.strip() for cell in line.split("|")[1:3]) for line in table if line.startswith("| `")
    ]
    assert sorted(described) == [(f"`{rule}`", str(level)) for rule, level in sorted(RULES.items())]


def test_an_invalid_template_is_reported_by_its_images(linting: Linting) -> None:
    linting.catalog()
    write(linting.root, {T: "FROM {{ parent }}\n{% if %}\n"})
    done = linting.run()
    assert done.status == 1
    assert done.out.splitlines() == [f"{T}:2: error: an expression is missing before %}} [does-not-render]"]


def test_a_template_without_from_does_not_render(linting: Linting) -> None:
    linting.catalog("RUN make\n")
    message = "renders no FROM; begin the Dockerfile with FROM {{ parent }}"
    assert linting.found() == [f"{T}: error: {message} [does-not-render]"]


@pytest.mark.parametrize("keyword", ["CMD", "ENTRYPOINT"])
def test_a_list_that_is_not_json_is_reported(linting: Linting, keyword: str) -> None:
    linting.catalog(f"FROM {{{{ parent }}}}\n{keyword} ['a', 'b']\nCMD [\"c\"]\nRUN [ -f /d ]\n")
    message = f"{keyword} is not a JSON array, so a shell runs it as text; use double quotes"
    assert linting.found("app@amd64") == [f"{T}:2: warning: {message} [exec-form] (in {AMD64}:7)"]
