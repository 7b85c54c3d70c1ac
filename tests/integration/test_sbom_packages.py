"""An SBOM of an image's own packages: made without a generator, published, and found by other tools."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from dfgen.oci.layout import Layout
from dfgen.oci.manifest import Index, Manifest
from dfgen.sbom.model import CYCLONEDX
from tests.integration.conftest import Work, digests, states

pytestmark = pytest.mark.integration

STATUS = """\
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
CATALOG = {
    "templates/app.j2": (
        "FROM {{ parent }}\nCOPY status /var/lib/dpkg/status\n"
        "RUN printf 'ID=debian\\nVERSION_ID=\"12\"\\n' > /etc/os-release\n"
    ),
    "templates/empty.j2": "FROM {{ parent }}\nRUN rm -r /var/lib/dpkg\n",
    "bases/app/base.yaml": "template: app.j2\nparent: PARENT\nplatforms: [amd64, arm64]\nversions: ['1']\n",
    "bases/app/status": STATUS,
    "bases/empty/base.yaml": "template: empty.j2\nparent: app:1\nplatforms: [amd64]\nversions: ['1']\n",
}


def tool(*words: str) -> Any:
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_an_sbom_of_packages_goes_with_the_image_and_leaves_it_as_it_is(work: Work) -> None:
    registry = f"{os.environ['DFGEN_DEMO_REGISTRY']}/dfgen-sbom/{uuid.uuid4().hex}"
    work.prepare({**CATALOG, "bases/catalog.yaml": f"registry: {registry}\n"})
    work.run("build", "app")
    plain = digests(work)

    work.write({"bases/catalog.yaml": f"registry: {registry}\nsbom: packages\n"})
    planned = work.run("plan", "app")
    assert planned.stdout.count("SBOM changed") == 2
    assert "SBOMs by dfgen, from each image's package database\n" in planned.stderr
    refused = work.run("publish", "app", code=1)
    assert "app:1@amd64: SBOM changed" in refused.stderr
    built = work.run("build", "app")
    assert "packages in the SBOMs of what was built: 2\n" in built.stderr
    after = digests(work)
    assert {name: after[name] for name in plain if name != "app:1"} == {
        name: digest for name, digest in plain.items() if name != "app:1"
    }
    assert after["app:1"] != plain["app:1"]
    work.run("gc")
    work.run("publish", "app")
    work.run("verify", "app")
    assert work.run("inspect", f"{registry}/app:1").stdout.count(f"({CYCLONEDX})") == 2
    found_by_other_tools(f"{registry}/app", after, work.root.parent / "copy")
    on_a_fresh_machine(work, after)


def on_a_fresh_machine(work: Work, after: dict[str, str]) -> None:
    """Images come with their SBOMs from the registry, and without a registry they are the same."""
    for words, state in ((["--cache-from-registry"], "taken"), ([], "built")):
        shutil.rmtree(work.root / "dist")
        work.run("build", "app", *words)
        assert set(states(work).values()) == {state}
        assert digests(work) == after


def found_by_other_tools(repository: str, after: dict[str, str], copy: Path) -> None:
    index = tool("crane", "manifest", f"{repository}:1")
    (entry,) = [
        one
        for one in index["manifests"]
        if one.get("artifactType") == CYCLONEDX
        and one["annotations"]["vnd.docker.reference.digest"] == after["app:1-x86_64"]
    ]
    manifest = tool("crane", "manifest", f"{repository}@{entry['digest']}")
    assert manifest["subject"]["digest"] == after["app:1-x86_64"]
    (layer,) = manifest["layers"]
    sbom = tool("crane", "blob", f"{repository}@{layer['digest']}")
    assert [one.get("purl") for one in sbom["components"]] == [  # the last one is Debian itself
        "pkg:deb/debian/bash@5.2.15-2%2Bb7?arch=amd64&distro=debian-12",
        None,
    ]
    # Into a folder: in a registry, skopeo would replace blobs by others of the same content that its cache knows,
    # from whatever else was copied on this machine, and the digests of manifests would change.
    command = ["skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{repository}:1", f"dir:{copy}"]
    subprocess.run(command, check=True)
    copied = json.loads((copy / "manifest.json").read_text())
    assert [one["digest"] for one in copied["manifests"]] == [one["digest"] for one in index["manifests"]]


def test_no_package_is_never_silent_and_switched_off_the_sbom_goes(work: Work) -> None:
    registry = f"{os.environ['DFGEN_DEMO_REGISTRY']}/dfgen-sbom/{uuid.uuid4().hex}"
    work.prepare({**CATALOG, "bases/catalog.yaml": f"registry: {registry}\nsbom: packages\n"})
    built = work.run("build", "empty")
    assert (
        "empty:1@amd64: its SBOM has 0 packages of debian 12: it has no package database\n"
        "packages in the SBOMs of what was built: 2\n"
    ) in built.stderr
    assert "0 of 3 images to build" in work.run("plan", "empty").stderr

    work.write({"bases/catalog.yaml": f"registry: {registry}\n"})
    work.run("build", "empty")
    assert states(work) == {"app:1@amd64": "built", "app:1@arm64": "built", "empty:1@amd64": "built"}
    layout = Layout(work.root / "dist")
    assert not [entry for entry in layout.descriptors() if entry.is_attestation]
    merged = layout.manifest(layout.entries()["empty:1"])
    assert isinstance(merged, Index)
    assert len(merged.manifests) == 1


SPEC = """\
Name: {name}
Version: 1.5
Release: 3
Summary: x
License: MIT
BuildArch: noarch
%description
x
%files
"""
RPMS = {
    "templates/app.j2": (
        "FROM {{ parent }}\nCOPY db/ /usr/lib/sysimage/rpm/\n"
        "RUN printf 'ID=rocky\\nVERSION_ID=9\\n' > /etc/os-release\n"
    ),
    "bases/app/base.yaml": "template: app.j2\nparent: PARENT\nplatforms: [amd64]\nversions: ['1']\n",
    "bases/catalog.yaml": "sbom: packages\n",
}


@pytest.mark.skipif(not shutil.which("rpmbuild"), reason="needs Debian's package rpm")
def test_a_database_that_rpm_itself_wrote_is_read(work: Work, tmp_path: Path) -> None:
    database = work.root / "bases" / "app" / "db"
    for name in ("alpha", "beta"):
        (tmp_path / f"{name}.spec").write_text(SPEC.format(name=name))
        define = ["--define", f"_topdir {tmp_path}/top"]
        subprocess.run(["rpmbuild", *define, "-bb", str(tmp_path / f"{name}.spec")], check=True)
    database.mkdir(parents=True)
    rpms = map(str, sorted(tmp_path.glob("top/RPMS/noarch/*.rpm")))
    subprocess.run(["rpm", "--dbpath", str(database), "-i", "--justdb", "--nodeps", *rpms], check=True)
    work.prepare(RPMS)
    built = work.run("build")
    assert "packages in the SBOMs of what was built: 2\n" in built.stderr
    assert "its SBOM" not in built.stderr
    layout = Layout(work.root / "dist")
    (entry,) = layout.attestations(layout.entries()["app:1-x86_64"].digest)
    manifest = layout.manifest(entry)
    assert isinstance(manifest, Manifest)
    sbom = json.loads(layout.read(manifest.layers[0]))
    assert [one["purl"] for one in sbom["components"] if "purl" in one] == [
        f"pkg:rpm/rocky/{name}@1.5-3?arch=noarch&distro=rocky-9&upstream={name}-1.5-3.src.rpm"
        for name in ("alpha", "beta")
    ]
