"""`{{ … }}` in the catalog is rendered or refused, at its own place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.catalogs import loaded, problems

BASE = "template: t.j2\nparent: docker.io/library/busybox:1\n"
VERSIONS = 'versions: ["1"]\n'
IN_TEMPLATE = "write the expression in the template, or in parent, where the variable is used"
LABEL = 'write the label in the template: LABEL name="{{ … }}"'
VALUE = "write the value itself, or the expression in the template"


@pytest.mark.parametrize(
    ("setting", "place", "found", "advice"),
    [
        ('variables: {a: "x-{{ b }}"}', "3:16", "{{ b }}", IN_TEMPLATE),
        ('variables: {a: {c: [1, "{{ b|upper }}"]}}', "3:24", "{{ b|upper }}", IN_TEMPLATE),
        ('variables: {parent: "{{ b }}"}', "3:21", "{{ b }}", IN_TEMPLATE),
        ('variables: {a: "{% if b %}1{% endif %}"}', "3:16", "{% if b %}", IN_TEMPLATE),
        ('labels: {org.example: "{{version}}"}', "3:23", "{{version}}", LABEL),
        ('packages: [{name: a, version: "{{ b }}"}]', "3:31", "{{ b }}", VALUE),
        ('packages: ["{{ b }}"]', "3:12", "{{ b }}", VALUE),
        ('description: "{{ family }}"', "3:14", "{{ family }}", VALUE),
        ('tests: [{run: [echo, "{{ version }}"]}]', "3:22", "{{ version }}", VALUE),
        ('overrides: [{when: a, labels: {b: "{{ c }}"}}]', "3:35", "{{ c }}", LABEL),
        ('platforms: {amd64: {variables: {a: "{{ b }}"}}}', "3:36", "{{ b }}", IN_TEMPLATE),
        ('matrix: {version: "{{ a }}", axes: {a: ["{{ b }}"]}}', "3:41", "{{ b }}", IN_TEMPLATE),
    ],
)
def test_braces_that_are_not_rendered_are_refused(
    setting: str, place: str, found: str, advice: str, tmp_path: Path
) -> None:
    message = f"{found!r} is not rendered here and would be used as it is; {advice}"
    assert problems(tmp_path, f"{BASE}{setting}\n{VERSIONS}") == [f"bases/app/base.yaml:{place}: {message}"]


@pytest.mark.parametrize(
    "text",
    [
        "{{.State}}",
        "{{ .State }}",
        "{{json .}}",
        "{{range .A}}x{{end}}",
        "${{ secrets.A }}",
        "a{b}",
        "{{",
        "${{a}",
    ],
)
def test_other_braces_are_text(text: str, tmp_path: Path) -> None:
    loaded(tmp_path, f"{BASE}variables: {{a: '{text}'}}\n{VERSIONS}")


def test_braces_in_catalog_yaml_are_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"{BASE}{VERSIONS}", 'labels: {a: "{{ version }}"}\n')
    assert problem.startswith("bases/catalog.yaml:1:13: '{{ version }}' is not rendered here")
