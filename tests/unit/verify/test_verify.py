"""Verifying: a publish that holds has no findings, and every way in which one can be wrong has its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.commands.merge import merge_layout
from dfgen.commands.publish import Publishing, plan, publish
from dfgen.commands.publish.ledger import Ledger
from dfgen.commands.verify import Finding, Verifying, verify
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
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "dist")


@pytest.fixture
def how(fake: FakeRegistry, layout: Layout) -> Verifying:
    clock = FakeClock().clock
    return Verifying(
        catalog=catalog(IMAGES),
        lock=LOCK,
        store=layout,
        registry=Registry(RegistryOptions(), None, NoCredentials(), clock),
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


@pytest.fixture
def check(fake: FakeRegistry, how: Verifying) -> Check:
    """Verify, and give the findings as text with the repository left out."""
    return lambda: [
        str(finding).replace(f"{fake.address}/{NAME}", "…").replace("\n", " ")
        for finding in verify(IMAGES, how)
    ]


def bind(fake: FakeRegistry, *images: FakeImage) -> Digest:
    """Let somebody else's index be under the merged tag."""
    raw = index_of([fake.add_image(NAME, one) for one in images])
    return fake.add_manifest(NAME, raw, OCI_INDEX, "1.0").digest


@pytest.mark.usefixtures("published")
def test_what_was_just_published_holds(fake: FakeRegistry, check: Check) -> None:
    assert check() == []
    # One GET for the index; for each image a HEAD of its tag, a GET of its manifest and configuration, and a
    # HEAD for its configuration and each of its two layers.
    assert fake.count() == 1 + 2 * (1 + 1 + 1 + 3)
    assert fake.count("PUT") + fake.count("POST") == 0


@pytest.mark.usefixtures("published")
def test_without_a_layout_the_catalog_and_the_lock_suffice(
    how: Verifying, layout: Layout, check: Check
) -> None:
    layout.tag(dict.fromkeys(layout.entries()))
    assert check() == []


def test_nothing_published_is_a_finding_for_each_tag(check: Check) -> None:
    assert check() == [
        "…:1.0: index: expected one of linux/amd64 and linux/arm64, found nothing",
        "…:1.0-x86_64: image: expected one for linux/amd64, found nothing",
        "…:1.0-aarch64: image: expected one for linux/arm64, found nothing",
    ]


@pytest.mark.usefixtures("published")
def test_a_merged_tag_that_is_a_single_image(fake: FakeRegistry, check: Check) -> None:
    fake.tags[NAME]["1.0"] = str(AMD.descriptor.digest)
    assert check() == ["…:1.0: index: expected one of linux/amd64 and linux/arm64, found a single image"]


