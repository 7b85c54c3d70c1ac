"""A bill of materials is made by the generator that the catalog pins, and goes with the image everywhere."""

from __future__ import annotations

import json
import os
import uuid

import pytest

from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Index, Manifest
from tests.integration.conftest import Work, digests, states

pytestmark = pytest.mark.integration

STATEMENT = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://spdx.dev/Document",
        "predicate": {"spdxVersion": "SPDX-2.3", "name": "made by a test"},
    }
)
GENERATOR = {
    "templates/generator.j2": (
        "FROM {{ parent }}\nCOPY statement.json /\n"
        'CMD ["sh", "-c", "cp /statement.json $BUILDKIT_SCAN_DESTINATION/one.spdx.json"]\n'
    ),
    "bases/generator/base.yaml": "template: generator.j2\nparent: PARENT\nplatforms: [amd64]\nversions: ['1']\n",
    "bases/generator/statement.json": STATEMENT,
}
APP = {
    "templates/app.j2": "FROM {{ parent }}\nRUN echo hello > /hello\n",
    "bases/app/base.yaml": "template: app.j2\nparent: PARENT\nplatforms: [amd64]\nversions: ['1']\n",
}


def test_a_bill_of_materials_is_kept_through_merge_and_publish(work: Work) -> None:
    registry = f"{os.environ['DFGEN_DEMO_REGISTRY']}/dfgen-sbom/{uuid.uuid4().hex}"
    work.prepare({**GENERATOR, "bases/catalog.yaml": f"registry: {registry}\n"})
    work.run("build")
    work.run("publish")
    generator = f"{registry}/generator:1-x86_64@{digests(work)['generator:1-x86_64']}"

    work.prepare({**APP, "bases/catalog.yaml": f"registry: {registry}\nsbom: {generator}\n"})
    work.run("build", "app")
    assert states(work) == {"app:1@amd64": "built"}
    layout = Layout(work.root / "dist")
    merged = layout.manifest(layout.entries()["app:1"])
    assert isinstance(merged, Index)
    (attestation,) = [entry for entry in merged.manifests if entry.is_attestation]
    document = layout.manifest(attestation)
    assert isinstance(document, Manifest)
    (statement,) = [json.loads(layout.read(blob)) for blob in document.layers]
    assert (statement["predicateType"], statement["predicate"]["name"]) == (
        "https://spdx.dev/Document",
        "made by a test",
    )
    work.run("publish", "app")
    work.run("verify", "app")
    assert "0 of 1 image to build" in work.run("plan", "app").stderr


def test_a_generator_that_cannot_be_had_is_told_with_what_needs_none(work: Work) -> None:
    registry = os.environ["DFGEN_DEMO_REGISTRY"]
    generator = f"{registry}/dfgen-sbom/none:1@sha256:{'0' * 64}"
    work.prepare({**APP, "bases/catalog.yaml": f"sbom: {generator}\n"})
    failed = work.run("build", code=3)
    assert (
        f"bases/app/1/Dockerfile_amd64: SBOM generator {generator} cannot be read:"
        f" {generator}: not found; check its name, or set `sbom: packages` in bases/catalog.yaml"
    ) in failed.stderr
