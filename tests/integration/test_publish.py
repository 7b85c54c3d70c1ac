"""Layouts and published images, checked with other tools: crane, skopeo, docker."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.commands.inspect import inspect, open_images
from dfgen.commands.merge import Merging, merge_layout, merge_published
from dfgen.commands.publish import Published, Publishing, plan, publish
from dfgen.commands.publish.ledger import Ledger
from dfgen.commands.verify import Verified, Verifying, verify
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, Descriptor, Index, parse
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference
from dfgen.registry import NoCredentials, Registry, RegistryOptions
from tests.fakes.images import AMD64, ARM64, FakeImage, image
from tests.unit.pairs import PARENT, catalog, pair, pinned

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
NAMES = {AMD64: "java-base:1.0-x86_64", ARM64: "java-base:1.0-aarch64"}
LOCK = pinned()


def layer(name: str, content: bytes) -> tuple[bytes, Digest]:
    """Return a compressed layer with one file, and the digest of its uncompressed tar (diff ID)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        file.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0), Digest.of(packed.getvalue())


def real(platform: Platform, salt: bytes = b"", size: int = 100_000) -> FakeImage:
    """Return an image that any engine can load."""
    noise = random.Random(f"{platform} {salt!r}").randbytes(size)
    layers = [layer("common", b"the same in both"), layer("own", noise)]
    rootfs = {"type": "layers", "diff_ids": [str(digest) for _, digest in layers]}
    pin = LOCK.parents[PARENT].platforms[platform].digest
    return image(
        platform,
        [data for data, _ in layers],
        annotations={BASE_NAME: PARENT, BASE_DIGEST: str(pin)},
        config={"rootfs": rootfs, "config": {"Cmd": ["/own"]}},
    )


def build(layout: Layout, salt: bytes = b"", size: int = 100_000) -> None:
    made = {NAMES[platform]: real(platform, salt, size) for platform in NAMES}
    entries: dict[str, Descriptor | None] = {name: one.put_into(layout) for name, one in made.items()}
    layout.tag(entries)
    assert merge_layout(layout, LOCK, {"java-base:1.0": pair()}).failed is None


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "dist")
    build(layout)
    return layout


@pytest.fixture
def prefix() -> str:
    return f"{os.environ['DFGEN_DEMO_REGISTRY']}/dfgen-test/{uuid.uuid4().hex}"


@pytest.fixture
def client() -> Registry:
    return Registry(RegistryOptions(), None, NoCredentials())


def publish_to(prefix: str, layout: Layout, client: Registry) -> Published:
    options = Publishing(
        catalog=catalog(pair()),
        store=layout,
        registry=client,
        ledger=Ledger(layout.root),
        registries=[prefix],
    )
    published = publish(plan(pair(), options), options)
    assert published.failed is None
    return published


def digests(layout: Layout) -> dict[str, str]:
    """Return the expected digest of every tag."""
    return {name.partition(":")[2]: str(entry.digest) for name, entry in layout.entries().items()}


