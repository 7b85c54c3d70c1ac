"""A catalog in a folder with everything a build needs, but for the engine: that is scripted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from dfgen.images.building import BuildRequest, OnStep
from dfgen.images.causes import Causes, causes_of
from dfgen.images.plan import Plan
from dfgen.images.run import Event, Run
from dfgen.images.slots import Slots
from dfgen.model.catalog import Builder, Catalog, Family, Image, JinjaOptions, Parent, SmokeTest
from dfgen.model.lock import Lock, LockedParent, Pin
from dfgen.outside.context import ContextReader
from dfgen.outside.layout import Layout
from dfgen.outside.records import Records
from dfgen.stages import plan as planning
from dfgen.stages.build import Building, build
from dfgen.stages.merge import merge_layout
from dfgen.values.digest import Digest
from dfgen.values.errors import CheckError, DfgenError, Place
from dfgen.values.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor
from dfgen.values.platform import Platform
from dfgen.values.reference import Reference

AMD64, ARM64 = Platform.parse("amd64"), Platform.parse("arm64")
BOTH = (AMD64, ARM64)
TODAY, LOCAL = "2026-01-02", Builder()
UPSTREAM = "docker.io/library/busybox:1"


def family(name: str, **more: Any) -> Family:
    """Make a family whose context is its folder."""
    settings: dict[str, Any] = {
        "description": "",
        "context": PurePosixPath("bases", name),
        "snippets": frozenset(),
        "jinja": JinjaOptions(),
        "architecture_independent": False,
        "lint": {},
    }
    return Family(name=name, **{**settings, **more})


def parent(key: str, platform: Platform = AMD64, line: int = 2) -> Parent:
    """Make a parent: a key such as `a:1` is a version of the catalog, a reference is upstream."""
    place = Place("bases/base.yaml", line)
    if "/" in key:
        return Parent(reference=Reference.parse(key), platform=platform, place=place)
    name, _, version = key.partition(":")
    reference = Reference.parse(f"localhost/{key}")
    return Parent(reference=reference, platform=platform, place=place, family=name, version=version)


def image(name: str, platform: Platform = AMD64, parents: Sequence[str] = (UPSTREAM,), **more: Any) -> Image:
    """Make an image of version 1, or of `name:version`."""
    stem, _, version = name.partition(":")
    settings: dict[str, Any] = {
        "template": "t.j2",
        "parent": parent(parents[0], platform),
        "parents": {f"stage{at}": parent(key, platform) for at, key in enumerate(parents[1:])},
        "variables": {},
        "packages": (),
        "labels": {},
        "tests": (),
        "immutable": False,
        "end_of_life": "",
        "place": Place(f"bases/{stem}/base.yaml", 1),
        "layers": (),
    }
    merged = {**settings, **more}
    return Image(
        family=merged.pop("family", family(stem)), version=version or "1", platform=platform, **merged
    )


def images(graph: Mapping[str, Sequence[str]], platforms: Iterable[Platform] = BOTH) -> tuple[Image, ...]:
    """Make version 1 of families by name, each with the families it is built on; none is upstream."""
    return tuple(
        image(name, platform, [f"{one}:1" for one in parents] or [UPSTREAM])
        for name, parents in graph.items()
        for platform in platforms
    )


def catalog(root: Path, found: Sequence[Image], **more: Any) -> Catalog:
    """Make a catalog of images."""
    settings: dict[str, Any] = {
        "registry": "localhost",
        "mirrors": {},
        "builders": {},
        "source_date_epoch": 0,
        "provenance": False,
        "insecure_registries": frozenset(),
        "ca_file": None,
        "families": {one.family.name: one.family for one in found},
    }
    return Catalog(root=root, images=tuple(found), **{**settings, **more})


def upstream_lock() -> Lock:
    """Pin the upstream parent for both platforms."""
    pins = {platform: Pin(Digest.of(str(platform).encode()), 7) for platform in BOTH}
    locked = LockedParent(
        digest=Digest.of(b"index"), media_type=OCI_INDEX, first_seen="2026-01-01", platforms=pins
    )
    return Lock({UPSTREAM: locked})


@dataclass
class ScriptedBuilder:
    """Builds images in no time: what an image is follows from its request and from `content` by its name."""

    layout: Layout
    content: dict[str, str] = field(default_factory=dict)
    failures: dict[str, DfgenError] = field(default_factory=dict)
    during: Callable[[str], None] = lambda _: None
    log: list[str] = field(default_factory=list)
    requests: dict[str, BuildRequest] = field(default_factory=dict)
    most: int = 0
    marks: bool = False

    def __post_init__(self) -> None:
        self._guard = threading.Lock()
        self._now = 0

    def build(self, request: BuildRequest, on_step: OnStep) -> tuple[Descriptor, ...]:
        name = name_of(request)
        with self._guard:
            self.log.append(f"+{name}")
            self.requests[name] = request
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            on_step("[1/1] FROM")
            self.during(name)
            if name in self.failures:
                raise self.failures[name]
            return (self._image(name, request),)
        finally:
            with self._guard:
                self.log.append(f"-{name}")
                self._now -= 1

    @property
    def built(self) -> list[str]:
        """The images that were begun, in order."""
        return [one[1:] for one in self.log if one.startswith("+")]

    def _image(self, name: str, request: BuildRequest) -> Descriptor:
        contexts = sorted(map(str, request.contexts.values()))
        layer = f"{name} {contexts} {self.content.get(name, '')}".encode()
        configuration = json.dumps(request.platform.to_json()).encode()
        blobs = [Descriptor.of(data, "application/octet-stream") for data in (configuration, layer)]
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": blobs[0].to_json(),
            "layers": [blobs[1].to_json()],
        }
        if self.marks:  # else the inputs' hash is left out, so that other inputs can give the same image
            manifest["annotations"] = dict(request.annotations)
        for data in (configuration, layer):
            self.layout.add(data)
        raw = json.dumps(manifest).encode()
        self.layout.add(raw)
        return Descriptor.of(raw, OCI_MANIFEST, request.platform)


def name_of(request: BuildRequest) -> str:
    """Which image a request is for: `a:1@amd64`."""
    _, name, version, dockerfile = request.dockerfile.parts
    return f"{name}:{version}@{dockerfile.removeprefix('Dockerfile_')}"


@dataclass
class World:
    """A catalog on disk, its layout, and a builder that is scripted."""

    root: Path
    catalog: Catalog
    lock: Lock = field(default_factory=upstream_lock)
    smoke_failures: dict[str, str] = field(default_factory=dict)
    smoked: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    stopped: int = 0
    smoked_on: dict[str, str] = field(default_factory=dict)
    dead: set[Builder] = field(default_factory=set)
    pauses: list[float] = field(default_factory=list)
    templates: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layout = Layout(self.root / "dist")
        self.records = Records(self.root / "dist")
        self.builder = ScriptedBuilder(self.layout)
        self.render()

    @classmethod
    def of(
        cls, root: Path, graph: Mapping[str, Sequence[str]], platforms: Iterable[Platform] = BOTH
    ) -> World:
        """Make the world of some families; see `images`."""
        return cls(root, catalog(root, images(graph, platforms)))

    def render(self) -> None:
        """Write every Dockerfile whose parents are pinned."""
        for one in self.catalog.images:
            if all(self.lock.pin(each) for each in one.all_parents):
                self.rerender(one, self.lock)

    def rerender(self, one: Image, lock: Lock) -> str | None:
        """Write a Dockerfile that names the pins of its parents."""
        pins = [lock.pin(each) for each in one.all_parents]
        text = "".join(f"FROM x@{pin.digest}\n" for pin in pins if pin)
        path = self.root / one.dockerfile
        if path.exists() and path.read_text() == text:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(one.dockerfile)

    def save(self, lock: Lock) -> None:
        """Keep the lock."""
        self.lock = lock

    @property
    def planning(self) -> planning.Planning:
        """What plans are made from, with nothing remembered of earlier ones."""
        reader = ContextReader(self.root)
        return planning.Planning(
            catalog=self.catalog,
            images=self.layout,
            reader=reader,
            records=self.records,
            causes=self.causes,
        )

    def causes(self, one: Image, lock: Lock) -> Causes:
        """Say what an image's Dockerfile comes from: nothing is known of a template that is not there."""
        return causes_of(one, lock, self.templates) if self.templates else {}

    def named(self, *names: str) -> tuple[Image, ...]:
        """Find images by name; all without any."""
        return tuple(one for one in self.catalog.images if not names or one.name in names)

    def plan(self, *names: str) -> Plan:
        """Plan images by name, or all."""
        return planning.plan(self.named(*names), self.lock, self.planning)

    def reasons(self, *names: str) -> dict[str, str]:
        """Plan, and give each image's reason."""
        return {step.image.name: step.why for step in self.plan(*names).steps}

    def build(self, *names: str, jobs: int = 2, slots: Slots | None = None, **more: Any) -> Run:
        """Plan and build images by name, or all; returns what became of them."""
        how = Building(
            catalog=self.catalog,
            store=self.layout,
            builder=self.builder,
            slots=slots or Slots(dict.fromkeys(BOTH, (LOCAL,)), {LOCAL: jobs}),
            answers=lambda node: node not in self.dead,
            published=lambda _step, _on_step: (),
            causes=self.causes,
            smoke=self._smoke,
            judge=lambda one, lock: planning.judge(one, lock, self.planning),
            merge=self._merge,
            sources=self,
            records=self.records,
            report=self.events.append,
            pause=self.pauses.append,
            stop=self._stop,
            today=TODAY,
        )
        self.builder.log.clear()
        self.smoked.clear()
        return build(self.plan(*names), self.lock, replace(how, **more))

    def change(self, name: str, **more: Any) -> None:
        """Change some settings of an image."""
        found = [replace(one, **more) if one.name == name else one for one in self.catalog.images]
        self.catalog = replace(self.catalog, images=tuple(found))

    def _smoke(self, one: Image, built: Descriptor, node: Builder) -> None:
        self.smoked.append(one.name)
        self.smoked_on[one.name] = node.name
        if one.name in self.smoke_failures:
            raise CheckError(self.smoke_failures[one.name])

    def _merge(self, found: Sequence[Image], lock: Lock) -> Descriptor:
        versions = merge_layout(self.layout, lock, {found[0].merged_name: found})
        if versions.failed:
            raise versions.failed
        return versions.merged[0].index.descriptor

    def _stop(self) -> None:
        self.stopped += 1


def states(run: Run) -> dict[str, str]:
    """What became of each image."""
    return {result.image.name: str(result.state) for result in run.results}


def a_test(**more: Any) -> SmokeTest:
    """Make a smoke test."""
    return SmokeTest(**{"name": "works", "command": ("true",), **more})
