import pytest

from dfgen.dockerfile import ExternalImage, external_images, parse
from dfgen.dockerfile.references import images_in
from dfgen.errors import InputError

PIN = "sha256:" + "a" * 64


def found(text: str) -> list[tuple[int, str, str]]:
    images = external_images(parse(text))
    assert images_in(text, "Dockerfile") == images
    return [(image.line, image.keyword, image.text) for image in images]


def test_every_external_image_is_found_with_its_line() -> None:
    text = (
        f"FROM --platform=linux/arm64 docker.io/library/nginx:1.28@{PIN} AS base\n"
        "RUN --mount=type=bind,from=busybox:1,source=/bin,target=/b \\\n"
        "    --mount=type=cache,target=/c true\n"
        "COPY --from=alpine:3 /a /b\n"
        "ADD --from=debian:12 /a /b\n"
    )
    assert found(text) == [
        (1, "FROM", f"docker.io/library/nginx:1.28@{PIN}"),
        (2, "RUN", "busybox:1"),
        (4, "COPY", "alpine:3"),
        (5, "ADD", "debian:12"),
    ]


def test_the_platform_is_reported_as_written() -> None:
    images = external_images(parse("FROM --platform=$BUILDPLATFORM a AS x\nFROM b\n"))
    assert images == (
        ExternalImage(line=1, text="a", keyword="FROM", platform="$BUILDPLATFORM"),
        ExternalImage(line=2, text="b", keyword="FROM"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\nCOPY a b\n",
        "FROM scratch AS Base\nFROM base\nCOPY --from=BASE a b\n",
        "FROM scratch\nFROM scratch\nCOPY --from=0 a b\n",
        "FROM scratch as a\nFROM scratch\nRUN --mount=from=a,target=/x true\n",
        "FROM scratch\nRUN --mount=type=secret,id=a true\n",
    ],
)
def test_scratch_and_earlier_stages_are_not_external(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM scratch\nCOPY --from=later a b\nFROM scratch AS later\n", (2, "COPY", "later")),
        ("FROM scratch\nCOPY --from=0 a b\n", (2, "COPY", "0")),
        ("FROM scratch\nFROM scratch\nCOPY --from=7 a b\n", (3, "COPY", "7")),
        ("FROM scratch\nRUN --mount=from=0,target=/x true\n", (2, "RUN", "0")),
        ("ARG B=x\nFROM ${B}\n", (2, "FROM", "${B}")),
        ('FROM scratch\nRUN --mount="type=bind,\\"from=a,b\\"" true\n', (2, "RUN", "a,b")),
        ("FROM scratch\nRUN --mount=FROM=a,target=/x true\n", (2, "RUN", "a")),
        ("FROM a AS a\n", (1, "FROM", "a")),
    ],
)
def test_other_names_are_external_images(text: str, expected: tuple[int, str, str]) -> None:
    assert found(text) == [expected]


def test_an_image_in_a_trigger_is_marked_onbuild() -> None:
    (image,) = external_images(parse("FROM scratch\nONBUILD COPY --from=alpine a b\n"))
    assert image == ExternalImage(line=2, text="alpine", keyword="COPY", onbuild=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ARG A=1\nENV B="2 3"\nFROM a\n', [(3, "FROM", "a")]),
        ("FROM scratch\nRUN \\\nENV A=b\nCOPY --from=x a b\n", [(4, "COPY", "x")]),
        ("FROM scratch\nRUN --mount=from=\\\nENV A=b\n", [(2, "RUN", "ENV")]),
        ("FROM scratch\nRUN <<EOF\nENV A=b\nEOF\nCOPY --from=x a b\n", [(5, "COPY", "x")]),
        ("FROM scratch\nRUN A=b\\\nCOPY --from=x a b\n", []),
        ("# escape=`\nFROM scratch\nENV A=b`\nENV C=d\nCOPY --from=x a b\n", [(5, "COPY", "x")]),
        ("ENV A=b\n# escape=`\nFROM scratch\nRUN `\nCOPY --from=x a b\n", [(5, "COPY", "x")]),
        ("ENV A=b\n", []),
    ],
)
def test_lines_without_images_are_only_skipped_where_an_instruction_begins(
    text: str, expected: list[tuple[int, str, str]]
) -> None:
    assert found(text) == expected


def test_a_broken_line_without_an_image_is_an_error() -> None:
    with pytest.raises(InputError) as caught:
        images_in("FROM scratch\nENV A=b\nENV C\nENV D=e\n", "Dockerfile_amd64")
    expected = "Dockerfile_amd64:3: ENV has a name but no value; expected name=value"
    assert str(caught.value) == expected