def run(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


def by_crane(reference: str) -> str:
    return run("crane", "digest", "--insecure", reference).decode().strip()


def by_skopeo(reference: str) -> str:
    raw = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
    return str(Digest.of(raw))


def by_buildx(reference: str) -> str:
    raw = run("docker", "buildx", "imagetools", "inspect", "--raw", reference)
    return str(Digest.of(raw))


TOOLS = {"crane": by_crane, "skopeo": by_skopeo, "docker": by_buildx}


@pytest.fixture(params=TOOLS)
def digest_of(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Return a function that resolves a tag with another tool."""
    need(request.param)
    return TOOLS[request.param]


def need(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed; run apt-get install {tool}")


def test_other_clients_resolve_the_same_digests(
    layout: Layout, prefix: str, client: Registry, digest_of: Callable[[str], str]
) -> None:
    (release,) = publish_to(prefix, layout, client).done
    planned = {tag.reference.tag: str(tag.digest) for tag in release.tags}
    assert planned == digests(layout)
    assert {tag: digest_of(f"{prefix}/java-base:{tag}") for tag in planned} == planned


def test_a_publish_verifies_and_a_second_one_changes_nothing(
    layout: Layout, prefix: str, client: Registry
) -> None:
    publish_to(prefix, layout, client)
    how = Verifying(catalog=catalog(pair()), lock=LOCK, store=layout, registry=client, registries=[prefix])
    assert verify(pair(), how) == Verified(mismatches=())
    (release,) = publish_to(prefix, layout, client).done
    assert not release.changes
    unpinned = replace(how, lock=Lock())
    assert {mismatch.what for mismatch in verify(pair(), unpinned).mismatches} == {"base digest"}


def test_crane_validates_the_published_images(layout: Layout, prefix: str, client: Registry) -> None:
    need("crane")
    publish_to(prefix, layout, client)
    for tag in digests(layout):
        run("crane", "validate", "--insecure", "--remote", f"{prefix}/java-base:{tag}")


def test_skopeo_copies_the_layout_with_the_same_digests(layout: Layout, prefix: str) -> None:
    need("skopeo")
    for tag, digest in digests(layout).items():
        target = f"{prefix}/java-base:{tag}"
        options = ["--all", "--preserve-digests", "--dest-tls-verify=false"]
        run("skopeo", "copy", *options, f"oci:{layout.root}:java-base:{tag}", f"docker://{target}")
        assert by_skopeo(target) == digest


def test_docker_loads_an_archive_of_the_layout(layout: Layout, tmp_path: Path) -> None:
    name = f"docker.io/dfgen-test/{uuid.uuid4().hex}:1.0"
    entry = layout.entries()[NAMES[ARM64]]
    path = tmp_path / "image.tar"
    path.write_bytes(b"".join(layout.archive(entry, name)))
    run("docker", "load", "--input", str(path))
    try:
        (loaded,) = json.loads(run("docker", "image", "inspect", "--platform", "linux/arm64", name))
        assert (loaded["Architecture"], loaded["Config"]["Cmd"]) == ("arm64", ["/own"])
        saved = tmp_path / "saved.tar"
        run("docker", "save", "--output", str(saved), name)
        (opened,) = open_images("saved.tar", lambda: pytest.fail("not a reference"), tmp_path)
        found = inspect(opened.name, opened.document, opened.reader)
        assert [one.digest for one in found.images] == [entry.digest]
        assert found.images[0].platform == ARM64
    finally:
        run("docker", "image", "rm", name)


DOCKERFILE = """\
FROM scratch
COPY file /file
"""


def buildx(context: Path, platform: Platform, export: Path) -> None:
    """Build an image with provenance, as buildx does by default."""
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "file").write_text(str(platform))
    output = f"type=oci,dest={export},tar=false"
    options = ["--platform", str(platform), "--provenance=mode=min", "--output", output]
    run("docker", "buildx", "build", *options, str(context))


def test_exports_of_buildx_are_published_as_plain_images_with_attestations(
    tmp_path: Path, prefix: str, client: Registry, digest_of: Callable[[str], str]
) -> None:
    layout = Layout(tmp_path / "built")
    for platform, name in NAMES.items():
        export = layout.scratch()
        buildx(tmp_path / "context", platform, export)
        entry, *proofs = layout.adopt(export)
        assert not entry.is_attestation
        assert [proof.is_attestation for proof in proofs] == [True]
        layout.tag({name: entry}, proofs)
    layout.collect()
    (merged,) = merge_layout(layout, Lock(), {"java-base:1.0": pair()}).merged
    assert len(merged.index.manifests) == 4
    assert layout.is_intact(merged.index.descriptor, deep=True)
    publish_to(prefix, layout, client)
    assert {tag: digest_of(f"{prefix}/java-base:{tag}") for tag in digests(layout)} == digests(layout)


def test_other_clients_resolve_the_index_of_a_merge_from_another_repository(
    layout: Layout, prefix: str, client: Registry, digest_of: Callable[[str], str]
) -> None:
    publish_to(f"{prefix}/builders", layout, client)
    sources = [Reference.parse(f"{prefix}/builders/{name}") for name in NAMES.values()]
    target = Reference.parse(f"{prefix}/java-base:1.0")
    merged = merge_published(target, sources, Merging(registry=client))
    assert digest_of(str(target)) == str(merged.digest)
    again = merge_published(target, sources, Merging(registry=client))
    assert not again.changed
    index = client.manifest(target)
    assert isinstance(index, Index)
    for child in index.images:
        manifest = client.manifest(target.at(child.digest))
        assert not isinstance(manifest, Index)
        assert all(client.has_blob(target.repository, blob.digest) for blob in manifest.blobs)


PUBLISH = """
import sys, pathlib
from dfgen.oci.layout import Layout
from dfgen.commands.publish.ledger import Ledger
from dfgen.registry import NoCredentials, Registry, RegistryOptions
from dfgen.commands.publish import Publishing, plan, publish
from tests.unit.pairs import catalog, pair
root = pathlib.Path(sys.argv[2])
client = Registry(RegistryOptions(), None, NoCredentials())
how = Publishing(catalog=catalog(pair()), store=Layout(root), registry=client, ledger=Ledger(root),
                 registries=[sys.argv[1]])
releases = plan(pair(), how)
print("planned", flush=True)
failed = publish(releases, how).failed
if failed:
    raise failed
"""


def start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", PUBLISH, *arguments], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"planned\n"
    return process


def test_after_a_kill_at_a_random_moment_the_next_run_completes(
    tmp_path: Path, prefix: str, client: Registry
) -> None:
    layout = Layout(tmp_path / "dist")
    chance = random.Random()
    for number in range(4):
        build(layout, b"%d" % number, size=2_000_000)
        process = start([prefix, str(layout.root)])
        time.sleep(chance.uniform(0, 0.15))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        merged = client.current(Reference.parse(f"{prefix}/java-base:1.0"))
        if merged:  # the old or the new one, but complete
            assert isinstance(parse(merged.raw), Index)
            for child in merged.manifests:  # type: ignore[union-attr]
                reference = Reference.parse(f"{prefix}/java-base").with_tag("").at(child.digest)
                assert client.find(reference)
        process = start([prefix, str(layout.root)])
        process.communicate()
        assert process.returncode == 0
        found = {tag: client.resolve(Reference.parse(f"{prefix}/java-base:{tag}")) for tag in digests(layout)}
        assert {tag: str(one.digest) for tag, one in found.items()} == digests(layout)
