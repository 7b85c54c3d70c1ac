"""Merge in registries: request counts, copies from other repositories, and refusals."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dfgen.commands.merge import Merging, Rules, merge_published
from dfgen.errors import CheckError, ExitCode, ExternalError, InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import BASE_NAME, OCI_INDEX, canonical_index
from dfgen.oci.platform import Platform
from dfgen.registry import Registry
from tests.fakes.clock import FakeClock
from tests.fakes.images import ARM64, FakeImage, attestation, image, index_of
from tests.fakes.registry import Auth, FakeRegistry
from tests.unit.merge.conftest import AMD, ARM, NAME, at, put


def how(client: Registry, clock: FakeClock, **options: object) -> Merging:
    return replace(Merging(registry=client, pause=clock.sleep), **options)  # type: ignore[arg-type]


@pytest.fixture
def merging(client: Registry, clock: FakeClock) -> Merging:
    return how(client, clock)


def test_two_images_cost_six_requests_and_one_to_confirm(fake: FakeRegistry, merging: Merging) -> None:
    merged = merge_published(at(fake, NAME, "1.0"), put(fake), merging)
    assert merged.changed
    assert fake.tags[NAME]["1.0"] == str(merged.digest)
    raw, media_type = fake.manifests[NAME][str(merged.digest)]
    assert (raw, media_type) == (merged.index.raw, OCI_INDEX)
    assert fake.count("PUT") == 1
    assert fake.count() == 7
    assert fake.log()[-2:] == [
        f"{method} /v2/{NAME}/manifests/1.0 20{n}" for method, n in (("PUT", 1), ("HEAD", 0))
    ]


def test_a_tag_that_moves_costs_the_same(fake: FakeRegistry, merging: Merging) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    merge_published(target, sources, merging)
    fake.add_image(NAME, image(ARM64, [b"newer"]), "1.0-aarch64")
    fake.forget()
    assert merge_published(target, sources, merging).changed
    assert fake.count("PUT") == 1
    assert fake.count() == 7


def test_authentication_adds_only_token_requests(fake: FakeRegistry, merging: Merging) -> None:
    fake.behaviour.auth = Auth(kind="token", anonymous=frozenset({"pull", "push"}))
    merge_published(at(fake, NAME, "1.0"), put(fake), merging)
    answered = [line for line in fake.log() if not line.endswith(" 401") and "/token" not in line]
    assert len(answered) == 7
    assert fake.count("", "^/token") <= 2  # one to pull, one to push


def test_an_unchanged_tag_is_not_written(fake: FakeRegistry, merging: Merging) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    first = merge_published(target, sources, merging)
    fake.forget()
    again = merge_published(target, sources[::-1], merging)
    assert not again.changed
    assert again.digest == first.digest
    assert fake.count("PUT") == 0
    assert fake.count() == 5


def test_a_dry_run_returns_the_digest_and_writes_nothing(
    fake: FakeRegistry, client: Registry, clock: FakeClock
) -> None:
    target, sources = at(fake, "other/repository", "1.0"), put(fake)
    dry = merge_published(target, sources, how(client, clock, dry_run=True))
    assert fake.count("PUT") + fake.count("POST") == 0
    assert dry.digest == merge_published(target, sources, how(client, clock)).digest


def test_a_moved_tag_is_polled_until_the_registry_shows_it(
    fake: FakeRegistry, merging: Merging, clock: FakeClock
) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    merge_published(target, sources, merging)
    newer = image(ARM64, [b"newer"])
    fake.add_image(NAME, newer, "1.0-aarch64")
    fake.behaviour.lag = 2
    fake.forget()
    merged = merge_published(target, sources, merging)
    assert fake.tags[NAME]["1.0"] == str(merged.digest)
    assert clock.pauses == [0.25, 0.5]
    assert fake.count("HEAD", "manifests/1.0$") == 3


def test_a_new_tag_is_polled_too(fake: FakeRegistry, merging: Merging, clock: FakeClock) -> None:
    sources = put(fake)
    fake.behaviour.lag = 1
    merged = merge_published(at(fake, NAME, "1.0"), sources, merging)
    assert merged.before is None
    assert clock.pauses == [0.25]


def test_a_tag_that_the_registry_never_shows_is_an_error(
    fake: FakeRegistry, merging: Merging, clock: FakeClock
) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    merge_published(target, sources, merging)
    fake.add_image(NAME, image(ARM64, [b"newer"]), "1.0-aarch64")
    fake.behaviour.lag = 1000
    with pytest.raises(ExternalError) as caught:
        merge_published(target, sources, merging)
    digest = fake.tags[NAME]["1.0"]
    assert str(caught.value) == (
        f"{target}: pushed {digest}, but the registry does not return the tag; another writer moved"
        f" the tag, or the registry lags; check with `dfgen inspect {target}`, then run the command again"
    )
    assert sum(clock.pauses) == 7.75


def test_expect_refuses_a_tag_that_moved(fake: FakeRegistry, client: Registry, clock: FakeClock) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    expected = Digest.of(b"what was there")
    with pytest.raises(CheckError) as caught:
        merge_published(target, sources, how(client, clock, expect=expected))
    assert str(caught.value) == (
        f"{target}: not merged: expected {expected}, but the tag does not exist;"
        f" check it with `dfgen inspect {target}`, then merge again"
    )
    now = merge_published(target, sources, how(client, clock)).digest
    fake.add_image(NAME, image(ARM64, [b"newer"]), "1.0-aarch64")
    fake.forget()
    with pytest.raises(CheckError, match=f"expected {expected}, but the tag has {now};"):
        merge_published(target, sources, how(client, clock, expect=expected))
    assert fake.count("PUT") == 0
    assert merge_published(target, sources, how(client, clock, expect=now)).changed


def test_a_platform_of_the_tag_is_not_dropped_unless_allowed(
    fake: FakeRegistry, client: Registry, clock: FakeClock
) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    before = merge_published(target, sources, how(client, clock)).digest
    with pytest.raises(CheckError) as caught:
        merge_published(target, sources[:1], how(client, clock))
    assert str(caught.value) == (
        f"{target}: not merged: the tag has linux/arm64, which would be removed;"
        " add the missing images, or use --drop"
    )
    assert fake.tags[NAME]["1.0"] == str(before)
    assert merge_published(target, sources[:1], how(client, clock, rules=Rules(drop=True))).before == before


def test_a_single_image_may_become_an_index(fake: FakeRegistry, merging: Merging) -> None:
    sources = put(fake)
    fake.add_image(NAME, AMD, "1.0")
    merged = merge_published(at(fake, NAME, "1.0"), sources, merging)
    assert merged.before == AMD.descriptor.digest
    assert fake.tags[NAME]["1.0"] == str(merged.digest)


def test_the_platform_of_a_single_image_is_not_dropped_unless_allowed(
    fake: FakeRegistry, client: Registry, clock: FakeClock
) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    fake.add_image(NAME, image(ARM64, [b"older"]), "1.0")
    with pytest.raises(CheckError) as caught:
        merge_published(target, sources[:1], how(client, clock))
    assert str(caught.value) == (
        f"{target}: not merged: the tag has linux/arm64, which would be removed;"
        " add the missing images, or use --drop"
    )
    assert merge_published(target, sources, how(client, clock)).changed
    fake.add_image(NAME, image(ARM64, [b"older"]), "1.0")
    assert merge_published(target, sources[:1], how(client, clock, rules=Rules(drop=True))).changed


def test_indexes_of_buildx_with_provenance_are_flattened(fake: FakeRegistry, merging: Merging) -> None:
    expected = []
    for made, tag in ((AMD, "1.0-x86_64"), (ARM, "1.0-aarch64")):
        proof_entry, proof = attestation(made)
        fake.add_image(NAME, made)
        fake.add_image(NAME, proof)
        nested = index_of([made.descriptor, proof_entry])
        fake.add_manifest(NAME, nested, OCI_INDEX, tag)
        expected.append(proof_entry)
    sources = [at(fake, NAME, "1.0-x86_64"), at(fake, NAME, "1.0-aarch64")]
    merged = merge_published(at(fake, NAME, "1.0"), sources, merging)
    assert [entry.digest for entry in merged.index.images] == [AMD.descriptor.digest, ARM.descriptor.digest]
    assert list(merged.index.manifests[2:]) == expected


def test_what_the_tag_has_for_images_that_stay_is_kept(fake: FakeRegistry, merging: Merging) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    entries = []
    for made in (AMD, ARM):
        proof_entry, proof = attestation(made)
        fake.add_image(NAME, proof)
        assert made.platform
        platform = replace(made.platform, extra={"features": ["sse4"], "os.features": ["win32k"]})
        kept = {"annotations": {"a": "b"}, "extra": {"artifactType": "x/y"}, "platform": platform}
        entries += [replace(made.descriptor, **kept), proof_entry]  # type: ignore[arg-type]
    before = canonical_index(entries, {"title": "java", BASE_NAME: "debian"})
    fake.add_manifest(NAME, before.raw, OCI_INDEX, "1.0")
    assert not merge_published(target, sources, merging).changed

    newer = image(ARM64, [b"newer"])
    fake.add_image(NAME, newer, "1.0-aarch64")
    after = merge_published(target, sources, merging).index
    assert after.annotations == {"title": "java"}  # the new image may have another base
    assert [entry.digest for entry in after.manifests] == [
        AMD.descriptor.digest,
        newer.descriptor.digest,
        entries[1].digest,
    ]
    first, second, third = (entry.to_json() for entry in after.manifests)
    assert (first, third) == (entries[0].to_json(), entries[1].to_json())
    assert set(second) == {"mediaType", "digest", "size", "platform"}


def test_an_entry_without_a_platform_is_not_dropped_unless_allowed(
    fake: FakeRegistry, client: Registry, clock: FakeClock
) -> None:
    target, sources = at(fake, NAME, "1.0"), put(fake)
    proof_entry, _ = attestation(AMD)
    unlinked = replace(proof_entry, annotations={})
    fake.add_manifest(NAME, index_of([AMD.descriptor, unlinked]), OCI_INDEX, "1.0")
    with pytest.raises(CheckError) as caught:
        merge_published(target, sources, how(client, clock))
    assert str(caught.value) == (
        f"{target}: not merged: the tag has {unlinked.digest} without a platform, which would be removed;"
        " add it to the images, or use --drop"
    )
    assert merge_published(target, sources, how(client, clock, rules=Rules(drop=True))).changed


def _requests(pattern: str, fake: FakeRegistry) -> list[str]:
    return [line for line in fake.log() if re.search(pattern, line)]


def test_blobs_of_another_repository_are_mounted(fake: FakeRegistry, merging: Merging) -> None:
    sources = put(fake, "builder/java-base")
    merged = merge_published(at(fake, NAME, "1.0"), sources, merging)
    for made in (AMD, ARM):
        assert set(map(str, made.blobs)) <= set(fake.blobs[NAME])
        assert str(made.descriptor.digest) in fake.manifests[NAME]
    assert fake.tags[NAME]["1.0"] == str(merged.digest)
    layers = "|".join(str(made.manifest.layers[0].digest) for made in (AMD, ARM))
    assert _requests(f"GET .*({layers})", fake) == []
    assert len(_requests("POST .* 201", fake)) == 4
    assert _requests("PUT .*/uploads/", fake) == []
    # Per image: two GETs, a HEAD, two mounts and a PUT. For the tag: a GET, a PUT and a HEAD.
    assert fake.count() == 2 * (2 + 1 + 2 + 1) + 3


def test_blobs_are_copied_if_they_cannot_be_mounted(fake: FakeRegistry, merging: Merging) -> None:
    fake.behaviour.mounts = False
    merged = merge_published(at(fake, NAME, "1.0"), put(fake, "builder/java-base"), merging)
    assert fake.tags[NAME]["1.0"] == str(merged.digest)
    assert set(map(str, AMD.blobs)) <= set(fake.blobs[NAME])


def test_attestations_are_copied_from_another_registry(fake: FakeRegistry, merging: Merging) -> None:
    proof_entry, proof = attestation(ARM)
    nested = index_of([ARM.descriptor, proof_entry])
    with FakeRegistry() as other:
        other.add_image("b/java", ARM)
        other.add_image("b/java", proof)
        other.add_manifest("b/java", nested, OCI_INDEX, "arm")
        fake.add_image(NAME, AMD, "1.0-x86_64")
        sources = [at(fake, NAME, "1.0-x86_64"), at(other, "b/java", "arm")]
        merged = merge_published(at(fake, NAME, "1.0"), sources, merging)
    assert fake.manifests[NAME][str(proof_entry.digest)][0] == proof.raw
    assert set(map(str, proof.blobs)) <= set(fake.blobs[NAME])
    assert len(merged.index.manifests) == 3
    fake.forget()


def test_layers_with_urls_are_not_copied(fake: FakeRegistry, merging: Merging) -> None:
    windows = Platform.of("windows", "amd64", os_version="10.0.20348.1")
    made = image(windows, [b"base of windows", b"ours"])
    base = str(made.manifest.layers[0].digest)
    foreign = made.raw.replace(
        f'"digest":"{base}"'.encode(), f'"digest":"{base}","urls":["https://w"]'.encode()
    )
    kept = {digest: data for digest, data in made.blobs.items() if str(digest) != base}
    made = FakeImage(raw=foreign, media_type=made.media_type, platform=windows, blobs=kept)
    fake.behaviour.strict = False
    fake.add_image("b/windows", made, "1")
    merge_published(at(fake, NAME, "1.0"), [at(fake, "b/windows", "1")], merging)
    assert set(fake.blobs[NAME]) == set(map(str, kept))


def test_a_wrong_child_is_refused_before_anything_is_written(fake: FakeRegistry, merging: Merging) -> None:
    fake.add_image("b/java", AMD, "a")
    fake.add_image("b/java", image(layers=[b"2"]), "b")
    with pytest.raises(CheckError, match="are both for linux/amd64"):
        merge_published(at(fake, NAME, "1.0"), [at(fake, "b/java", "a"), at(fake, "b/java", "b")], merging)
    assert fake.count("PUT") + fake.count("POST") == 0


def test_every_missing_child_is_reported(fake: FakeRegistry, merging: Merging) -> None:
    with pytest.raises(ExternalError) as caught:
        merge_published(at(fake, NAME, "1.0"), [at(fake, NAME, "a"), at(fake, NAME, "b")], merging)
    assert caught.value.exit_code == ExitCode.ENVIRONMENT
    assert [problem.message for problem in caught.value.problems] == [
        f"{fake.address}: cannot pull {at(fake, NAME, tag)}: not found:"
        " MANIFEST_UNKNOWN manifest unknown; check the name and the tag"
        for tag in ("a", "b")
    ]


def test_a_target_without_a_tag_is_refused(fake: FakeRegistry, merging: Merging) -> None:
    target = at(fake, NAME, "1.0").at(Digest.of(b"x"))
    with pytest.raises(InputError) as caught:
        merge_published(target, put(fake), merging)
    assert str(caught.value) == (
        f"{target}: cannot merge into it; use a tag, for example {target.repository}:1.0"
    )
