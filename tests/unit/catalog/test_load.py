"""Loading a catalog: defaults, families, parents, cycles, the build order and mirrors."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.graph import in_order
from dfgen.catalog.load import load
from dfgen.catalog.model import Builder
from dfgen.errors import InputError
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference
from dfgen.templating import Templates
from tests.unit.catalogs import FAMILY, images, loaded, problems, write


def _on(parent: str, version: str = "1.0", more: str = "") -> str:
    return f"template: t.j2\nparent: {parent}\nversions: ['{version}']\n{more}"


def test_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, Templates(tmp_path / "templates", "templates"))
    assert str(caught.value) == (
        f"bases/: no catalog in {tmp_path}; run `dfgen init`, or pass its folder with -C"
    )


def test_no_family(tmp_path: Path) -> None:
    assert problems(tmp_path, catalog="platforms: [amd64]\n") == [
        "bases/: contains no family; run `dfgen new FAMILY`"
    ]


@pytest.mark.parametrize(("value", "mode"), [("false", ""), ("true", "max"), ("max", "max"), ("min", "min")])
def test_provenance_modes(tmp_path: Path, value: str, mode: str) -> None:
    catalog = loaded(tmp_path, FAMILY, f"registry: localhost\nprovenance: {value}\n")
    assert catalog.provenance == mode


def test_an_unknown_provenance_mode(tmp_path: Path) -> None:
    assert problems(tmp_path, catalog="registry: localhost\nprovenance: full\n") == [
        "bases/catalog.yaml:2:13: expected true, false, min or max, found 'full'"
    ]


def test_settings_of_the_catalog(tmp_path: Path) -> None:
    text = (
        "registry: r.example.com/x\nsource_date_epoch: 7\nprovenance: true\ninsecure_registries: ['a:5000']\n"
        "ca_file: ca.pem\nbuilders: {aarch64: {context: arm}, x64: [{builder: b}, {context: c, jobs: 4}]}\n"
    )
    catalog = loaded(tmp_path, FAMILY, text)
    assert (catalog.registry, catalog.source_date_epoch, catalog.provenance) == ("r.example.com/x", 7, "max")
    assert (catalog.insecure_registries, catalog.ca_file) == (frozenset({"a:5000"}), tmp_path / "ca.pem")
    assert catalog.builders == {
        Platform.parse("arm64"): (Builder(context="arm"),),
        Platform.parse("amd64"): (Builder(builder="b"), Builder(context="c", jobs=4)),
    }
    assert str(catalog.reference("app", "1.0")) == "r.example.com/x/app:1.0"
    assert str(catalog.reference("app", "1.0", "localhost:5000")) == "localhost:5000/app:1.0"


def test_defaults_without_a_catalog_file(tmp_path: Path) -> None:
    catalog = loaded(tmp_path, FAMILY)
    assert (catalog.registry, catalog.source_date_epoch, catalog.ca_file) == ("localhost", 0, None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "registry: https://x\nmirrors: {docker.io: 'a b'}\nbuilders: {z80: {context: c}}\n",
            [
                "bases/catalog.yaml:1:11: invalid registry 'https://x'; expected a registry and path such as"
                " registry.example.com/platform",
                "bases/catalog.yaml:2:22: invalid registry 'a b'; expected a registry and path such as"
                " registry.example.com/platform",
                "bases/catalog.yaml:3:17: unknown architecture 'z80'; supported: linux/amd64, linux/arm64,"
                " linux/arm/v7, linux/ppc64le, linux/s390x and linux/riscv64",
            ],
        ),
        (
            "platforms: [z80]\n",
            [
                "bases/catalog.yaml:1:13: unknown architecture 'z80'; supported: linux/amd64, linux/arm64,"
                " linux/arm/v7, linux/ppc64le, linux/s390x and linux/riscv64",
            ],
        ),
    ],
)
def test_errors_of_the_catalogs_settings(tmp_path: Path, text: str, found: list[str]) -> None:
    assert problems(tmp_path, FAMILY, text) == found


def test_problems_of_all_files_are_reported_together(tmp_path: Path) -> None:
    assert problems(tmp_path, "a: [", "b: 1\n", lib="{}", Lib=FAMILY) == [
        "bases/catalog.yaml:1:1: unknown key 'b'; known keys are build_cache, builders, ca_file, insecure_registries,"
        " jinja, labels, mirrors, package_lock, platforms, provenance, registry, sbom, source_date_epoch and variables",
        "bases/Lib/base.yaml: 'Lib' is not a family name; expected lower-case letters and digits, with single '.', '_' or '-' between them",
        "bases/app/base.yaml:2:1: invalid YAML: did not find expected node content",
        "bases/lib/base.yaml:1:1: expected 'versions', 'matrix' or both",
        "bases/lib/base.yaml:1:1: key 'template' is missing",
    ]


@pytest.mark.parametrize("name", ["a:b", "a b", "-a", "a@b", "ä", "a\nb"])
def test_a_folder_with_an_invalid_family_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, {f"bases/{name}/base.yaml": FAMILY})
    (found,) = problems(tmp_path)
    shown = name.replace("\n", "\\n")
    assert found == (
        f"bases/{shown}/base.yaml: '{shown}' is not a family name; expected lower-case letters and digits,"
        " with single '.', '_' or '-' between them"
    )


def test_a_family_as_parent(tmp_path: Path) -> None:
    found = images(
        tmp_path, _on("lib:2"), "registry: r.example.com/x\n", lib=_on("docker.io/library/busybox:1", "2")
    )
    parent = found["app:1.0@arm64"].parent
    assert (parent.family, parent.version, parent.key) == ("lib", "2", "lib:2")
    assert str(parent.reference) == "r.example.com/x/lib:2"


def test_a_family_as_parent_by_its_published_name(tmp_path: Path) -> None:
    found = images(
        tmp_path,
        _on("r.example.com/x/lib:2"),
        "registry: r.example.com/x\n",
        lib=_on("docker.io/library/busybox:1", "2"),
    )
    assert found["app:1.0@amd64"].parent.key == "lib:2"


def test_an_upstream_image_with_the_name_of_a_family(tmp_path: Path) -> None:
    parent = images(tmp_path, _on("docker.io/library/app:2"))["app:1.0@amd64"].parent
    assert (parent.family, parent.key) == ("", "docker.io/library/app:2")


def test_a_parent_with_a_digest(tmp_path: Path) -> None:
    digest = f"sha256:{'a' * 64}"
    parent = images(tmp_path, _on(f"docker.io/library/busybox@{digest}"))["app:1.0@amd64"].parent
    assert parent.key == f"docker.io/library/busybox@{digest}"


@pytest.mark.parametrize(
    ("parent", "found"),
    [
        ("docker.io/library/busybox", "parent 'docker.io/library/busybox' has no tag; write docker.io/library/busybox:TAG"),
        ("host:5000/busybox", "parent 'host:5000/busybox' has no tag; write host:5000/busybox:TAG"),
        ("lub", "parent 'lub' has no tag (did you mean 'lib'?); write lub:TAG"),
        ("Busybox:1", "'Busybox:1' is not an image reference: 'Busybox' is not a repository; repository names must be lowercase; expected [registry/]name[:tag][@digest]"),
        ("'busybox:1 AS x'", "'busybox:1 AS x' is not an image reference: '1 AS x' is not a tag; expected [registry/]name[:tag][@digest]"),
        ("'{{ jva }}:1'", "in '{{ jva }}:1': 'jva' is not defined"),
        ("lib", "parent 'lib' is a family of this catalog; expected lib:VERSION"),
        (f"lib@sha256:{'a' * 64}", f"parent 'lib@sha256:{'a' * 64}' is a family of this catalog; expected lib:VERSION"),
        (f"lib:2@sha256:{'a' * 64}", f"parent 'lib:2@sha256:{'a' * 64}' is a family of this catalog; expected lib:VERSION"),
        ("lib:3", "family 'lib' has no version '3', only 2; for an upstream image, add its registry: docker.io/library/lib:3"),
    ],
)  # fmt: skip
def test_errors_of_a_parent(tmp_path: Path, parent: str, found: str) -> None:
    lib = _on("docker.io/library/busybox:1", "2")
    assert problems(tmp_path, _on(parent), lib=lib) == [f"bases/app/base.yaml:2:9: {found}"]


def test_a_parent_that_is_missing_for_a_platform(tmp_path: Path) -> None:
    lib = _on("docker.io/library/busybox:1", "2", "platforms: [amd64, s390x]\n")
    assert problems(tmp_path, _on("lib:2"), lib=lib) == [
        "bases/app/base.yaml:2:9: parent lib:2 is not built for linux/arm64, only for linux/amd64 and linux/s390x"
    ]


def test_a_stages_parent_that_is_missing_for_its_platform(tmp_path: Path) -> None:
    lib = _on("docker.io/library/busybox:1", "2", "platforms: [arm64, amd64]\n")
    app = _on("lib:2", more="parents: {x: {image: 'lib:2', platform: s390x}}\n")
    assert problems(tmp_path, app, lib=lib) == [
        "bases/app/base.yaml:4:14: parent lib:2 is not built for linux/s390x, only for linux/arm64 and linux/amd64"
    ]


@pytest.mark.parametrize(
    ("families", "message"),
    [
        ({"a": _on("b:1.0"), "b": _on("a:1.0")}, "bases/b/base.yaml:2:9: parents form a cycle: a → b → a"),
        ({"a": _on("a:1.0")}, "bases/a/base.yaml:2:9: parents form a cycle: a → a"),
        (
            {"a": _on("b:1.0"), "b": _on("c:1.0"), "c": _on("b:1.0")},
            "bases/c/base.yaml:2:9: parents form a cycle: b → c → b",
        ),
        (
            {
                "a": "template: t.j2\nparent: x:1\n"
                "versions:\n  '1':\n    parent: a:2\n  '2':\n    parent: a:1\n"
            },
            "bases/a/base.yaml:7:13: parents form a cycle: a:1 → a:2 → a:1",
        ),
        (
            {"a": _on("docker.io/library/x:1", more="parents: {s: 'b:1.0'}\n"), "b": _on("a:1.0")},
            "bases/b/base.yaml:2:9: parents form a cycle: a → b → a",
        ),
    ],
)
def test_a_cycle(tmp_path: Path, families: dict[str, str], message: str) -> None:
    assert problems(tmp_path, **families) == [message]


def test_a_diamond_is_sorted_with_parents_first(tmp_path: Path) -> None:
    families = {
        "a": _on("b:1.0", more="parents: {s: 'c:1.0'}\n"),
        "b": _on("d:1.0"),
        "c": _on("d:1.0"),
        "d": _on("docker.io/library/x:1"),
    }
    found = loaded(tmp_path, **families).images
    assert [image.name for image in in_order(found)] == [
        f"{name}:1.0@{arch}" for arch in ("amd64", "arm64") for name in ("d", "b", "c", "a")
    ]
    assert [image.name for image in in_order(image for image in found if image.family.name in "ad")] == [
        f"{name}:1.0@{arch}" for name in ("a", "d") for arch in ("amd64", "arm64")
    ]


def test_a_chain_longer_than_the_recursion_limit(tmp_path: Path) -> None:
    versions = "".join(f"  v{n}: {{parent: 'a:v{n + 1}'}}\n" for n in range(1500))
    text = (
        f"template: t.j2\nparent: docker.io/library/x:1\nplatforms: [amd64]\nversions:\n{versions}  v1500:\n"
    )
    found = in_order(loaded(tmp_path, a=text).images)
    assert [image.version for image in found] == [f"v{n}" for n in range(1500, -1, -1)]


def test_duplicate_tags(tmp_path: Path) -> None:
    text = "template: t.j2\nparent: docker.io/library/x:1\nplatforms: [amd64, x64]\nversions: ['1']\n"
    assert problems(tmp_path, text) == [
        "bases/app/base.yaml:1:11: duplicate tag app:1-x86_64: platform linux/amd64 is listed twice"
    ]
    text = "template: t.j2\nparent: docker.io/library/x:1\nplatforms: [amd64]\nversions: ['1', 1-x86_64]\n"
    assert problems(tmp_path, text) == [
        "bases/app/base.yaml:1:11: duplicate tag app:1-x86_64: used by image app:1@amd64 and version"
        " app:1-x86_64"
    ]


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("tt.j2", " (did you mean 't.j2'?)"),
        ("zzzzzz", "; templates/ contains t.j2"),
        ("../t.j2", " (did you mean 't.j2'?)"),
    ],
)
def test_a_template_that_does_not_exist(tmp_path: Path, template: str, hint: str) -> None:
    text = f"template: {template}\nparent: docker.io/library/x:1\nversions: ['1']\n"
    assert problems(tmp_path, text) == [
        f"bases/app/base.yaml:1:11: template {template!r} does not exist{hint}"
    ]


def test_a_template_per_version(tmp_path: Path) -> None:
    text = "template: '{{ kind }}.j2'\nparent: docker.io/library/x:1\nversions: {a: {variables: {kind: t}}}\n"
    assert images(tmp_path, text)["app:a@amd64"].template == "t.j2"


@pytest.mark.parametrize(
    ("parent", "mirrored"),
    [
        ("docker.io/library/nginx:1", "mirror.example.com/hub/library/nginx:1"),
        ("nginx:1", "mirror.example.com/hub/library/nginx:1"),
        ("docker.io/library/centos:7", "old.example.com/centos:7"),
        ("docker.io/library/centos-x:7", "mirror.example.com/hub/library/centos-x:7"),
        ("quay.io/a/b:1", "quay.io/a/b:1"),
        ("docker.io.example.com/a:1", "docker.io.example.com/a:1"),
    ],
)
def test_mirrors(tmp_path: Path, parent: str, mirrored: str) -> None:
    text = (
        "mirrors:\n  docker.io: mirror.example.com/hub\n  docker.io/library/centos: old.example.com/centos\n"
    )
    catalog = loaded(tmp_path, _on(parent), text)
    assert str(catalog.mirrored(Reference.parse(parent))) == mirrored
    pinned = catalog.mirrored(Reference.parse(f"{parent}@sha256:{'a' * 64}"))
    assert str(pinned) == f"{mirrored}@sha256:{'a' * 64}"


def test_a_mirror_does_not_change_a_parents_key_in_the_lock(tmp_path: Path) -> None:
    catalog = loaded(tmp_path, _on("nginx:1"), "mirrors: {docker.io: mirror.example.com}\n")
    assert {parent.key for parent in catalog.upstream_parents()} == {"docker.io/library/nginx:1"}


@pytest.mark.parametrize("context", ["/etc", "../../..", "files/../../../../x"])
def test_a_context_outside_the_catalogs_folder(tmp_path: Path, context: str) -> None:
    base = f"template: t.j2\nparent: docker.io/library/busybox:1\nversions: ['1']\ncontext: {context}\n"
    message = f"context {context!r} is outside the catalog's folder; use a folder inside it"
    assert problems(tmp_path, base) == [f"bases/app/base.yaml:4:10: {message}"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("bases/web/base.yml", "base"),
        ("bases/web/Base.yaml", "base"),
        ("bases/Catalog.yml", "catalog"),
        ("bases/catalog.yml", "catalog"),
    ],
)
def test_another_ending_is_reported(path: str, name: str, tmp_path: Path) -> None:
    found = problems(tmp_path, FAMILY, **{path: FAMILY})
    assert found == [f"{path}: dfgen reads {name}.yaml only; rename the file"]
