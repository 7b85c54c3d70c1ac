"""An engine that follows a script: it builds and tests images without Docker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dfgen.catalog.model import Builder, Image
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.errors import CheckError, DfgenError
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import OCI_MANIFEST, Descriptor
from dfgen.oci.platform import Platform
from tests.fakes.layers import tar


@dataclass
class ScriptedEngine:
    """Builds images in no time: what an image is follows from its request and from `content` by its name.

    `failures` are errors of builds and `test_failures` messages of smoke tests, by image. `tested_on` is the node of each
    test. `configured` are platforms that images claim to be for, by name. Nodes in `dead` do not respond. `stopped` counts calls of `stop`.
    `layers` are those of images below the last one, and `history` is a part of their configurations, by name.
    """

    layout: Layout
    content: dict[str, str] = field(default_factory=dict)
    failures: dict[str, DfgenError] = field(default_factory=dict)
    during: Callable[[str], None] = lambda _: None
    log: list[str] = field(default_factory=list)
    requests: dict[str, BuildRequest] = field(default_factory=dict)
    most: int = 0
    marks: bool = False
    configured: dict[str, Platform] = field(default_factory=dict)
    test_failures: dict[str, str] = field(default_factory=dict)
    tested_on: dict[str, str] = field(default_factory=dict)
    dead: set[Builder] = field(default_factory=set)
    stopped: int = 0
    on_stop: Callable[[], object] = lambda: None
    layers: dict[str, list[bytes]] = field(default_factory=dict)
    history: dict[str, dict[str, Any]] = field(default_factory=dict)

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

    def test(self, image: Image, built: Descriptor, node: Builder) -> None:
        self.tested_on[image.name] = node.name
        if image.name in self.test_failures:
            raise CheckError(self.test_failures[image.name])

    def responds(self, node: Builder) -> bool:
        return node not in self.dead

    def stop(self) -> None:
        self.stopped += 1
        self.on_stop()

    def forget(self) -> None:
        """Forget what was built and tested until now."""
        self.log.clear()
        self.tested_on.clear()

    @property
    def tested(self) -> list[str]:
        """The images whose smoke tests ran, in order."""
        return list(self.tested_on)

    @property
    def built(self) -> list[str]:
        """The images that were begun, in order."""
        return [one[1:] for one in self.log if one.startswith("+")]

    def _image(self, name: str, request: BuildRequest) -> Descriptor:
        contexts = sorted(map(str, request.contexts.values()))
        text = f"{name} {contexts} {self.content.get(name, '')}".encode()
        layers = [*self.layers.get(name, ()), tar({"content": text})]
        configured = self.configured.get(name, request.platform).to_json()
        configuration = json.dumps({**configured, **self.history.get(name, {})}).encode()
        blobs = [Descriptor.of(data, "application/octet-stream") for data in (configuration, *layers)]
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": blobs[0].to_json(),
            "layers": [blob.to_json() for blob in blobs[1:]],
        }
        if self.marks:  # without the hash of the inputs, different inputs can result in the same image
            manifest["annotations"] = dict(request.annotations)
        for data in (configuration, *layers):
            self.layout.add(data)
        raw = json.dumps(manifest).encode()
        self.layout.add(raw)
        return Descriptor.of(raw, OCI_MANIFEST, request.platform)


def name_of(request: BuildRequest) -> str:
    """Return the name of the image that a request builds: `a:1@amd64`."""
    _, name, version, dockerfile = request.dockerfile.parts
    return f"{name}:{version}@{dockerfile.removeprefix('Dockerfile_')}"
