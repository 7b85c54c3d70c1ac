"""Compare two indexes or images."""

from __future__ import annotations

from pathlib import Path

from dfgen.commands.inspect import Difference, compare
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, OCI_INDEX
from tests.fakes.images import AMD64, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.inspect.images import AMD, ARM, NAME, RUN, inspect_all, layout_at, put


def differences(found: tuple[Difference, ...]) -> list[tuple[str, str, str, str]]:
    return [(str(one.platform or ""), one.what, one.left, one.right) for one in found]


def test_equal_digests_have_no_differences(fake: FakeRegistry, tmp_path: Path) -> None:
    layout_at(tmp_path)
    assert compare(inspect_all(put(fake))[0], inspect_all("dist:java-base:1.0", tmp_path)[0]) == ()


def test_all_kinds_of_differences(fake: FakeRegistry) -> None:
    (left,) = inspect_all(put(fake))
    run = {**RUN, "Env": ["PATH=/usr/bin", "TZ=UTC"], "User": "root", "Labels": {"a": "c"}}
    newer = image(AMD64, [b"common", b"new", b"more"], config={"created": "now", "config": run})
    raw = index_of([fake.add_image(NAME, newer)])
    fake.add_manifest(NAME, raw, OCI_INDEX, "2")
    (right,) = inspect_all(f"{fake.address}/{NAME}:2")
    amd = "linux/amd64"
    old_size, new_size = (sum(map(len, one.blobs.values())) for one in (AMD, newer))
    assert differences(compare(left, right)) == [
        ("", "digest", str(left.digest), str(right.digest)),
        (amd, "digest", str(AMD.descriptor.digest), str(newer.descriptor.digest)),
        (amd, "size", str(old_size), str(new_size)),
        (amd, "created", "2026-01-01T00:00:00Z", "now"),
        (amd, "user", "10001", "root"),
        (amd, "layer 2", str(Digest.of(b"amd64")), str(Digest.of(b"new"))),
        (amd, "layer 3", "", str(Digest.of(b"more"))),
        (amd, f"annotation {BASE_DIGEST}", "sha256:base", ""),
        (amd, "env LANG", "C.UTF-8", ""),
        (amd, "env PATH", "/bin", "/usr/bin"),
        (amd, "env TZ", "", "UTC"),
        (amd, "label a", "b", "c"),
        (amd, f"label {BASE_NAME}", "docker.io/library/debian:12", ""),
        ("linux/arm64", "image", str(ARM.descriptor.digest), ""),
    ]
