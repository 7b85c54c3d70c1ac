"""`dfgen build` on a real engine: both architectures are built, tested and merged, and only when needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from dfgen.oci.layout import Layout
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, INPUTS, Index, Manifest
from tests.integration import busybox
from tests.integration.catalogs import CATALOG, CHILD
from tests.integration.conftest import Work, digests, leftovers, record, states

pytestmark = pytest.mark.integration

ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


def test_both_architectures_are_built_tested_and_merged(work: Work) -> None:
    work.prepare(CATALOG)
    done = work.run("build")
    layout = Layout(work.root / "dist")
    entries = layout.entries()
    assert sorted(entries) == ["base:1.0", "base:1.0-aarch64", "base:1.0-x86_64"]
    index = layout.manifest(entries["base:1.0"])
    assert isinstance(index, Index)
    assert [str(child.platform) for child in index.images] == ["linux/amd64", "linux/arm64"]
    for arch, machine in ARCHITECTURES.items():
        entry = entries[f"base:1.0-{machine}"]
        manifest = layout.manifest(entry)
        assert isinstance(manifest, Manifest)
        configuration = json.loads(layout.read(manifest.config))
        assert configuration["architecture"] == arch
        assert configuration["created"] == "1970-01-01T00:00:00Z"
        assert manifest.annotations == {
            BASE_NAME: work.parent.reference,
            BASE_DIGEST: work.parent.platforms[arch],
            INPUTS: entry.annotations[INPUTS],
        }
        assert entry.digest.text in done.stdout
        assert layout.is_intact(entry, deep=True)
    assert leftovers() == ""


def test_a_second_build_needs_no_engine(work: Work) -> None:
    work.prepare(CATALOG)
    work.run("build")
    before = digests(work)
    work.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    work.run("build")
    assert set(states(work).values()) == {"up to date"}
    assert digests(work) == before


def test_two_builds_without_cache_have_the_same_digests(work: Work) -> None:
    work.prepare({**CATALOG, **CHILD})
    work.run("build")
    before = digests(work)
    work.run("build", "--no-cache")
    assert set(states(work).values()) == {"built"}
    assert digests(work) == before


def test_a_child_is_built_from_the_layout_and_again_when_its_parent_changes(work: Work) -> None:
    work.prepare({**CATALOG, **CHILD})
    work.run("build")
    before = digests(work)
    pinned = (work.root / "bases/child/2/Dockerfile_arm64").read_text()
    assert f"FROM --platform=linux/arm64 localhost/base:1.0@{before['base:1.0-aarch64']}\n" in pinned
    work.run("render", "--check")

    work.write({"bases/base/files/hello": "hello, other\n"})
    work.run("build", "--locked", code=1)
    assert states(work)["child:2@amd64"] == "failed"
    done = work.run("build")
    after = digests(work)
    assert {image["name"]: image["reason"] for image in record(work)["images"]} == {
        "base:1.0@amd64": "up to date",
        "base:1.0@arm64": "up to date",
        "child:2@amd64": "parent rebuilt: base:1.0",
        "child:2@arm64": "parent rebuilt: base:1.0",
    }
    assert all(before[name] != after[name] for name in before)
    for arch in ARCHITECTURES:
        assert (
            f"bases/child/2/Dockerfile_{arch}: rendered again, because the digest of a parent changed"
            in done.stderr
        )
    work.run("render", "--check")
    work.run("build", "--locked")


def test_a_dockerfile_that_a_killed_run_left_older_than_the_lock_is_rendered_again(work: Work) -> None:
    work.prepare({**CATALOG, **CHILD, "bases/catalog.yaml": "registry: localhost\nplatforms: [amd64]\n"})
    work.run("build")
    child = work.root / "bases/child/2/Dockerfile_amd64"
    behind = child.read_text()
    work.write({"bases/base/files/hello": "hello, other\n"})
    work.run("build")
    whole, built = child.read_text(), digests(work)
    assert whole != behind
    outdated, missing = (
        "rendered again, because pins of its parents were outdated",
        "rendered, because it did not exist",
    )
    for left, why in (
        (behind, outdated),
        (None, missing),
    ):  # after a kill between the lock and the Dockerfile
        child.unlink()
        if left:
            child.write_text(left)
            assert work.run("build", "--locked", code=1).stderr.splitlines() == [
                "bases/child/2/Dockerfile_amd64: is out of date; run `dfgen render`"
            ]
        assert f"bases/child/2/Dockerfile_amd64: {why}" in work.run("build").stderr.splitlines()
        assert (child.read_text(), digests(work)) == (whole, built)
    # Changes by a person or of a template need a review.
    child.write_text(behind.replace("RUN", "RUN true &&"))
    assert "edited" in work.run("build", code=1).stderr
    child.write_text(behind)
    work.write({"templates/child.j2": "FROM {{ parent }}\nRUN cat /arch > /other\n"})
    work.run("build", code=1)
    assert child.read_text() == behind


FAILING = {
    "templates/fails.j2": "FROM {{ parent }}\nRUN seq 1 30\nRUN seq 40 60; echo went wrong && exit 3\n",
    "bases/fails/base.yaml": (
        "template: fails.j2\nparent: PARENT\nversions: ['1']\nplatforms: [linux/arm64]\n"
    ),
}


def test_a_failed_build_is_reported_with_line_and_log_and_the_others_continue(work: Work) -> None:
    work.prepare({**CATALOG, **FAILING})
    done = work.run("build", code=1)
    assert states(work) == {
        "base:1.0@amd64": "built",
        "base:1.0@arm64": "built",
        "fails:1@arm64": "failed",
    }
    lines = (work.root / "bases/fails/1/Dockerfile_arm64").read_text().splitlines()
    line = lines.index("RUN seq 40 60; echo went wrong && exit 3") + 1
    why = (
        f"templates/fails.j2:3 (bases/fails/1/Dockerfile_arm64:{line}): RUN exited with 3: went wrong;"
        f" log: {work.root}/dist/logs/fails-1-arm64.log"
    )
    printed = done.stderr.splitlines()
    at = printed.index(why)
    assert printed[at - 10 : at] == [f"    {number}" for number in range(51, 61)]
    assert done.stderr.count("went wrong;") == 1
    assert "did not complete successfully" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not (set(Path(work.root / "dist" / ".partial").iterdir()))


def test_without_an_engine_the_error_says_what_to_do(work: Work) -> None:
    work.prepare(CATALOG)
    work.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    done = work.run("build", code=3)
    assert done.stderr.strip() == (
        "cannot connect to the Docker engine at unix:///nowhere/docker.sock; start it, or select"
        " another one with DOCKER_HOST or `docker context use`"
    )
    assert not (work.root / "dist" / "logs").exists()


def test_an_unreadable_parent_is_an_environment_error(work: Work, layers: Mapping[str, bytes]) -> None:
    registry, _, path = work.parent.reference.partition("/")
    # A parent that is new to the engine: it finds cached ones by digest, without a registry.
    work.parent = busybox.publish(registry, path.partition(":")[0], layers, note=uuid.uuid4().hex)
    work.prepare(CATALOG)
    work.write({"bases/catalog.yaml": f"mirrors: {{'{registry}': '127.0.0.1:1'}}\n"})
    work.run("render")
    done = work.run("build", code=3)
    pin = work.parent.platforms["arm64"]
    why = f"bases/base/1.0/Dockerfile_arm64: parent 127.0.0.1:1/{path}@{pin} cannot be read: "
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_provenance_is_kept_in_the_index(work: Work) -> None:
    work.prepare({**CATALOG, "bases/catalog.yaml": "registry: localhost\nprovenance: true\n"})
    work.run("build")
    layout = Layout(work.root / "dist")
    entries = layout.entries()
    index = layout.manifest(entries["base:1.0"])
    assert isinstance(index, Index)
    assert [str(child.platform) for child in index.images] == ["linux/amd64", "linux/arm64"]
    assert len([child for child in index.manifests if child.is_attestation]) == 2
    for machine in ARCHITECTURES.values():
        manifest = layout.manifest(entries[f"base:1.0-{machine}"])
        assert isinstance(manifest, Manifest)
        assert manifest.annotations[BASE_NAME] == work.parent.reference


def test_the_nodes_of_the_catalog_build_and_test(work: Work, tmp_path: Path) -> None:
    configuration = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    own = tmp_path / "docker"
    own.mkdir()
    if (configuration / "cli-plugins").exists():
        (own / "cli-plugins").symlink_to(configuration / "cli-plugins")
    work.environment["DOCKER_CONFIG"] = str(own)
    shown = subprocess.run(["docker", "context", "inspect"], capture_output=True, text=True, check=True)
    host = json.loads(shown.stdout)[0]["Endpoints"]["docker"]["Host"]
    subprocess.run(
        ["docker", "context", "create", "node", "--docker", f"host={host}"],
        env={**os.environ, **work.environment},
        capture_output=True,
        check=True,
    )
    # Only the node responds: a build on the default engine would fail.
    work.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    nodes = "builders:\n  amd64: {context: node}\n  arm64: {context: node}\n"
    work.prepare({**CATALOG, "bases/catalog.yaml": f"registry: localhost\n{nodes}"})
    work.run("build")
    assert set(states(work).values()) == {"built"}

    work.write({"bases/catalog.yaml": "registry: localhost\nbuilders:\n  arm64: {context: elsewhere}\n"})
    work.write({"bases/base/files/hello": "hello, other\n"})
    assert work.run("build", "base@arm64", code=3).stderr.strip() == (
        "builders: docker context 'elsewhere' does not exist; list contexts with `docker context ls`,"
        " or create one with `docker context create`"
    )


def test_other_clients_accept_published_images(work: Work) -> None:
    if shutil.which("crane") is None:
        pytest.skip("crane is not installed; apt-get install crane brings it")
    work.prepare(CATALOG)
    work.run("build")
    target = f"{os.environ['DFGEN_DEMO_REGISTRY']}/dfgen-test/{uuid.uuid4().hex}"
    work.run("publish", "--registry", target)
    work.run("verify", "--registry", target)
    for name, digest in digests(work).items():
        # `--fast` skips the layers, because crane cannot read uncompressed ones, as busybox has.
        command = ["crane", "validate", "--fast", "--remote", f"{target}/{name}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said = subprocess.run(
            ["crane", "digest", f"{target}/{name}"], capture_output=True, text=True, check=True
        )
        assert said.stdout.strip() == digest
