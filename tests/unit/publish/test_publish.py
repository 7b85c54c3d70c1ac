"""Publish: the order of writes, no needless requests, shared layers, and failures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.commands.merge import merge_layout
from dfgen.commands.publish import plan, publish
from dfgen.errors import ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from tests.fakes.clock import FakeClock
from tests.fakes.images import AMD64, ARM64, FakeImage, attestation
from tests.fakes.registry import FakeRegistry, Fault
from tests.unit.pairs import catalog_image, family, pair
from tests.unit.publish.conftest import Build, How, built, put, tags, writes

NAME = "team/java-base"
IMAGES = pair()


def test_blobs_then_manifests_then_tags_with_the_merged_tag_last(
    fake: FakeRegistry, build: Build, how: How, layout: Layout
) -> None:
    build(IMAGES)
    options = how(IMAGES)
    releases = plan(IMAGES, options)
    published = publish(releases, options)
    assert published.failed is None
    assert published.done == releases
    assert fake.tags[NAME] == tags(layout)
    paths = [re.sub(r"/v2/team/java-base/", "", path) for path in writes(fake)]
    kinds = ["blob" if path.startswith("blobs") else path for path in paths]
    first_manifest = next(n for n, kind in enumerate(kinds) if kind != "blob")
    assert set(kinds[:first_manifest]) == {"blob"}
    by_digest, by_tag = kinds[first_manifest : first_manifest + 2], kinds[first_manifest + 2 :]
    assert all(kind.startswith("manifests/sha256:") for kind in by_digest)
    assert sorted(by_tag[:-1]) == ["manifests/1.0-aarch64", "manifests/1.0-x86_64"]
    assert by_tag[-1] == "manifests/1.0"


def test_an_unchanged_version_costs_one_head_per_tag_manifest_and_blob(
    fake: FakeRegistry, build: Build, how: How
) -> None:
    build(IMAGES)
    options = how(IMAGES)
    publish(plan(IMAGES, options), options)
    fake.forget()
    releases = plan(IMAGES, options)
    assert [tag.state for tag in releases[0].tags] == ["unchanged"] * 3
    assert not releases[0].changes
    publish(releases, options)
    assert fake.log() == [line for line in fake.log() if line.startswith("HEAD ")]
    assert fake.count() == 3 + 2 * (1 + 3)


LOSSES: dict[str, Callable[[FakeImage, FakeImage], tuple[str, Digest]]] = {
    "an image's manifest": lambda made, _: ("manifests", made.descriptor.digest),
    "an image's configuration": lambda made, _: ("blobs", made.manifest.config.digest),
    "an image's layer": lambda made, _: ("blobs", made.manifest.layers[1].digest),
    "an attestation's manifest": lambda _, proof: ("manifests", proof.descriptor.digest),
    "an attestation's layer": lambda _, proof: ("blobs", proof.manifest.layers[0].digest),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_the_registry_lost_behind_unmoved_tags_is_sent_again(
    fake: FakeRegistry, build: Build, how: How, layout: Layout, loss: str
) -> None:
    arm = built(IMAGES)["java-base:1.0-aarch64"]
    proof_entry, proof = attestation(arm)
    build(IMAGES)
    proof.put_into(layout)
    layout.tag({"java-base:1.0-aarch64": arm.put_into(layout)}, [proof_entry])
    merge_again(layout)
    options = how(IMAGES)
    publish(plan(IMAGES, options), options)
    kind, digest = LOSSES[loss](arm, proof)
    stored = {"manifests": fake.manifests, "blobs": fake.blobs}[kind][NAME]
    before = dict(stored)
    if kind == "manifests":
        # Only by digest, as behind a cache: a tag of a manifest that is gone is "new" in any case.
        fake.script("HEAD", f"manifests/{digest}", Fault(status=404))
    else:
        del stored[str(digest)]
    fake.forget()
    (release,) = plan(IMAGES, options)
    assert (release.is_repaired, [tag.state for tag in release.tags]) == (True, ["unchanged"] * 3)
    assert publish([release], options).failed is None
    assert stored == before
    assert fake.count("PUT", f"{kind}/") >= 1
    assert not plan(IMAGES, options)[0].changes


def test_the_plan_has_the_digests_that_are_published(
    fake: FakeRegistry, build: Build, how: How, layout: Layout
) -> None:
    build(IMAGES)
    options = how(IMAGES)
    (release,) = plan(IMAGES, options)
    assert writes(fake) == []
    planned = {tag.reference.tag: (str(tag.digest), tag.state) for tag in release.tags}
    assert planned == {tag: (digest, "new") for tag, digest in tags(layout).items()}
    publish([release], options)
    assert fake.tags[NAME] == {tag: digest for tag, (digest, _) in planned.items()}


def test_only_a_changed_image_is_uploaded(fake: FakeRegistry, build: Build, how: How, layout: Layout) -> None:
    build(IMAGES)
    options = how(IMAGES)
    publish(plan(IMAGES, options), options)
    put(layout, built(IMAGES[:1], "new"))
    build(IMAGES[1:])
    newer = {**built(IMAGES[:1], "new"), **built(IMAGES[1:])}
    put(layout, newer)
    merge_again(layout)
    fake.forget()
    (release,) = plan(IMAGES, options)
    assert [tag.state for tag in release.tags] == ["moves", "unchanged", "moves"]
    publish([release], options)
    assert fake.tags[NAME] == tags(layout)
    # Only one layer is new; the registry has the configuration and the base layer.
    assert fake.count("PUT", "blobs/uploads") == 1
    assert fake.count("PUT", "manifests") == 3


def merge_again(layout: Layout) -> None:
    merge_layout(layout, Lock(), {"java-base:1.0": IMAGES})


def test_progress_counts_every_byte_once(fake: FakeRegistry, build: Build, how: How) -> None:
    build(IMAGES)
    totals: list[int] = []
    pieces: list[int] = []
    options = how(IMAGES, total=totals.append, progress=pieces.append)
    publish(plan(IMAGES, options), options)
    blobs = {digest: data for made in built(IMAGES).values() for digest, data in made.blobs.items()}
    assert totals == [sum(map(len, blobs.values()))]
    assert sum(pieces) == totals[0]


def test_a_layer_shared_by_two_families_is_uploaded_once_and_mounted(
    fake: FakeRegistry, build: Build, how: How, layout: Layout
) -> None:
    images = [*IMAGES, *pair(family("java-app"))]
    build(images)
    options = how(images)
    publish(plan(images, options), options)
    assert fake.tags["team/java-app"] == tags(layout, "java-app")
    base = Digest.of(b"base linux/amd64")
    sent = [seen.call.path for seen in fake.seen if seen.call.value("digest") == str(base)]
    mounted = [seen for seen in fake.seen if seen.call.value("mount") == str(base) and seen.status == 201]
    assert len(sent) == 1
    assert [(seen.call.path, seen.call.value("from")) for seen in mounted] == [
        ("/v2/team/java-app/blobs/uploads/", NAME)
    ]


def test_the_layers_of_a_parent_in_the_same_registry_are_mounted(
    fake: FakeRegistry, build: Build, how: How
) -> None:
    parent = f"{fake.address}/mirror/debian:12"
    fake.add_blob("mirror/debian", b"base linux/amd64")
    images = [catalog_image(AMD64, parent=parent), catalog_image(ARM64, parent=parent)]
    build(images)
    options = how(images)
    publish(plan(images, options), options)
    sources = [
        seen.call.value("from") for seen in fake.seen if seen.status == 201 and seen.call.value("mount")
    ]
    assert sources == ["mirror/debian"]


def test_publish_to_several_registries(fake: FakeRegistry, build: Build, how: How, layout: Layout) -> None:
    build(IMAGES)
    with FakeRegistry() as other:
        options = how(IMAGES, registries=[f"{fake.address}/team", f"{other.address}/x/y"])
        releases = plan(IMAGES, options)
        assert [release.registry for release in releases] == options.registries
        publish(releases, options)
        assert other.tags["x/y/java-base"] == fake.tags[NAME] == tags(layout)


def test_attestations_are_published_with_their_images(
    fake: FakeRegistry, build: Build, how: How, layout: Layout
) -> None:
    made = built(IMAGES)
    proof_entry, proof = attestation(made["java-base:1.0-aarch64"])
    proof.put_into(layout)
    put(layout, made)
    layout.tag({}, [proof_entry])
    merge_again(layout)
    options = how(IMAGES)
    publish(plan(IMAGES, options), options)
    assert fake.manifests[NAME][str(proof_entry.digest)][0] == proof.raw
    assert fake.tags[NAME] == tags(layout)
    child = fake.tags[NAME]["1.0-aarch64"]
    assert child == str(made["java-base:1.0-aarch64"].descriptor.digest)
    fake.forget()
    publish(plan(IMAGES, options), options)
    # Three tags, three manifests, and their blobs.
    assert fake.count() == 3 + 3 + 3 + 3 + 2


def test_one_failure_does_not_stop_the_other_versions(
    fake: FakeRegistry, build: Build, how: How, layout: Layout
) -> None:
    images = [*IMAGES, *pair(family("nginx-base"))]
    build(images)
    fake.script("PUT", "/v2/team/java-base/manifests/1.0$", Fault(status=403, applied=False), times=None)
    options = how(images)
    published = publish(plan(images, options), options)
    assert isinstance(published.failed, ExternalError)
    assert [release.bundle.name for release in published.done] == ["nginx-base:1.0"]
    assert fake.tags["team/nginx-base"] == tags(layout, "nginx-base")
    assert "1.0" not in fake.tags[NAME]


def test_a_version_with_a_failed_upload_is_not_tagged(fake: FakeRegistry, build: Build, how: How) -> None:
    build(IMAGES)
    fake.script("PUT", "blobs/uploads", Fault(status=403, applied=False), times=None)
    options = how(IMAGES)
    published = publish(plan(IMAGES, options), options)
    assert isinstance(published.failed, ExternalError)
    assert published.done == ()
    assert fake.tags == {}
    assert fake.count("PUT", "manifests") == 0


def test_written_tags_are_polled_until_the_registry_shows_them(
    fake: FakeRegistry, build: Build, how: How, clock: FakeClock
) -> None:
    fake.behaviour.lag = 1
    options = how(IMAGES)
    for stamp in ("", "new"):  # a new tag, then a tag that moves
        build(IMAGES, stamp)
        clock.pauses.clear()
        assert publish(plan(IMAGES, options), options).failed is None
        assert clock.pauses == [0.25] * 3
        assert fake.count("HEAD", "manifests/1.0$") == 4  # to plan, before the write, and twice to confirm it
        fake.forget()


def test_a_tag_that_the_registry_never_shows_is_an_error(
    fake: FakeRegistry, build: Build, how: How, layout: Layout
) -> None:
    build(IMAGES)
    options = how(IMAGES)
    releases = plan(IMAGES, options)
    fake.script("HEAD", "manifests/1.0$", Fault(status=404), times=None)
    published = publish(releases, options)
    assert published.done == ()
    assert str(published.failed) == (
        f"{fake.address}/{NAME}:1.0: pushed {tags(layout)['1.0']}, but the registry does not return"
        " the tag; another writer moved the tag, or the registry lags;"
        f" check with `dfgen inspect {fake.address}/{NAME}:1.0`, then run the command again"
    )


def test_no_files_are_left_outside_the_layout(build: Build, how: How, layout: Layout, tmp_path: Path) -> None:
    build(IMAGES)
    options = how(IMAGES)
    publish(plan(IMAGES, options), options)
    assert [path.name for path in tmp_path.iterdir()] == ["dist"]
    assert layout.unreferenced() == ()
