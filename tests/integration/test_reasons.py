"""Each reason of a plan, on a real engine: printed before the build, and gone after it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from platform import machine

import pytest

from dfgen.oci.layout import Layout
from tests.integration import busybox
from tests.integration.conftest import Work, digests

pytestmark = pytest.mark.integration

BASE = (
    "template: base.j2\nparent: PARENT\nversions: ['1']\nvariables: {greeting: hello}\n"
    "tests:\n  - run: [cat, /files/one]\n"
)
CATALOG = {
    "bases/catalog.yaml": "registry: localhost\nplatforms: [amd64]\n",
    "templates/base.j2": '{% from "macros.j2" import label %}\nFROM {{ parent }}\n{{ label(greeting) }}\nCOPY files/ /files/\n',
    "templates/macros.j2": "{% macro label(text) %}LABEL greeting={{ text }}{% endmacro %}\n",
    "bases/base/base.yaml": BASE,
    "bases/base/files/one": "1\n",
    "templates/child.j2": "FROM {{ parent }}\nENV CHILD=1\n",
    "bases/child/base.yaml": "template: child.j2\nparent: base:1\nversions: ['2']\n",
}
AFTER = {"child:2@amd64": "parent rebuilt: base:1"}


def reasons(work: Work) -> dict[str, str]:
    """Plan; returns the reasons of images to build."""
    found = json.loads(work.run("plan", "--format", "json").stdout)
    named = {f"{one['family']}:{one['version']}@{one['platform'].split('/')[1]}": one for one in found}
    return {name: one["reason"] for name, one in named.items() if one["reason"] != "up to date"}


def built(work: Work, files: Mapping[str, str]) -> dict[str, str]:
    """Change files, render and build; returns the reasons before the build."""
    work.write(files)
    work.run("lock")
    work.run("render")
    found = reasons(work)
    work.run("build")
    assert reasons(work) == {}
    return found


def test_each_reason_is_printed_and_gone_after_a_build(work: Work, layers: Mapping[str, bytes]) -> None:
    name = f"dfgen-test/{uuid.uuid4().hex}"
    registry = os.environ["DFGEN_DEMO_REGISTRY"]
    work.parent = busybox.publish(registry, name, layers)
    assert built(work, CATALOG) == {"base:1@amd64": "not built yet", **AFTER}

    template = CATALOG["templates/macros.j2"].replace("LABEL", "LABEL own=1")
    found = built(work, {"templates/macros.j2": template})
    assert found == {"base:1@amd64": "template changed: macros.j2", **AFTER}
    variable = BASE.replace("hello", "good day")
    assert built(work, {"bases/base/base.yaml": variable}) == {
        "base:1@amd64": "variable changed: greeting",
        **AFTER,
    }
    found = built(work, {"bases/base/files/one": "2\n"})
    assert found == {"base:1@amd64": "context file changed: files/one", **AFTER}
    busybox.publish(registry, name, layers, note="moved")
    work.run("lock", "--upgrade")
    assert built(work, {}) == {"base:1@amd64": f"pin moved: {work.parent.reference}", **AFTER}

    tests = variable.replace("[cat, /files/one]", "[cat, /bin/busybox]")
    assert built(work, {"bases/base/base.yaml": tests}) == {"base:1@amd64": "smoke tests changed"}
    before = digests(work)
    layout = Layout(work.root / "dist")
    layout.blob_path(layout.entries()["child:2-x86_64"].digest).unlink()
    assert built(work, {}) == {"child:2@amd64": "damaged in the layout"}
    assert digests(work) == before
    both = {"bases/catalog.yaml": "registry: localhost\nplatforms: [amd64, arm64]\n"}
    work.write(both)
    work.run("lock")
    work.run("render")
    if machine() == "x86_64":
        assert "linux/arm64 will be emulated on node 'default' (unix://" in work.run("plan").stderr
    found = built(work, {})
    assert found == {
        "base:1@arm64": "platform added",
        "child:2@arm64": "parent rebuilt: base:1",
    }


def test_what_triggers_of_an_upstream_parent_take_is_an_input(
    work: Work, layers: Mapping[str, bytes]
) -> None:
    triggers = ["COPY files/ /files/", "COPY --from=Tool /tool /tool", "COPY <<EOF /text\ntext\nEOF"]
    name = f"dfgen-test/{uuid.uuid4().hex}"
    work.parent = busybox.publish(os.environ["DFGEN_DEMO_REGISTRY"], name, layers, onbuild=triggers)
    files = {
        "bases/catalog.yaml": "platforms: [amd64]\n",
        "bases/base/base.yaml": "template: base.j2\nparent: PARENT\nversions: ['1']\n"
        "tests: [{run: [cat, /files/one, /tool, /text]}]\n",
        "templates/base.j2": "FROM scratch AS tool\nCOPY tool /tool\nFROM {{ parent }}\nLABEL a=b\n",
        "bases/base/files/one": "1\n",
        "bases/base/tool": "2\n",
    }
    assert built(work, files) == {"base:1@amd64": "not built yet"}
    work.write({"bases/base/files/one": "new\n", "bases/base/tool": "new\n"})
    assert reasons(work) == {"base:1@amd64": "context file changed: files/one and tool"}
    # BuildKit would look for `tool` in a registry.
    work.write({"templates/base.j2": "FROM {{ parent }}\nLABEL a=b\n"})
    assert work.run("plan", code=2).stderr == (
        f"templates/base.j2:1: ONBUILD COPY of {work.parent.reference} uses the image 'Tool' without a digest;"
        " use another parent\n"
    )
