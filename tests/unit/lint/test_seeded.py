"""A catalog that violates each rule once: each violation is reported at the line to fix."""

from __future__ import annotations

import json

from dfgen.commands.lint.records import RULES
from tests.unit.cli.run import dfgen
from tests.unit.lint.catalogs import Linting

TEMPLATE = """\
# syntax=docker/dockerfile:1
{% from "m.j2" import install %}
FROM {{ parent }}
ADD https://example.org/a /a
{{ install("curl") }}
RUN curl x | sh
ENV API_TOKEN=x
COPY --from=example.org/b /b /b
COPY --from=example.org/c:1 /c /c
{% if platform == "linux/arm64" %}
RUN only here
{% endif %}
USR app
RUN make; \\ make install
CMD ['a']
COPY missing /missing
{% if platform == "linux/s390x" %}
RUN {{ no_such_name }}
{% endif %}
"""
MACROS = """\
{% macro install(name) %}
RUN apt-get update && apt-get install -y {{ name }}
{% endmacro %}
{% macro nobody() %}
{% endmacro %}
"""
FILES = {
    "templates/m.j2": MACROS,
    "templates/dead.j2": "FROM {{ parent }}\n",
    "templates/broken.j2": "FROM {{ parent }}\nRUN {{ 1 // 0 }}\n",
    "templates/skeleton.j2": "FROM {{ parent }}\n{% block body %}{% endblock %}\n",
    "templates/child.j2": '{% extends "skeleton.j2" %}\n{% block bdy %}RUN x{% endblock %}\n',
    "bases/old/1/Dockerfile_amd64": "FROM x\n",
    "bases/broken/base.yaml": "template: broken.j2\nparent: docker.io/library/a:1\nversions: ['1']\nplatforms: [amd64]\n",
    "bases/child/base.yaml": (
        "template: child.j2\nparent: docker.io/library/a:1\nversions: {'1': {labels: {x: b}}}\n"
        "platforms: {amd64: {labels: {x: a}}}\n"
        "variables:\n  useless: 1\nlint:\n  ignore:\n    pipefail: there is a shell that has it\nend_of_life: '2024-06-30'\n"
    ),
}
BASE = "template: t.j2\nparent: docker.io/library/a:1\nversions: ['1']\nplatforms: [amd64, arm64]\n"

# The template line, and the line of the Dockerfile if there is one.
FOUND = {
    "add-url": ("templates/t.j2:4", "bases/app/1/Dockerfile_amd64:8"),
    "apt-recommends": ("templates/m.j2:2", "bases/app/1/Dockerfile_amd64:9"),
    "arch-parity": ("templates/t.j2:11", "bases/app/1/Dockerfile_arm64:15"),
    "context": ("templates/t.j2:16", "bases/app/1/Dockerfile_amd64:18"),
    "does-not-render": ("templates/broken.j2:2", ""),
    "end-of-life": ("bases/child/base.yaml:10:14", ""),
    "exec-form": ("templates/t.j2:15", "bases/app/1/Dockerfile_amd64:17"),
    "latest-tag": ("templates/t.j2:8", "bases/app/1/Dockerfile_amd64:13"),
    "line-break": ("templates/t.j2:14", "bases/app/1/Dockerfile_amd64:16"),
    "no-family": ("bases/old/", ""),
    "overridden-platform": ("bases/child/base.yaml:3:30", ""),
    "package-cache": ("templates/m.j2:2", "bases/app/1/Dockerfile_amd64:9"),
    "pipefail": ("templates/t.j2:6", "bases/app/1/Dockerfile_amd64:11"),
    "secret": ("templates/t.j2:7", "bases/app/1/Dockerfile_amd64:12"),
    "undefined-variable": ("templates/t.j2:18", ""),
    "unknown-instruction": ("templates/t.j2:13", "bases/app/1/Dockerfile_amd64:15"),
    "unpinned-from": ("templates/t.j2:9", "bases/app/1/Dockerfile_amd64:14"),
    "unpinned-syntax": ("templates/t.j2:1", "bases/app/1/Dockerfile_amd64:1"),
    "unused-block": ("templates/child.j2:2", ""),
    "unused-ignore": ("bases/child/base.yaml:9:5", ""),
    "unused-macro": ("templates/m.j2:4", ""),
    "unused-template": ("templates/dead.j2", ""),
    "unused-variable": ("bases/child/base.yaml:6:3", ""),
}


def test_each_rule_reports_its_violation_and_nothing_else(linting: Linting) -> None:
    linting.catalog(TEMPLATE, BASE, **FILES)
    done = dfgen("-C", linting.root, "--format", "json", "lint")
    found = [(one["rule"], (one["place"], one["generated"])) for one in json.loads(done.out)]
    assert FOUND.keys() == RULES.keys()
    also = [("unpinned-from", ("templates/t.j2:8", "bases/app/1/Dockerfile_amd64:13"))]
    assert sorted(found) == sorted([*FOUND.items(), *also])
    assert done.status == 1
