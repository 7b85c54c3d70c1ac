"""Verify: a correct publish has no mismatches, and every kind of damage is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.commands.merge import merge_layout
from dfgen.commands.publish import Publishing, plan, publish
from dfgen.commands.publish.ledger import Ledger
from dfgen.commands.verify import Mismatch, Verified, Verifying, verify
from dfgen.errors import ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, OCI_INDEX, Descriptor
from dfgen.oci.platform import Platform
from dfgen.registry import NoCredentials, Registry, RegistryOptions
from tests.fakes.clock import FakeClock
from tests.fakes.images import AMD64, ARM64, FakeImage, attestation, image, index_of
from tests.fakes.registry import FakeRegistry, Fault
from tests.unit.pairs import PARENT, catalog, pair, pinned

NAME = "team/java-base"
IMAGES = pair()
LOCK = pinned()
Check = Callable[[], list[str]]


def made(platform: Platform, base: str = "", **options: Any) -> FakeImage:
    pin = LOCK.parents[PARENT].platforms[platform].digest
    annotations = {BASE_NAME: PARENT, BASE_DIGEST: base or str(pin)}
    return image(platform, [str(platform).encode(), b"common"], **{"annotations": annotations, **options})


AMD, ARM = made(AMD64), made(ARM64)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "dist")


@pytest.fixture
def how(fake: FakeRegistry, layout: Layout, clock: FakeClock) -> Verifying:
    return Verifying(
        catalog=catalog(IMAGES),
        lock=LOCK,
        store=layout,
        registry=Registry(RegistryOptions(), None, NoCredentials(), clock.clock),
        registries=[f"{fake.address}/team"],
    )


def put(layout: Layout, *images: FakeImage) -> None:
    names = {AMD64: "java-base:1.0-x86_64", ARM64: "java-base:1.0-aarch64"}
    entries: dict[str, Descriptor | None] = {
        names[one.platform]: one.put_into(layout) for one in images if one.platform
    }
    layout.tag(entries)
    assert merge_layout(layout, LOCK, {"java-base:1.0": IMAGES}).failed is None


@pytest.fixture
def published(fake: FakeRegistry, layout: Layout, how: Verifying) -> None:
    put(layout, AMD, ARM)
    publish_all(layout, how)
    fake.forget()


def publish_all(layout: Layout, how: Verifying) -> None:
    options = Publishing(
        catalog=how.catalog,
        store=layout,
        registry=how.registry,  # type: ignore[arg-type]
        ledger=Ledger(layout.root),
        registries=how.registries,
        force=True,
    )
    assert publish(plan(IMAGES, options), options).failed is None


def complete(verified: Verified) -> tuple[Mismatch, ...]:
    """Return the mismatches. Raises the error of checks that got no answer."""
    if verified.failed:
        raise verified.failed
    return verified.mismatches


@pytest.fixture
def check(fake: FakeRegistry, how: Verifying) -> Check:
    """Return a function that verifies and returns the mismatches as text, without the repository."""
    return lambda: [
        str(mismatch).replace(f"{fake.address}/{NAME}", "…").replace("\n", " ")
        for mismatch in complete(verify(IMAGES, how))
    ]


def move_merged_tag(fake: FakeRegistry, *images: FakeImage) -> Digest:
    """Replace the merged tag with an index of these images."""
    raw = index_of([fake.add_image(NAME, one) for one in images])
    return fake.add_manifest(NAME, raw, OCI_INDEX, "1.0").digest


@pytest.mark.usefixtures("published")
def test_a_publish_has_no_mismatches(fake: FakeRegistry, check: Check) -> None:
    assert check() == []
    # One GET for the index; per image one HEAD for its tag, one GET for its manifest and one for its
    # configuration, and one HEAD for the configuration and each of its two layers.
    assert fake.count() == 1 + 2 * (1 + 1 + 1 + 3)
    assert fake.count("PUT") + fake.count("POST") == 0


@pytest.mark.usefixtures("published")
def test_an_empty_layout_is_not_compared(how: Verifying, layout: Layout, check: Check) -> None:
    layout.tag(dict.fromkeys(layout.entries()))
    assert check() == []


def test_a_version_that_is_not_published(check: Check) -> None:
    assert check() == [
        "…:1.0: index: expected linux/amd64 and linux/arm64, found not published",
        "…:1.0-x86_64: image: expected linux/amd64, found not published",
        "…:1.0-aarch64: image: expected linux/arm64, found not published",
    ]


@pytest.mark.usefixtures("published")
def test_a_merged_tag_that_is_a_single_image(fake: FakeRegistry, check: Check) -> None:
    fake.tags[NAME]["1.0"] = str(AMD.descriptor.digest)
    assert check() == ["…:1.0: index: expected linux/amd64 and linux/arm64, found a single image"]


@pytest.mark.usefixtures("published")
def test_missing_and_additional_platforms(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    layout.tag({"java-base:1.0": None})
    move_merged_tag(fake, AMD)
    expected = "…:1.0: platforms: expected linux/amd64 and linux/arm64, found "
    assert check() == [f"{expected}linux/amd64"]
    move_merged_tag(fake, AMD, ARM, image(Platform.parse("s390x"), [b"s390x"]))
    assert check() == [f"{expected}linux/amd64, linux/arm64 and linux/s390x"]
    move_merged_tag(fake, AMD, ARM, ARM)
    assert check() == [f"{expected}linux/amd64, linux/arm64 and linux/arm64"]


@pytest.mark.usefixtures("published")
def test_an_architectures_tag_that_moved(fake: FakeRegistry, check: Check) -> None:
    other = made(ARM64, config={"created": "2026-01-01T00:00:00Z"})
    fake.add_image(NAME, other, "1.0-aarch64")
    moved, ours = other.descriptor.digest, ARM.descriptor.digest
    assert check() == [
        f"…:1.0-aarch64: digest: expected {ours} (index :1.0), found {moved}",
        f"…:1.0-aarch64: digest: expected {ours} (layout), found {moved}",
    ]


@pytest.mark.usefixtures("published")
def test_a_newer_build_in_the_layout(layout: Layout, fake: FakeRegistry, check: Check) -> None:
    newer = made(ARM64, config={"created": "2026-01-01T00:00:00Z"})
    put(layout, newer)
    merged = layout.entries()["java-base:1.0"].digest
    tags = fake.tags[NAME]
    assert check() == [
        f"…:1.0: digest: expected {merged} (layout), found {tags['1.0']}",
        f"…:1.0-aarch64: digest: expected {newer.descriptor.digest} (layout), found {tags['1.0-aarch64']}",
    ]


@pytest.mark.usefixtures("published")
def test_missing_layers_configurations_and_manifests(fake: FakeRegistry, check: Check) -> None:
    layer, config = AMD.manifest.layers[0].digest, ARM.manifest.config.digest
    del fake.blobs[NAME][str(layer)], fake.blobs[NAME][str(config)]
    assert check() == [
        f"…@{AMD.descriptor.digest}: layer: expected {layer}, found missing",
        f"…@{ARM.descriptor.digest}: configuration: expected {config}, found missing",
    ]
    del fake.manifests[NAME][str(ARM.descriptor.digest)]
    assert check()[1:] == [
        "…:1.0-aarch64: image: expected linux/arm64, found not published",
        f"…@{ARM.descriptor.digest}: manifest: expected an image for linux/arm64, found missing",
    ]


def put_and_check(fake: FakeRegistry, layout: Layout, arm: FakeImage, check: Check) -> list[str]:
    """Publish an image as another tool would, without dfgen's checks, and return the mismatches."""
    layout.tag(dict.fromkeys(layout.entries()))
    move_merged_tag(fake, AMD, arm)
    fake.add_image(NAME, AMD, "1.0-x86_64")
    fake.add_image(NAME, arm, "1.0-aarch64")
    return [text.replace(f"…@{arm.descriptor.digest}: ", "") for text in check()]


