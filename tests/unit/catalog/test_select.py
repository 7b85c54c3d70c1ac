"""The forms of SELECT, and the errors of words without a match."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.model import Image
from dfgen.catalog.select import select
from dfgen.errors import InputError
from tests.unit.catalogs import loaded

JAVA = "template: t.j2\nparent: docker.io/library/busybox:1\nversions: ['1.0', '1.1', '2.0']\n"
NGINX = "template: t.j2\nparent: docker.io/library/busybox:1\nversions: ['1.0']\nplatforms: [amd64, s390x]\n"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Image, ...]:
    return loaded(tmp_path_factory.mktemp("catalog"), **{"java-base": JAVA, "nginx-base": NGINX}).images


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], "java-base:1.0@amd64 java-base:1.0@arm64 java-base:1.1@amd64 java-base:1.1@arm64 java-base:2.0@amd64 java-base:2.0@arm64 nginx-base:1.0@amd64 nginx-base:1.0@s390x"),
        (["nginx-base"], "nginx-base:1.0@amd64 nginx-base:1.0@s390x"),
        (["java-base:1.0"], "java-base:1.0@amd64 java-base:1.0@arm64"),
        (["java-base:1.0@arm64"], "java-base:1.0@arm64"),
        (["java-base:1.0@linux/arm64/v8"], "java-base:1.0@arm64"),
        (["java-base:1.0@AARCH64"], "java-base:1.0@arm64"),
        (["nginx-base@s390x"], "nginx-base:1.0@s390x"),
        (["*-base:1.0@x64"], "java-base:1.0@amd64 nginx-base:1.0@amd64"),
        (["java-base:1.*@arm64"], "java-base:1.0@arm64 java-base:1.1@arm64"),
        (["*@s390x"], "nginx-base:1.0@s390x"),
        (["bases/java-base/1.0/Dockerfile_arm64"], "java-base:1.0@arm64"),
        (["./bases/java-base/1.0/Dockerfile_arm64"], "java-base:1.0@arm64"),
        (["bases/java-base/1.0"], "java-base:1.0@amd64 java-base:1.0@arm64"),
        (["bases/nginx-base/"], "nginx-base:1.0@amd64 nginx-base:1.0@s390x"),
        (["nginx-base@s390x", "java-base:2.0@amd64", "java-base:2.0"], "java-base:2.0@amd64 java-base:2.0@arm64 nginx-base:1.0@s390x"),
    ],
)  # fmt: skip
def test_every_form(images: tuple[Image, ...], words: list[str], found: str) -> None:
    assert " ".join(image.name for image in select(images, words)) == found


EXPECTED = "use FAMILY, FAMILY:VERSION or FAMILY:VERSION@ARCH"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("jav-base", f"no image matches 'jav-base' (did you mean 'java-base'?); {EXPECTED}"),
        (
            "java-base:1.2",
            f"no image matches 'java-base:1.2' (did you mean 'java-base:1.1'?); {EXPECTED}",
        ),
        ("java-base:", f"no image matches 'java-base:' (did you mean 'java-base'?); {EXPECTED}"),
        (
            "java-base@s390x",
            f"no image matches 'java-base@s390x' (did you mean 'java-base'?); {EXPECTED}",
        ),
        ("", f"no image matches ''; the families are java-base and nginx-base; {EXPECTED}"),
        ("zzz", f"no image matches 'zzz'; the families are java-base and nginx-base; {EXPECTED}"),
        (
            "bases/java-base/1.0/Dockerfile_arm",
            "no image matches 'bases/java-base/1.0/Dockerfile_arm' (did you mean"
            f" 'bases/java-base/1.0/Dockerfile_arm64'?); {EXPECTED}",
        ),
        (
            "java-base@arm65",
            "unknown architecture 'arm65' (did you mean 'arm64'?); supported: linux/amd64, linux/arm64, linux/arm/v7,"
            " linux/ppc64le, linux/s390x and linux/riscv64",
        ),
    ],
)
def test_a_word_without_a_match(images: tuple[Image, ...], word: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        select(images, ["java-base", word])
    assert str(caught.value) == message


def test_a_catalog_without_images() -> None:
    with pytest.raises(InputError) as caught:
        select((), ["java-base"])
    assert str(caught.value) == (
        "no image matches 'java-base'; the families are none; use FAMILY, FAMILY:VERSION or FAMILY:VERSION@ARCH"
    )


def test_images_are_in_the_catalogs_order(images: tuple[Image, ...], tmp_path: Path) -> None:
    words = [image.name for image in reversed(images)]
    assert select(images, words) == images
