"""Layers are mounted from the repositories of parents and of published versions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dfgen.commands.publish import plan, publish
from dfgen.errors import CheckError
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import OCI_INDEX, Descriptor
from tests.fakes.images import index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.pairs import family, pair
from tests.unit.publish.conftest import Build, How, built, put

BASE = pair()
APP = tuple(
    replace(image, parent=replace(image.parent, family="java-base", version="1.0"))
    for image in pair(family("java-app"))
)


def mounted_from(fake: FakeRegistry) -> set[str]:
    return {seen.call.value("from") for seen in fake.seen if seen.status == 201 and seen.call.value("mount")}


def test_layers_are_mounted_from_the_parent_family(fake: FakeRegistry, build: Build, how: How) -> None:
    build(BASE)
    publish(plan(BASE, how(BASE)), how(BASE))
    build(APP)
    fake.forget()
    options = how([*BASE, *APP])
    publish(plan(APP, options), options)
    assert mounted_from(fake) == {"team/java-base"}


def test_layers_are_mounted_from_an_unchanged_version(fake: FakeRegistry, build: Build, how: How) -> None:
    sibling = pair(family("java-tools"))
    build(BASE)
    publish(plan(BASE, how(BASE)), how(BASE))
    build(sibling)
    fake.forget()
    both = [*BASE, *sibling]
    publish(plan(both, how(both)), how(both))
    assert mounted_from(fake) == {"team/java-base"}


def test_a_nested_index_is_refused(fake: FakeRegistry, build: Build, how: How, layout: Layout) -> None:
    build(BASE)
    made = built(BASE)
    inner = index_of([made["java-base:1.0-aarch64"].descriptor])
    layout.add(inner)
    nested = Descriptor.of(inner, OCI_INDEX, BASE[1].platform)
    outer = index_of([made["java-base:1.0-x86_64"].descriptor, nested])
    layout.add(outer)
    put(layout, made)
    layout.tag({"java-base:1.0": Descriptor.of(outer, OCI_INDEX), "java-base:1.0-aarch64": nested})
    with pytest.raises(CheckError) as caught:
        plan(BASE, how(BASE))
    assert str(caught.value) == (
        "java-base:1.0: not published: java-base:1.0-aarch64 is another image in the layout: it is an index, expected an image;"
        " run `dfgen build java-base:1.0`"
    )
    assert fake.count() == 0
