"""Images of other repositories are copied once, and refused if they are malformed."""

from __future__ import annotations

import json

import pytest

from dfgen.commands.merge import Merging, merge_published
from dfgen.errors import CheckError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import ATTESTATION_OF, ATTESTATION_TYPE, OCI_INDEX, Descriptor
from dfgen.oci.platform import Platform
from dfgen.registry import Registry
from tests.fakes.clock import FakeClock
from tests.fakes.images import ARM64, FakeImage, as_json, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.merge.conftest import at

ARM = image(ARM64)


@pytest.fixture
def merging(client: Registry, clock: FakeClock) -> Merging:
    return Merging(registry=client, pause=clock.sleep)


def test_images_that_the_target_has_are_not_copied(fake: FakeRegistry, merging: Merging) -> None:
    fake.add_image("builder/java", ARM, "1")
    fake.add_image("team/java", ARM)
    merge_published(at(fake, "team/java", "1"), [at(fake, "builder/java", "1")], merging)
    assert fake.count("POST") == 0
    assert fake.count("PUT") == 1


def test_an_attestation_that_is_an_index_is_refused(fake: FakeRegistry, merging: Merging) -> None:
    fake.add_image("builder/java", ARM)
    inner = index_of([ARM.descriptor])
    fake.add_manifest("builder/java", inner, OCI_INDEX)
    nested = Descriptor(
        media_type=OCI_INDEX,
        digest=Digest.of(inner),
        size=len(inner),
        platform=Platform.of("unknown", "unknown"),
        annotations={ATTESTATION_TYPE: "attestation-manifest", ATTESTATION_OF: str(ARM.descriptor.digest)},
    )
    fake.add_manifest("builder/java", index_of([ARM.descriptor, nested]), OCI_INDEX, "1")
    source = at(fake, "builder/java", "1")
    with pytest.raises(CheckError) as caught:
        merge_published(at(fake, "team/java", "1"), [source], merging)
    assert str(caught.value) == (
        f"{source} (linux/arm64): its attestation {nested.digest} is an index, expected a manifest"
    )
    assert "team/java" not in fake.tags


def test_a_configuration_with_invalid_json_is_refused(fake: FakeRegistry, merging: Merging) -> None:
    broken = b"not json"
    manifest = json.loads(ARM.raw)
    manifest["config"] = Descriptor.of(broken, manifest["config"]["mediaType"]).to_json()
    blobs = {**ARM.blobs, Digest.of(broken): broken}
    made = FakeImage(raw=as_json(manifest), media_type=ARM.media_type, platform=None, blobs=blobs)
    fake.add_image("team/java", made, "1")
    source = at(fake, "team/java", "1")
    with pytest.raises(CheckError) as caught:
        merge_published(at(fake, "team/java", "2"), [source], merging)
    assert str(caught.value) == (
        f"{source}: invalid JSON in its configuration: Expecting value: line 1 column 1 (char 0)"
    )
