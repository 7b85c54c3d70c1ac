"""The choice of a stand-in for an upstream image, its recipe and its publication."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import images
import parents
import pytest
from home import DemoError, Home
from standins import choose, split_reference

from tests.fakes.registry import FakeRegistry, Fault

from .serving import serving


@pytest.mark.parametrize(
    ("name", "suite", "packages", "files"),
    [
        ("eclipse-temurin:17-jre-noble", "bookworm", ("openjdk-17-jre-headless",), "java"),
        ("eclipse-temurin:17.0.16_8-jdk-noble", "bookworm", ("openjdk-17-jdk-headless",), "java"),
        ("eclipse-temurin:21-jre-noble", "trixie", ("openjdk-21-jre-headless",), "java"),
        ("eclipse-temurin:25", "trixie", ("openjdk-25-jdk-headless",), "java"),
        ("nginx:1.30.5", "bookworm", ("nginx",), "nginx"),
        ("centos:7", "bookworm", (), "rpm"),
        ("almalinux:9.8-20260902", "bookworm", (), "rpm"),
        ("rockylinux:9", "bookworm", (), "rpm"),
    ],
)
def test_name_and_tag_select_the_stand_in(
    name: str, suite: str, packages: tuple[str, ...], files: str
) -> None:
    found = choose(f"docker.io/library/{name}")
    assert (found.rootfs.suite, found.rootfs.packages, found.files) == (suite, packages, files)


def test_the_last_component_of_the_repository_decides() -> None:
    assert choose("quay.io/a/b/nginx:1").files == "nginx"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "docker.io/library/redis:7",
            "'docker.io/library/redis:7': no stand-in for 'redis';"
            " supported: eclipse-temurin, nginx, centos, almalinux, rockylinux",
        ),
        (
            "docker.io/library/eclipse-temurin:8-jre",
            "'docker.io/library/eclipse-temurin:8-jre': no stand-in for Java '8'; supported: 17, 21, 25",
        ),
        (
            "nginx:1",
            "'nginx:1': not a full reference; use HOST/REPOSITORY:TAG,"
            " for example docker.io/library/nginx:1.30",
        ),
        (
            "docker.io/library/nginx",
            "'docker.io/library/nginx': not a full reference; use HOST/REPOSITORY:TAG,"
            " for example docker.io/library/nginx:1.30",
        ),
    ],
)
def test_a_reference_without_a_stand_in_is_rejected(reference: str, message: str) -> None:
    with pytest.raises(DemoError) as caught:
        choose(reference)
    assert str(caught.value) == message
    assert caught.value.code == 2


def test_a_reference_is_split() -> None:
    assert split_reference("localhost:5000/a/b:1.0") == ("localhost:5000", "a/b", "1.0")


def test_a_stand_in_is_labelled() -> None:
    wanted = choose("docker.io/library/nginx:1.30")
    assert wanted.config()["Labels"] == {
        "dfgen.stand-in": (
            "stand-in for docker.io/library/nginx:1.30, made from Debian packages (bookworm),"
            " not the upstream image"
        ),
        "dfgen.stand-in.recipe": wanted.recipe(),
    }
    assert wanted.config()["ExposedPorts"] == {"80/tcp": {}}


def test_java_is_at_the_path_of_the_upstream_image() -> None:
    settings = choose("docker.io/library/eclipse-temurin:17-jdk").settings
    assert "JAVA_HOME=/opt/java/openjdk" in settings["Env"]
    assert settings["Cmd"] == ["jshell"]
    assert "Cmd" not in choose("docker.io/library/eclipse-temurin:17-jre").settings


def test_the_recipe_depends_on_everything_that_determines_the_image() -> None:
    wanted = choose("docker.io/library/centos:7")
    assert wanted.recipe() == choose("docker.io/library/centos:7").recipe()
    others = [
        dataclasses.replace(wanted, reference="docker.io/library/centos:8"),
        dataclasses.replace(wanted, settings={}),
        dataclasses.replace(wanted, files="java"),
        dataclasses.replace(wanted, rootfs=dataclasses.replace(wanted.rootfs, packages=("tini",))),
    ]
    assert len({wanted.recipe(), *(other.recipe() for other in others)}) == 5


def test_nothing_is_published_if_no_registry_answers() -> None:
    assert not parents.is_published(1, choose("docker.io/library/centos:7"))


def test_a_registry_must_be_running(tmp_path: Path) -> None:
    with pytest.raises(DemoError) as caught:
        parents.make_parents(Home(root=tmp_path), ["docker.io/library/centos:7"])
    assert str(caught.value) == (
        "the demo's registry is not running; run: python3 examples/demo/engine.py up"
    )


def documents(recipes: dict[str, str]) -> dict[str, str]:
    """Return the documents of a registry for one index with these architectures and recipes."""
    base = "/v2/docker.io/library/centos"
    found: dict[str, object] = {f"{base}/manifests/7": {"manifests": [{"digest": arch} for arch in recipes]}}
    for arch, recipe in recipes.items():
        found[f"{base}/manifests/{arch}"] = {"config": {"digest": f"c-{arch}"}}
        labels = {"dfgen.stand-in.recipe": recipe}
        found[f"{base}/blobs/c-{arch}"] = {"architecture": arch, "config": {"Labels": labels}}
    return {path: json.dumps(document) for path, document in found.items()}


@pytest.mark.parametrize(
    ("recipes", "published"),
    [
        ({"amd64": "R", "arm64": "R"}, True),
        ({"amd64": "R"}, False),
        ({"amd64": "R", "arm64": "old"}, False),
        ({}, False),
    ],
)
def test_a_published_stand_in_is_recognized_by_its_recipe(
    recipes: dict[str, str], *, published: bool
) -> None:
    wanted = choose("docker.io/library/centos:7")
    named = {arch: recipe.replace("R", wanted.recipe()) for arch, recipe in recipes.items()}
    with serving(documents(named)) as port:
        assert parents.is_published(port, wanted) is published


def test_another_image_with_the_same_name_is_not_the_stand_in() -> None:
    base = "/v2/docker.io/library/centos"
    found = {
        f"{base}/manifests/7": '{"manifests": [{"digest": "a"}]}',
        f"{base}/manifests/a": '{"config": {"digest": "c"}}',
        f"{base}/blobs/c": '{"architecture": "amd64", "config": {"Labels": null}}',
    }
    with serving(found) as port:
        assert parents.published_recipes(port, "docker.io/library/centos:7") == {("amd64", "")}


def test_the_files_of_a_stand_in_are_written(tmp_path: Path) -> None:
    wanted = choose("docker.io/library/centos:7")
    parents.write_files(wanted, tmp_path)
    assert (tmp_path / "etc/dfgen-stand-in").read_text() == f"{wanted.title}\n"
    assert (tmp_path / "usr/bin/yum").is_symlink()
    assert (tmp_path / "usr/bin/dnf").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "etc/yum.repos.d/stand-in.repo").stat().st_mode & 0o777 == 0o644


def test_a_stand_in_is_published_and_recognized(tmp_path: Path) -> None:
    wanted = choose("docker.io/library/centos:7")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/file").write_text("content")
    layer = images.pack(tmp_path / "root", tmp_path / "root.tar.gz")
    home = Home(root=tmp_path)
    home.parents.mkdir()
    with FakeRegistry() as server:
        parents.publish(home, server.port, wanted, {"amd64": layer, "arm64": layer})
        assert parents.is_published(server.port, wanted)
        assert not parents.is_published(server.port, choose("docker.io/library/centos:8"))
        blobs = server.blobs["docker.io/library/centos"]
        assert len(blobs) == 4, "one root, one layer of files, two configurations"
        server.script("POST", "/uploads/", Fault(status=507))
        with pytest.raises(DemoError) as caught:
            images.push_blob(server.port, "a/b", b"new", images.digest_of(b"new"))
    assert str(caught.value).startswith("POST /v2/a/b/blobs/uploads/: HTTP Error 507")
    assert str(caught.value).endswith("; see registry/registry.log in the demo's folder")
    assert list(home.parents.iterdir()) == [], "nothing is left behind"
