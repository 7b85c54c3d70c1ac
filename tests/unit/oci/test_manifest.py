"""Manifests and indexes: parsed without loss, and written in one canonical form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.errors import CheckError, InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import (
    ATTESTATION_OF,
    ATTESTATION_TYPE,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    canonical_index,
    parse,
)
from dfgen.oci.platform import Platform, aliases

A, B = (f"sha256:{char * 64}" for char in "ab")
ENTRY = {"mediaType": OCI_MANIFEST, "digest": A, "size": 7}
MANIFEST: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": OCI_MANIFEST,
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": A, "size": 2},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": B, "size": 3}],
    "annotations": {"k": "v"},
}
INDEX: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": OCI_INDEX,
    "manifests": [
        {**ENTRY, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {
            **ENTRY,
            "digest": B,
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {ATTESTATION_TYPE: "attestation-manifest", ATTESTATION_OF: A},
        },
        {**ENTRY, "platform": {"os": "windows", "architecture": "amd64", "os.version": "10.0.1"}},
        ENTRY,
    ],
}


def _raw(data: object) -> bytes:
    return json.dumps(data).encode()


def test_a_manifest_is_parsed() -> None:
    manifest = parse(_raw(MANIFEST))
    assert isinstance(manifest, Manifest)
    assert manifest.media_type == OCI_MANIFEST
    assert [str(blob.digest) for blob in manifest.blobs] == [A, B]
    assert manifest.annotations == {"k": "v"}
    assert manifest.descriptor == Descriptor.of(_raw(MANIFEST), OCI_MANIFEST)
    assert not manifest.descriptor.is_index


def test_an_index_is_parsed_and_its_attestations_are_not_images() -> None:
    index = parse(_raw(INDEX))
    assert isinstance(index, Index)
    assert [str(entry.platform) for entry in index.images] == ["linux/arm64", "windows/amd64:10.0.1", "None"]
    assert index.find(Platform.parse("arm64/v8")) == index.manifests[0]
    assert index.find(Platform.parse("amd64")) is None
    assert index.descriptor.size == len(_raw(INDEX))
    assert index.descriptor.is_index


def test_an_attestation_is_recognized_by_its_platform_or_annotation() -> None:
    unknown = Descriptor.from_json({**ENTRY, "platform": {"os": "unknown", "architecture": "unknown"}})
    annotated = Descriptor.from_json({**ENTRY, "annotations": {ATTESTATION_TYPE: "attestation-manifest"}})
    assert unknown.is_attestation
    assert annotated.is_attestation
    assert not Descriptor.from_json(ENTRY).is_attestation


@pytest.mark.parametrize(
    ("body", "header", "kind"),
    [
        (OCI_INDEX, DOCKER_INDEX, OCI_INDEX),
        (None, f"{DOCKER_INDEX}; charset=utf-8", DOCKER_INDEX),
        (None, "", OCI_INDEX),
        (None, "text/plain", OCI_INDEX),
        (DOCKER_INDEX, "", DOCKER_INDEX),
    ],
)
def test_the_media_type_of_the_body_takes_precedence_over_the_header(
    body: str | None, header: str, kind: str
) -> None:
    index = parse(_raw({**INDEX, "mediaType": body}), header)
    assert index.media_type == kind


def test_a_manifest_without_a_media_type_has_that_of_the_header() -> None:
    untyped = {key: value for key, value in MANIFEST.items() if key != "mediaType"}
    assert parse(_raw(untyped), DOCKER_MANIFEST).media_type == DOCKER_MANIFEST
    assert parse(_raw(untyped)).media_type == OCI_MANIFEST


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "not an object"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"[" * 100_000, "nested too deeply"),
        (_raw({"schemaVersion": 1}), "schemaVersion 1 is not supported, only 2"),
        (_raw({}), "schemaVersion None is not supported, only 2"),
        (_raw({"schemaVersion": 2}), "media type 'unknown'"),
        (_raw({"schemaVersion": 2, "mediaType": "x", "layers": [], "config": 1}), "media type 'x'"),
        (_raw({**INDEX, "layers": []}), "it has both manifests and layers"),
        (_raw({**MANIFEST, "manifests": None}), "it has both manifests and layers"),
        (_raw({**INDEX, "annotations": []}), None),
        (_raw({**INDEX, "annotations": [1]}), "annotations must map names to strings"),
        (_raw({**MANIFEST, "annotations": {"k": 1}}), "annotations must map names to strings"),
        (_raw({**INDEX, "manifests": ["x"]}), "a descriptor is missing its mediaType, digest or size"),
        (
            _raw({**INDEX, "manifests": [{"size": 1}]}),
            "a descriptor is missing its mediaType, digest or size",
        ),
        (
            _raw({**INDEX, "manifests": [{**ENTRY, "digest": "x"}]}),
            "'x' is not a digest; expected sha256: and 64 hexadecimal digits",
        ),
        (
            _raw({**INDEX, "manifests": [{**ENTRY, "size": True}]}),
            "a descriptor's size is True; expected a number of bytes",
        ),
        (
            _raw({**INDEX, "manifests": [{**ENTRY, "size": -1}]}),
            "a descriptor's size is -1; expected a number of bytes",
        ),
        (
            _raw({**MANIFEST, "layers": [{**ENTRY, "size": "7"}]}),
            "a descriptor's size is '7'; expected a number of bytes",
        ),
        (
            _raw({**MANIFEST, "layers": [{**ENTRY, "size": 10**400}]}),
            f"a descriptor's size is 1{'0' * 78}…; expected a number of bytes",
        ),
    ],
)
def test_other_documents_are_rejected(raw: bytes, why: str | None) -> None:
    if why is None:
        assert parse(raw).annotations == {}
        return
    with pytest.raises(CheckError) as caught:
        parse(raw)
    assert str(caught.value) == f"not an image manifest or index: {why}"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_that_is_not_a_descriptor_is_rejected(value: object) -> None:
    with pytest.raises(InputError):
        Descriptor.from_json(value)  # type: ignore[arg-type]


texts = st.text(st.characters(codec="utf-8"), max_size=8)
descriptors = st.builds(
    Descriptor,
    media_type=st.sampled_from((OCI_MANIFEST, DOCKER_MANIFEST)),
    digest=st.sampled_from([Digest.of(bytes([number])) for number in range(6)]),
    size=st.integers(0, 9),
    platform=st.none() | st.sampled_from((*aliases().values(), Platform("unknown", "unknown"))),
    annotations=st.dictionaries(st.sampled_from((ATTESTATION_TYPE, "a", "b")), texts, max_size=2),
    extra=st.dictionaries(st.sampled_from(("urls", "artifactType")), texts, max_size=2),
)


@given(descriptors)
def test_descriptors_round_trip_with_unknown_keys(descriptor: Descriptor) -> None:
    written = json.loads(json.dumps(descriptor.to_json()))
    assert Descriptor.from_json(written) == descriptor


@given(st.lists(descriptors, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_change_an_index(entries: list[Descriptor], random: Any) -> None:
    index = canonical_index(entries)
    random.shuffle(entries)
    assert canonical_index(entries).raw == index.raw
    assert sorted(map(repr, index.manifests)) == sorted(map(repr, entries))
    assert parse(index.raw) == index


def test_attestations_are_sorted_like_their_images() -> None:
    amd64 = Descriptor.of(b"amd64", OCI_MANIFEST, Platform.parse("amd64"))
    arm64 = Descriptor.of(b"arm64", OCI_MANIFEST, Platform.parse("arm64"))
    attestations = [
        Descriptor(
            media_type=OCI_MANIFEST,
            digest=Digest.of(text),
            size=1,
            platform=Platform("unknown", "unknown"),
            annotations={ATTESTATION_OF: of},
        )
        for text, of in ((b"1", str(arm64.digest)), (b"2", str(amd64.digest)), (b"3", "elsewhere"))
    ]
    index = canonical_index([attestations[2], attestations[0], arm64, attestations[1], amd64])
    assert list(index.manifests) == [amd64, arm64, attestations[1], attestations[0], attestations[2]]


def test_canonical_bytes() -> None:
    arm64 = Descriptor.of(b"arm64", OCI_MANIFEST, Platform.parse("arm64"))
    index = canonical_index([arm64], {"b": "é", "a": "1"})
    assert index.raw.decode() == (
        f'{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_MANIFEST}",'
        f'"digest":"{arm64.digest}","size":5,"platform":{{"architecture":"arm64","os":"linux"}}'
        '}],"annotations":{"a":"1","b":"é"}}'
    )


@pytest.mark.parametrize("platform", [{}, {"os": "linux"}, {"architecture": "amd64", "os": ""}, None, "x"])
def test_an_incomplete_platform_is_none(platform: object) -> None:
    assert Descriptor.from_json({**ENTRY, "platform": platform}).platform is None