@pytest.mark.usefixtures("published")
def test_a_platform_too_few_or_too_many(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    layout.tag({"java-base:1.0": None})
    bind(fake, AMD)
    expected = "…:1.0: platforms: expected linux/amd64 and linux/arm64, found "
    assert check() == [f"{expected}linux/amd64"]
    bind(fake, AMD, ARM, image(Platform.parse("s390x"), [b"s390x"]))
    assert check() == [f"{expected}linux/amd64, linux/arm64 and linux/s390x"]
    bind(fake, AMD, ARM, ARM)
    assert check() == [f"{expected}linux/amd64, linux/arm64 and linux/arm64"]


@pytest.mark.usefixtures("published")
def test_a_tag_that_moved_alone(fake: FakeRegistry, check: Check) -> None:
    other = made(ARM64, config={"created": "2026-01-01T00:00:00Z"})
    fake.add_image(NAME, other, "1.0-aarch64")
    moved, ours = other.descriptor.digest, ARM.descriptor.digest
    assert check() == [
        f"…:1.0-aarch64: digest: expected {ours} as :1.0 has it, found {moved}",
        f"…:1.0-aarch64: digest: expected {ours} as the layout has it, found {moved}",
    ]


@pytest.mark.usefixtures("published")
def test_what_the_layout_has_is_newer(layout: Layout, fake: FakeRegistry, check: Check) -> None:
    newer = made(ARM64, config={"created": "2026-01-01T00:00:00Z"})
    put(layout, newer)
    merged = layout.entries()["java-base:1.0"].digest
    tags = fake.tags[NAME]
    assert check() == [
        f"…:1.0: digest: expected {merged} as the layout has it, found {tags['1.0']}",
        f"…:1.0-aarch64: digest: expected {newer.descriptor.digest} as the layout has it,"
        f" found {tags['1.0-aarch64']}",
    ]


@pytest.mark.usefixtures("published")
def test_layers_configurations_and_manifests_that_are_gone(fake: FakeRegistry, check: Check) -> None:
    layer, config = AMD.manifest.layers[0].digest, ARM.manifest.config.digest
    del fake.blobs[NAME][str(layer)], fake.blobs[NAME][str(config)]
    assert check() == [
        f"…@{AMD.descriptor.digest}: layer: expected {layer}, found nothing",
        f"…@{ARM.descriptor.digest}: configuration: expected {config}, found nothing",
    ]
    del fake.manifests[NAME][str(ARM.descriptor.digest)]
    assert check()[1:] == [
        "…:1.0-aarch64: image: expected one for linux/arm64, found nothing",
        f"…@{ARM.descriptor.digest}: manifest: expected one for linux/arm64, found nothing",
    ]


def put_and_check(fake: FakeRegistry, layout: Layout, arm: FakeImage, check: Check) -> list[str]:
    """Publish an image as somebody else would, without dfgen's own checks."""
    layout.tag(dict.fromkeys(layout.entries()))
    bind(fake, AMD, arm)
    fake.add_image(NAME, AMD, "1.0-x86_64")
    fake.add_image(NAME, arm, "1.0-aarch64")
    return [text.replace(f"…@{arm.descriptor.digest}: ", "") for text in check()]


def test_a_configuration_of_another_platform(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    found = put_and_check(fake, layout, made(ARM64, config_platform=AMD64), check)
    assert found == ["platform: expected linux/arm64, found linux/amd64"]


def test_a_base_that_is_not_that_of_the_lock(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    pin = LOCK.parents[PARENT].platforms[ARM64].digest
    other = Digest.of(b"another base")
    found = put_and_check(fake, layout, made(ARM64, base=str(other)), check)
    assert found == [f"base digest (annotation): expected {pin}, found {other}"]
    found = put_and_check(fake, layout, made(ARM64, annotations={}), check)
    assert found == [
        f"base name: expected {PARENT}, found nothing",
        f"base digest: expected {pin}, found nothing",
    ]


def test_labels_are_the_second_place_of_the_base(fake: FakeRegistry, layout: Layout, check: Check) -> None:
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
    texts = [finding.expected for finding in verify(IMAGES, unpinned) if finding.what == "base digest"]
    assert texts == [f"a pin of {PARENT} for {platform} in the lock" for platform in (AMD64, ARM64)]


def test_a_merged_base_that_is_not_that_of_the_lock(
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
    assert verify(IMAGES, options) == (
        Finding(
            reference=f"{fake.address}/{NAME}:1.0",
            what="base digest",
            expected=f"{newer} of the lock",
            found=str(locked.digest),
        ),
    )


def test_attestations_that_are_gone(fake: FakeRegistry, layout: Layout, how: Verifying, check: Check) -> None:
    bound, proof = attestation(ARM)
    proof.put_into(layout)
    layout.tag({"java-base:1.0-aarch64": ARM.put_into(layout)}, [bound])
    put(layout, AMD, ARM)
    publish_all(layout, how)
    assert check() == []
    del fake.manifests[NAME][str(bound.digest)]
    assert check() == [f"…@{bound.digest}: attestation: expected a manifest, found nothing"]


def test_what_is_not_an_image(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    found = put_and_check(fake, layout, made(ARM64, config={"os": ""}), check)
    assert found == ["configuration: expected one of an image, found something else"]


def test_a_tag_of_one_architecture_that_is_an_index(fake: FakeRegistry, layout: Layout, check: Check) -> None:
    nested = index_of([ARM.descriptor])
    raw = index_of([AMD.descriptor, Descriptor.of(nested, OCI_INDEX, ARM64)])
    for one in (AMD, ARM):
        fake.add_image(NAME, one, "1.0-x86_64")
    fake.add_manifest(NAME, nested, OCI_INDEX, "1.0-aarch64")
    fake.add_image(NAME, AMD, "1.0-x86_64")
    fake.add_manifest(NAME, raw, OCI_INDEX, "1.0")
    assert check() == [f"…@{Digest.of(nested)}: manifest: expected one for linux/arm64, found an index"]


@pytest.mark.usefixtures("published")
def test_a_registry_that_does_not_answer_is_no_finding(fake: FakeRegistry, check: Check) -> None:
    fake.script("GET", "manifests/1.0$", Fault(status=403), times=None)
    with pytest.raises(ExternalError, match="forbidden to pull"):
        check()
