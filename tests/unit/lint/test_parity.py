"""Arch parity: what may differ, and what is shown side by side."""

from __future__ import annotations

import pytest

from dfgen.dockerfile import parse
from dfgen.linting.parity import differences
from dfgen.values.platform import Platform

PLATFORMS = (Platform.parse("amd64"), Platform.parse("arm64"))
END = " — declare what differs under platforms in base.yaml, or make it the same"


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
def test_what_may_differ(here: str, there: str) -> None:
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
        ("RUN get arm64", "RUN get arm64", f"0:2: amd64: `RUN get arm64` | arm64: `RUN get arm64`{END}"),
        (
            f"RUN {'word ' * 20}\\\n  a",
            f"RUN {'word ' * 20}\\\n  b",
            f"0:2: amd64: `RUN … word a` | arm64: `RUN … word b`{END}",
        ),
    ],
)
def test_what_is_shown(here: str, there: str, found: str) -> None:
    assert _found(here, there) == [found]
