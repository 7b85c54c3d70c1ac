"""Merge images into an index: canonical bytes, and every reason for refusal."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.commands.merge import Rules, merge
from dfgen.errors import CheckError, ExitCode
from dfgen.oci.digest import Digest
from dfgen.oci.images import Child, children_of
from dfgen.oci.manifest import DOCKER_MANIFEST, OCI_INDEX, Descriptor, Index, Manifest, parse
from dfgen.oci.platform import Platform, aliases
from tests.fakes.images import AMD64, ARM64, FakeImage, as_json, attestation, image, index_of

TARGET = "java-base:1.0"
WINDOWS = [
    Platform.of("windows", "amd64", os_version=version) for version in ("10.0.17763.1", "10.0.20348.1")
]


class MemoryReader:
    """Manifests and blobs in memory."""

    def __init__(self, *images: FakeImage) -> None:
        self._data = {one.descriptor.digest: one.raw for one in images}
        self._data |= {digest: data for one in images for digest, data in one.blobs.items()}

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        return parse(self._data[descriptor.digest], descriptor.media_type)

    def read(self, descriptor: Descriptor) -> bytes:
        return self._data[descriptor.digest]


def child(made: FakeImage, name: str = "", listed: Platform | None = None) -> Child:
    (found,) = children_of(name or f"image-{made.platform}", made.manifest, MemoryReader(made))
    return replace(found, descriptor=replace(found.descriptor, platform=listed or made.platform))


def refusal(*children: Child, before: Index | None = None, rules: Rules | None = None) -> str:
    with pytest.raises(CheckError) as caught:
        merge(TARGET, children, before=before, rules=rules)
    assert caught.value.exit_code == ExitCode.CHECK_FAILED
    return str(caught.value)


def test_an_index_has_an_entry_for_each_platform_and_nothing_else() -> None:
    amd64, arm64 = image(AMD64, [b"1"]), image(ARM64, [b"2"])
    index = merge(TARGET, [child(arm64), child(amd64)])
    assert json.loads(index.raw) == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": made.media_type,
                "digest": str(made.descriptor.digest),
                "size": len(made.raw),
                "platform": platform,
            }
            for made, platform in (
                (amd64, {"architecture": "amd64", "os": "linux"}),
                (arm64, {"architecture": "arm64", "os": "linux"}),
            )
        ],
    }


@pytest.mark.parametrize("configured", [{}, {"variant": "v8"}])
@pytest.mark.parametrize("listed", [{}, {"variant": "v8"}])
def test_an_entry_uses_the_configurations_spelling_of_its_platform(
    configured: dict[str, str], listed: dict[str, str]
) -> None:
    words = {"architecture": "arm64", "os": "linux"}
    made = image(Platform.from_json({**words, **configured}), [b"1"])
    entry = replace(made.descriptor, platform=Platform.from_json({**words, **listed}))
    (merged,) = json.loads(merge(TARGET, [replace(child(made), descriptor=entry)]).raw)["manifests"]
    assert merged["platform"] == {**words, **configured}


@given(
    st.lists(st.sampled_from([*aliases().values(), *WINDOWS]), unique=True, min_size=1),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    st.randoms(use_true_random=False),
)
def test_the_same_children_give_the_same_bytes_in_any_order(
    platforms: list[Platform], annotations: dict[str, str], chance: random.Random
) -> None:
    children = []
    for platform in platforms:
        made = image(platform, [str(platform).encode()])
        proof_entry, _ = attestation(made)
        children.append(replace(child(made), attestations=(proof_entry,)))
    first = merge(TARGET, children, annotations)
    chance.shuffle(children)
    shuffled = dict(sorted(annotations.items(), reverse=True))
    assert merge(TARGET, children, shuffled).raw == first.raw
    read = parse(first.raw)
    assert isinstance(read, Index)
    assert read.annotations == annotations
    assert {entry.platform for entry in read.images} == set(platforms)
    assert len(read.manifests) == 2 * len(platforms)


def test_docker_and_oci_images_can_be_mixed() -> None:
    docker = image(ARM64, [b"2"], docker=True)
    index = merge(TARGET, [child(image(AMD64, [b"1"])), child(docker)])
    entry = index.find(ARM64)
    assert entry
    assert entry.media_type == DOCKER_MANIFEST


def test_windows_versions_are_separate_platforms() -> None:
    children = [child(image(platform, [b"%d" % number])) for number, platform in enumerate(WINDOWS)]
    index = merge(TARGET, children)
    assert [str(entry.platform) for entry in index.images] == [str(platform) for platform in WINDOWS]
    assert json.loads(index.raw)["manifests"][1]["platform"]["os.version"] == "10.0.20348.1"


def test_a_nested_index_is_flattened_and_keeps_its_attestations() -> None:
    made = image(ARM64)
    proof_entry, proof = attestation(made)
    nested = parse(index_of([made.descriptor, proof_entry]))
    (found,) = children_of("reg/a:1-aarch64", nested, MemoryReader(made, proof))
    assert found.name == "reg/a:1-aarch64 (linux/arm64)"
    index = merge(TARGET, [found])
    assert [entry.digest for entry in index.manifests] == [made.descriptor.digest, proof_entry.digest]
    assert index.manifests[1] == proof_entry


def test_a_plain_image_gets_the_platform_of_its_configuration() -> None:
    made = image(ARM64)
    (found,) = children_of("a", made.manifest, MemoryReader(made))
    assert found.descriptor.platform is None
    assert merge(TARGET, [found]).find(ARM64)


def test_a_variant_missing_in_the_configuration_comes_from_the_entry() -> None:
    v6 = Platform.of("linux", "arm", "v6")
    made = image(v6, config_platform=Platform.of("linux", "arm"), config={"variant": ""})
    nested = parse(index_of([made.descriptor]))
    (found,) = children_of("a", nested, MemoryReader(made))
    assert found.platform == found.config_platform == v6


def test_an_empty_merge_is_refused() -> None:
    expected = "java-base:1.0: not merged: no images to merge; expected one for each platform"
    assert refusal() == expected


def test_two_children_for_one_platform_are_refused() -> None:
    message = refusal(child(image(layers=[b"1"]), "a"), child(image(layers=[b"2"]), "b"))
    assert message == (
        "java-base:1.0: not merged: a and b are both for linux/amd64; expected one image for each platform"
    )
    twice = child(image(), "a")
    assert refusal(twice, twice) == (
        "java-base:1.0: not merged: a is listed twice; expected one image for each platform"
    )


def test_a_configuration_with_another_platform_is_refused() -> None:
    wrong = child(image(ARM64, [b"2"], config_platform=AMD64), "a:1-aarch64")
    assert refusal(child(image()), wrong) == (
        "java-base:1.0: not merged: a:1-aarch64 is listed for linux/arm64,"
        " but its configuration says linux/amd64; rebuild it for its platform"
    )


@pytest.mark.parametrize(
    ("architecture", "variant"),
    [("amd64", "v8"), ("x86_64", "v5"), ("arm64", "armv8"), ("arm", "v9"), ("s390x", "z13"), ("386", "sse2")],
)
def test_a_variant_that_no_client_requests_is_refused(architecture: str, variant: str) -> None:
    platform = Platform.of("linux", architecture, variant)
    assert refusal(child(image(platform), "a")) == (
        f"java-base:1.0: not merged: a is for {platform}: no client requests the variant {variant!r} of"
        f" {platform.architecture}, so nobody could pull it; rebuild it without the variant"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("amd64", "v1"),
        ("amd64", "v2"),
        ("amd64", "v4"),
        ("arm64", "v9"),
        ("arm64", "v8.2"),
        ("arm", "5"),
        ("armel",),
    ],
)
def test_variants_that_clients_request_are_merged(words: tuple[str, ...]) -> None:
    assert merge(TARGET, [child(image(Platform.of("linux", *words)))]).images


@pytest.mark.parametrize(
    ("one", "other"),
    [("aarch64", "arm64"), ("x86_64", "amd64"), ("x86-64", "x86_64"), ("armhf", "arm"), ("i386", "386")],
)
def test_two_spellings_of_a_platform_are_refused(one: str, other: str) -> None:
    images = [image(Platform.from_json({"os": "linux", "architecture": word})) for word in (one, other)]
    children = [child(images[0], "a"), child(replace(images[1]), "b")]
    assert "a and b are both for linux/" in refusal(*children)


def test_two_architectures_with_the_same_layers_are_refused_unless_allowed() -> None:
    children = [child(image(AMD64), "a"), child(image(ARM64), "b")]
    assert refusal(*children) == (
        "java-base:1.0: not merged: a (linux/amd64) and b (linux/arm64) have the same layers,"
        " so one of them has the wrong architecture; if this is intended, set"
        " `architecture_independent: true` in base.yaml or use --architecture-independent"
    )
    assert len(merge(TARGET, children, rules=Rules(architecture_independent=True)).images) == 2


def test_partly_shared_layers_and_images_without_layers_are_allowed() -> None:
    children = [child(image(AMD64, [b"common", b"1"])), child(image(ARM64, [b"common", b"2"]))]
    assert len(merge(TARGET, children).images) == 2
    empty = [child(image(AMD64, [])), child(image(ARM64, []))]
    assert len(merge(TARGET, empty).images) == 2


def test_a_platform_of_the_tag_is_not_dropped_unless_allowed() -> None:
    platforms = [AMD64, ARM64, Platform.parse("s390x")]
    before = merge(TARGET, [child(image(one, [str(one).encode()])) for one in platforms])
    new = child(image(AMD64, [b"new"]))
    assert refusal(new, before=before) == (
        "java-base:1.0: not merged: the tag has linux/arm64 and linux/s390x, which would be removed;"
        " add the missing images, or use --drop"
    )
    assert len(merge(TARGET, [new], before=before, rules=Rules(drop=True)).images) == 1


def test_all_reasons_are_reported() -> None:
    wrong = child(image(ARM64, [b"2"], config_platform=AMD64), "b")
    assert len(refusal(child(image(), "a"), child(image(layers=[b"1"]), "c"), wrong).splitlines()) == 2


def test_a_chart_is_refused() -> None:
    blob = as_json({"helm": "chart"})
    manifest = json.loads(image().raw)
    manifest["config"] = Descriptor.of(blob, "application/vnd.cncf.helm.config.v1+json").to_json()
    made = FakeImage(
        raw=as_json(manifest), media_type=manifest["mediaType"], platform=None, blobs={Digest.of(blob): blob}
    )
    with pytest.raises(CheckError) as caught:
        children_of("reg/chart:1", made.manifest, MemoryReader(made))
    assert str(caught.value) == (
        "reg/chart:1: is not an image: its configuration"
        " (application/vnd.cncf.helm.config.v1+json) has no platform"
    )


def test_an_index_inside_an_index_is_refused() -> None:
    inner = index_of([image().descriptor])
    outer = parse(index_of([Descriptor.of(inner, OCI_INDEX)]))
    holder = FakeImage(raw=inner, media_type=OCI_INDEX, platform=None, blobs={})
    with pytest.raises(CheckError) as caught:
        children_of("a", outer, MemoryReader(holder))
    assert str(caught.value) == "a: an index inside an index is not supported; name its images one by one"