def test_a_configuration_of_another_platform(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    found = put_and_check(fake, layout, made(ARM64, config_platform=AMD64), check)
    assert found == ["platform: expected linux/arm64, found linux/amd64"]


def test_a_base_that_differs_from_the_lock(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    pin = LOCK.parents[PARENT].platforms[ARM64].digest
    other = Digest.of(b"another base")
    found = put_and_check(fake, layout, made(ARM64, base=str(other)), check)
    assert found == [f"base digest (annotation): expected {pin}, found {other}"]
    found = put_and_check(fake, layout, made(ARM64, annotations={}), check)
    assert found == [
        f"base name: expected {PARENT}, found missing",
        f"base digest: expected {pin}, found missing",
    ]


def test_the_base_may_be_in_labels(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    pin = LOCK.parents[PARENT].platforms[ARM64].digest
    labels = {BASE_NAME: PARENT, BASE_DIGEST: str(pin)}
    labelled = made(ARM64, annotations={}, config={"config": {"Labels": labels}})
    assert put_and_check(fake, layout, labelled, check) == []
    wrong = {"config": {"Labels": {**labels, BASE_NAME: "docker.io/library/alpine:3"}}}
    assert put_and_check(fake, layout, made(ARM64, annotations={}, config=wrong), check) == [
        f"base name (label): expected {PARENT}, found docker.io/library/alpine:3"
    ]
    assert put_and_check(fake, layout, made(ARM64, config=wrong), check) == [
        f"base name (label): expected {PARENT}, found docker.io/library/alpine:3"
    ]


@pytest.mark.usefixtures("published")
def test_a_parent_without_a_pin(fake: FakeRegistry, how: Verifying) -> None:
    unpinned = Verifying(
        catalog=how.catalog, lock=Lock(), store=how.store, registry=how.registry, registries=how.registries
    )
    texts = [one.expected for one in verify(IMAGES, unpinned).mismatches if one.what == "base digest"]
    assert texts == [f"a pin of {PARENT} for {platform} in bases/lock.json" for platform in (AMD64, ARM64)]


def test_an_index_base_that_differs_from_the_lock(
    fake: FakeRegistry, layout: Layout, how: Verifying, check: Check
) -> None:
    put(layout, AMD, ARM)
    publish_all(layout, how)
    moved = pinned()
    newer = Digest.of(b"newer index")
    locked = moved.parents[PARENT]
    entry = type(locked)(
        digest=newer,
        media_type=locked.media_type,
        first_seen=locked.first_seen,
        platforms=locked.platforms,
    )
    options = Verifying(
        catalog=how.catalog,
        lock=moved.with_parents({PARENT: entry}),
        store=layout,
        registry=how.registry,
        registries=how.registries,
    )
    assert verify(IMAGES, options).mismatches == (
        Mismatch(
            reference=f"{fake.address}/{NAME}:1.0",
            what="base digest",
            expected=f"{newer} (lock)",
            found=str(locked.digest),
        ),
    )


def test_missing_attestations(fake: FakeRegistry, layout: Layout, how: Verifying, check: Check) -> None:
    proof_entry, proof = attestation(ARM)
    proof.put_into(layout)
    layout.tag({"java-base:1.0-aarch64": ARM.put_into(layout)}, [proof_entry])
    put(layout, AMD, ARM)
    publish_all(layout, how)
    assert check() == []
    del fake.manifests[NAME][str(proof_entry.digest)]
    assert check() == [f"…@{proof_entry.digest}: attestation: expected a manifest, found missing"]


def test_a_configuration_without_a_platform(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    found = put_and_check(fake, layout, made(ARM64, config={"os": ""}), check)
    assert found == ["configuration: expected an image configuration, found invalid JSON or no platform"]


def test_an_architectures_tag_that_is_an_index(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    nested = index_of([ARM.descriptor])
    raw = index_of([AMD.descriptor, Descriptor.of(nested, OCI_INDEX, ARM64)])
    for one in (AMD, ARM):
        fake.add_image(NAME, one, "1.0-x86_64")
    fake.add_manifest(NAME, nested, OCI_INDEX, "1.0-aarch64")
    fake.add_image(NAME, AMD, "1.0-x86_64")
    fake.add_manifest(NAME, raw, OCI_INDEX, "1.0")
    assert check() == [f"…@{Digest.of(nested)}: manifest: expected an image for linux/arm64, found an index"]


@pytest.mark.usefixtures("published")
def test_errors_of_the_registry_are_raised(fake: FakeRegistry, check: Check) -> None:
    fake.script("GET", "manifests/1.0$", Fault(status=403), times=None)
    with pytest.raises(ExternalError, match="forbidden to pull"):
        check()


ANSWERS = {
    "empty": Fault(body=b"", headers={"Docker-Content-Digest": None}),
    "html": Fault(body=b"<html>", headers={"Content-Type": "text/html", "Docker-Content-Digest": None}),
    "204": Fault(status=204, headers={"Content-Length": None}),
    "400": Fault(status=400),
    "520": Fault(status=520),
}


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("what", ["manifests/1.0$", "manifests/1.0-aarch64", "manifests/sha256", "blobs/"])
def test_no_answer_is_not_missing(fake: FakeRegistry, how: Verifying, what: str, answer: str) -> None:
    if answer == "empty" and what == "blobs/":
        fake.script("GET", what, ANSWERS[answer], times=None)  # a HEAD never has a body
    else:
        fake.script("", what, ANSWERS[answer], times=None)
    verified = verify(IMAGES, how)
    assert verified.mismatches == ()
    assert isinstance(verified.failed, ExternalError)


@pytest.mark.usefixtures("published")
def test_mismatches_are_found_although_a_check_got_no_answer(fake: FakeRegistry, how: Verifying) -> None:
    layer, config = AMD.manifest.layers[0].digest, ARM.manifest.config.digest
    del fake.blobs[NAME][str(layer)]
    fake.script("", f"blobs/{config}", Fault(status=403), times=None)
    verified = verify(IMAGES, how)
    assert [(one.what, one.found) for one in verified.mismatches] == [("layer", "missing")]
    assert verified.failed
    assert "forbidden to check for the blob" in str(verified.failed)
