"""The rule arch-parity: allowed differences, and the messages of others."""

from __future__ import annotations

import pytest

from dfgen.commands.lint.parity import differences
from dfgen.dockerfile import parse
from dfgen.oci.platform import Platform

PLATFORMS = (Platform.parse("amd64"), Platform.parse("arm64"))
END = " — declare the difference under platforms in base.yaml, or remove it"


def _found(here: str, there: str) -> list[str]:
    sides = (parse(f"FROM x:1\n{side}\n") for side in (here, there))
    return [f"{side}:{hit.line}: {hit.message}" for side, hit in differences(*sides, PLATFORMS)]


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("RUN a", "RUN a"),
        ("RUN get x-amd64.tgz", "RUN get x-arm64.tgz"),
        ("RUN get x_x86_64.rpm linux/amd64", "RUN get x_aarch64.rpm linux/arm64"),
        (f"LABEL d=sha256:{'a' * 64}", f"LABEL d=sha256:{'b' * 64}"),
        ("# a comment\nRUN a", "RUN a"),
    ],
)
def test_names_of_platforms_and_digests_may_differ(here: str, there: str) -> None:
    assert _found(here, there) == []


def test_from_may_differ() -> None:
    sides = (parse(f"FROM {image}\nRUN a\n") for image in ("a:1", "b:2"))
    assert [*differences(*sides, PLATFORMS)] == []


@pytest.mark.parametrize(
    ("here", "there", "found"),
    [
        ("RUN a", "RUN b", f"0:2: amd64: `RUN a` | arm64: `RUN b`{END}"),
        ("RUN a\nUSER 1", "USER 1", f"0:2: amd64: `RUN a` | arm64: nothing{END}"),
        ("USER 1", "RUN a\nUSER 1", f"1:2: amd64: nothing | arm64: `RUN a`{END}"),
        ("USER 1", "USER 1\nRUN a", f"1:3: amd64: nothing | arm64: `RUN a`{END}"),
        ("RUN <<E\na\nE", "RUN <<E\nb\nE", f"0:2: amd64: `RUN <<E a` | arm64: `RUN <<E b`{END}"),
        (
            "RUN get arm64",
            "RUN get arm64",
            "0:2: amd64 and arm64 both have `RUN get arm64`, which names one platform; use {{ arch }} or"
            " {{ platform }}, or declare it under platforms in base.yaml",
        ),
        (
            f"RUN {'word ' * 20}\\\n  a",
            f"RUN {'word ' * 20}\\\n  b",
            f"0:2: amd64: `RUN … word a` | arm64: `RUN … word b`{END}",
        ),
    ],
)
def test_other_differences_show_both_sides(here: str, there: str, found: str) -> None:
    assert _found(here, there) == [found]


@pytest.mark.parametrize(
    ("own", "here", "there", "found"),
    [
        ("ENV L=/usr/x86_64/l", "ENV L=/usr/aarch64/l", "ENV L=/usr/aarch64/l", []),
        ("ENV L=x86_64 A=amd64", "ENV L=aarch64 A=amd64", "ENV L=aarch64 A=arm64", []),
        ("ENV L=x86_64", "ENV L=aarch64\nRUN a", "ENV L=aarch64\nRUN b", ["RUN a"]),
        ("ENV L=aarch64", "ENV L=aarch64", "ENV L=aarch64", ["ENV L=aarch64"]),
        ("ENV L=x86_64", "ENV L=aarch64 A=arm64", "ENV L=aarch64 A=amd64", ["ENV L=aarch64 A=arm64"]),
    ],
)
def test_declared_values_may_contain_the_name_of_a_platform(
    own: str, here: str, there: str, found: list[str]
) -> None:
    files = [parse(f"FROM x:1\n{text}\n") for text in (here, there, own)]
    hits = [*differences(files[0], files[1], PLATFORMS, own=files[2])]
    assert [one.text for one in files[0].instructions if one.line in [hit.line for _, hit in hits]] == found
