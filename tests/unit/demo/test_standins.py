"""Which stand-in serves for which upstream image."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import parents
import pytest
from home import DemoError, Home
from standins import choose, split_reference

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
def test_the_kind_follows_from_name_and_tag(
    name: str, suite: str, packages: tuple[str, ...], files: str
) -> None:
    found = choose(f"docker.io/library/{name}")
    assert (found.rootfs.suite, found.rootfs.packages, found.files) == (suite, packages, files)


def test_the_last_component_decides() -> None:
    assert choose("quay.io/a/b/nginx:1").files == "nginx"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "docker.io/library/redis:7",
            "'docker.io/library/redis:7': no stand-in for 'redis',"
            " expected one of eclipse-temurin, nginx, centos, almalinux, rockylinux",
        ),
        (
            "docker.io/library/eclipse-temurin:8-jre",
            "'docker.io/library/eclipse-temurin:8-jre': no stand-in for Java '8',"
            " expected a tag of 17, 21, 25",
        ),
        ("nginx:1", "'nginx:1': expected HOST/REPOSITORY:TAG, as in docker.io/library/nginx:1.30"),
        (
            "docker.io/library/nginx",
            "'docker.io/library/nginx': expected HOST/REPOSITORY:TAG, as in docker.io/library/nginx:1.30",
        ),
    ],
)
def test_what_has_no_stand_in_is_told(reference: str, message: str) -> None:
    with pytest.raises(DemoError) as caught:
        choose(reference)
    assert str(caught.value) == message
    assert caught.value.code == 2


def test_a_reference_is_split() -> None:
    assert split_reference("localhost:5000/a/b:1.0") == ("localhost:5000", "a/b", "1.0")


def test_a_stand_in_says_what_it_is() -> None:
    text = choose("docker.io/library/nginx:1.30").dockerfile()
    assert (
        'LABEL dfgen.stand-in="stand-in for docker.io/library/nginx:1.30,'
        ' made from Debian packages (bookworm), not the upstream image"'
    ) in text
    assert text.startswith("FROM scratch\nARG TARGETARCH\nADD ${TARGETARCH}.tar /\nCOPY files/ /\n")


def test_java_lies_where_the_upstream_image_has_it() -> None:
    settings = choose("docker.io/library/eclipse-temurin:17-jdk").settings
    assert "ENV JAVA_HOME=/opt/java/openjdk" in settings
    assert 'CMD ["jshell"]' in settings
    assert 'CMD ["jshell"]' not in choose("docker.io/library/eclipse-temurin:17-jre").settings


def test_the_recipe_follows_what_decides_the_image() -> None:
    wanted = choose("docker.io/library/centos:7")
    assert wanted.recipe() == choose("docker.io/library/centos:7").recipe()
    others = [
        dataclasses.replace(wanted, reference="docker.io/library/centos:8"),
        dataclasses.replace(wanted, settings=()),
        dataclasses.replace(wanted, files="java"),
        dataclasses.replace(wanted, rootfs=dataclasses.replace(wanted.rootfs, packages=("tini",))),
    ]
    assert len({wanted.recipe(), *(other.recipe() for other in others)}) == 5


def test_nothing_is_published_where_no_registry_answers() -> None:
    assert not parents.is_published(1, choose("docker.io/library/centos:7"))


def test_a_registry_must_run(tmp_path: Path) -> None:
    with pytest.raises(DemoError) as caught:
        parents.make_parents(Home(root=tmp_path), ["docker.io/library/centos:7"])
    assert str(caught.value) == ("the demo's registry does not run; run: python3 examples/demo/engine.py up")


def documents(recipes: dict[str, str]) -> dict[str, str]:
    """What a registry has for one index of these architectures and recipes."""
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
def test_what_is_published_is_known_by_its_recipe(recipes: dict[str, str], *, published: bool) -> None:
    wanted = choose("docker.io/library/centos:7")
    named = {arch: recipe.replace("R", wanted.recipe()) for arch, recipe in recipes.items()}
    with serving(documents(named)) as port:
        assert parents.is_published(port, wanted) is published


def test_another_image_under_the_name_is_not_the_stand_in() -> None:
    base = "/v2/docker.io/library/centos"
    found = {
        f"{base}/manifests/7": '{"manifests": [{"digest": "a"}]}',
        f"{base}/manifests/a": '{"config": {"digest": "c"}}',
        f"{base}/blobs/c": '{"architecture": "amd64", "config": {"Labels": null}}',
    }
    with serving(found) as port:
        assert parents.published_recipes(port, "docker.io/library/centos:7") == {("amd64", "")}


def test_the_build_context(tmp_path: Path) -> None:
    wanted = choose("docker.io/library/centos:7")
    roots = {}
    for arch in ("amd64", "arm64"):
        roots[arch] = tmp_path / f"cached-{arch}"
        roots[arch].write_text(arch)
    folder = tmp_path / "context"
    folder.mkdir()
    parents.write_context(wanted, roots, folder)
    assert (folder / "arm64.tar").read_text() == "arm64"
    assert (folder / "files/etc/dfgen-stand-in").read_text() == f"{wanted.title}\n"
    assert (folder / "files/usr/bin/yum").is_symlink()
    assert {path.lstat().st_mtime for path in (folder / "files").rglob("*")} == {parents.FILE_TIME}
