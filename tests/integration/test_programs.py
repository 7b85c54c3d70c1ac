"""Programs for another architecture on a real engine: what BuildKit adds to a parent is checked, and only that."""

from __future__ import annotations

import io
import os
import tarfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dfgen.commands.programs import added_layers
from dfgen.dockerfile.parser import parse
from dfgen.dockerfile.stages import stages
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Manifest
from tests.integration import busybox
from tests.integration.conftest import Work, copied, digests, states
from tests.unit.models import AMD64
from tests.unit.models import image as an_image

pytestmark = pytest.mark.integration

WRONG = (
    "base:1.0@arm64: /opt/busybox is for x86_64, the image for linux/arm64; use the right file for each platform, or"
    " list the path with a reason under `foreign_programs` in bases/base/base.yaml"
)
BASE = "template: base.j2\nparent: PARENT\nversions: ['1.0']\n"
CATALOG = {
    "bases/catalog.yaml": "registry: localhost\n",
    "templates/base.j2": "FROM {{ parent }}\nCOPY --chmod=755 files/busybox /opt/busybox\nUSER 1000\n",
    "bases/base/base.yaml": BASE,
}


def program(layer: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        file = tar.extractfile("bin/busybox")
        assert file
        return file.read()


def put_program(work: Work, content: bytes) -> None:
    path = work.root / "bases" / "base" / "files" / "busybox"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_one_program_for_both_architectures_fails_one_image(work: Work, layers: Mapping[str, bytes]) -> None:
    put_program(work, program(layers["amd64"]))
    work.prepare(CATALOG)
    done = work.run("build", code=1)
    assert states(work) == {"base:1.0@amd64": "built", "base:1.0@arm64": "failed"}
    assert f"{WRONG}; log:" in done.stderr
    assert list(digests(work)) == ["base:1.0-x86_64"]
    # Another machine that allowed the program built the same image, since the inputs are the same.
    other = copied(work, "other")
    other.write({"bases/base/base.yaml": f"{BASE}foreign_programs: {{/opt/busybox: for the test}}\n"})
    other.run("build")
    assert set(states(other).values()) == {"built"}
    done = work.run("join", str(other.root / "dist"), code=1)
    assert done.stderr.splitlines() == [WRONG]
    assert list(digests(work)) == ["base:1.0-x86_64"]


def test_the_right_program_for_each_architecture_is_built(work: Work, layers: Mapping[str, bytes]) -> None:
    for arch in ("amd64", "arm64"):
        put_program(work, program(layers[arch]))
        path = work.root / "bases" / "base" / "files" / "busybox"
        path.rename(path.with_name(arch))
    template = "FROM {{ parent }}\nCOPY --chmod=755 files/{{ arch }} /opt/busybox\nUSER 1000\n"
    work.prepare({**CATALOG, "templates/base.j2": template})
    work.run("build")
    assert set(states(work).values()) == {"built"}


def test_programs_of_an_upstream_parent_do_not_count(tmp_path: Path, layers: Mapping[str, bytes]) -> None:
    foreign = {
        arch: with_file(layer, "opt/other", program(layers["arm64"])) for arch, layer in layers.items()
    }
    parent = busybox.publish(os.environ["DFGEN_DEMO_REGISTRY"], f"dfgen-test/{uuid.uuid4().hex}", foreign)
    work = Work(tmp_path / "work", parent)
    work.prepare(
        {
            **CATALOG,
            "templates/base.j2": EVERYTHING,
            "templates/child.j2": "FROM {{ parent }}\nCOPY files/child /child\n",
            "bases/child/base.yaml": "template: child.j2\nparent: base:1.0\nversions: ['2']\n",
            "bases/base/files/busybox": "no program\n",
            "bases/child/files/child": "no program\n",
        }
    )
    work.run("build")
    assert set(states(work).values()) == {"built"}
    # The history and the parent's manifest agree on the layers that the build of the child added.
    by_manifest = added(work, "child:2", "bases/child/2/Dockerfile_amd64")
    base = Layout(work.root / "dist").entries()["base:1.0-x86_64"]
    Layout(work.root / "dist").blob_path(base.digest).unlink()
    assert added(work, "child:2", "bases/child/2/Dockerfile_amd64") == by_manifest
    assert len(by_manifest) == 1


def with_file(layer: bytes, path: str, content: bytes) -> bytes:
    packed = io.BytesIO(layer)
    with tarfile.open(fileobj=packed, mode="a") as tar:
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def added(work: Work, name: str, dockerfile: str) -> Sequence[Digest]:
    layout = Layout(work.root / "dist")
    manifest = layout.manifest(layout.entries()[f"{name}-x86_64"])
    assert isinstance(manifest, Manifest)
    kept = tuple(reversed([*stages(parse((work.root / dockerfile).read_text())).in_image]))
    image = an_image(name, AMD64)
    return [layer.digest for layer in added_layers(image, manifest, kept, layout)]


# Every instruction, in a stage that the last one is built on, with and without layers.
EVERYTHING = """\
ARG GLOBAL=1
FROM {{ parent }} AS first
ARG A=1 B=2
ENV C=3 D=4
LABEL e=5 f=6
MAINTAINER somebody
COPY files/busybox files/busybox /a/
COPY <<ONE <<TWO /b/
1
ONE
2
TWO
ADD --link files/ /c/
RUN true
RUN <<SCRIPT
echo 1 > /d
SCRIPT
RUN ["/bin/sh", "-c", "echo 2 > /e"]
SHELL ["/bin/sh", "-e", "-c"]
RUN --mount=type=cache,target=/cache echo 3 > /f
WORKDIR /srv/it
WORKDIR /
VOLUME /data /more
EXPOSE 80 443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s CMD true
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "true"]
ONBUILD RUN echo 4 > /g
FROM first
RUN true
USER 0
"""
