"""Programs for another architecture in the layers that a build added: the image fails and gets no name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dfgen.catalog.lockfile import LOCK_FILE, Lock, LockedParent, Pin
from dfgen.commands.programs import check_programs
from dfgen.errors import CheckError, ExitCode, ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import OCI_INDEX
from tests.fakes.images import image as fake
from tests.fakes.layers import elf, tar
from tests.unit.models import ARM64, a_test, family
from tests.unit.world import World, states

NAME = "a:1@arm64"
ADVICE = (
    "use the right file for each platform, or list the path with a reason under `foreign_programs` in"
    " bases/a/base.yaml"
)
WRONG = f"{NAME}: /opt/tool is for x86_64, the image for linux/arm64; {ADVICE}"
TOOL = tar({"opt/tool": elf("x86_64")})
# How BuildKit writes the history of a base image's layer, and of an instruction.
BASE = {"created_by": "/bin/sh -c #(nop) ADD file:1 in / "}
FILLER = {"created_by": "copy /a /b", "comment": "buildkit.exporter.image.v0"}


def made(text: str, **more: Any) -> dict[str, Any]:
    return {"created_by": text, "comment": "buildkit.dockerfile.v0", **more}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.of(tmp_path, {"a": []})


def errors(world: World) -> list[str]:
    return [str(result.error) for result in world.build().results if result.error]


def test_a_program_for_another_architecture_fails_the_image_before_its_smoke_tests(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]})
    world.change(NAME, tests=(a_test(),))
    world.builder.layers[NAME] = [TOOL]
    run = world.build()
    assert states(run) == {
        "a:1@amd64": "built",
        "a:1@arm64": "failed",
        "b:1@amd64": "not tried",
        "b:1@arm64": "not tried",
    }
    assert next(str(result.error) for result in run.results if result.image.name == NAME) == WRONG
    assert run.exit_code == ExitCode.CHECK_FAILED
    assert list(world.layout.entries()) == ["a:1-x86_64"]
    assert world.builder.tested == []


def test_all_architectures_are_named_with_a_few_paths_of_each(world: World) -> None:
    programs = {f"usr/bin/{letter}": elf("x86_64") for letter in "edcba"}
    world.builder.layers[NAME] = [tar({**programs, "x\n": elf("riscv64"), "y": elf("aarch64")})]
    assert errors(world) == [
        f"{NAME}: /usr/bin/a, /usr/bin/b, /usr/bin/c and 2 more are for x86_64, the image for linux/arm64;"
        f" {ADVICE}\n{NAME}: /x\\n is for riscv64, the image for linux/arm64; {ADVICE}"
    ]


@pytest.mark.parametrize(
    "pattern", ["/opt/tool", "/opt", "/opt/**", "/**", "/*/tool", "/opt/too?", "/**/tool"]
)
def test_listed_paths_are_allowed(world: World, pattern: str) -> None:
    world.change(NAME, foreign_programs={"/other": "why", pattern: "why"})
    world.builder.layers[NAME] = [TOOL]
    assert errors(world) == []


@pytest.mark.parametrize("pattern", ["/tool", "/opt/to", "/opt/tool/x", "/op", "/optional/**"])
def test_other_patterns_allow_nothing(world: World, pattern: str) -> None:
    world.change(NAME, foreign_programs={pattern: "why"})
    world.builder.layers[NAME] = [TOOL]
    assert errors(world) == [WRONG]


def test_a_family_that_is_architecture_independent_is_not_checked(world: World) -> None:
    world.change(NAME, family=family("a", architecture_independent=True))
    world.builder.layers[NAME] = [TOOL]
    assert errors(world) == []


def test_a_layer_that_cannot_be_read_fails_unless_every_path_is_allowed(world: World) -> None:
    layer = b"\x28\xb5\x2f\xfd zstd"
    world.builder.layers[NAME] = [layer]
    path = world.layout.blob_path(fake(layers=[layer]).manifest.layers[0].digest)
    assert errors(world) == [
        f"{NAME}: cannot check its programs: {path}: the layer cannot be read: Compressed file ended before the"
        " end-of-stream marker was reached; expected a tar file, uncompressed or compressed with gzip or zstd; build it"
        " again, or switch the check off with `foreign_programs: {'/**': REASON}` in bases/a/base.yaml"
    ]
    world.change(NAME, foreign_programs={"/**": "no layer that can be read"})
    assert errors(world) == []


def test_the_layers_of_a_parent_in_the_catalog_do_not_count(tmp_path: Path) -> None:
    world = World.of(tmp_path, {"a": [], "b": ["a"]}, [ARM64])
    world.change(NAME, foreign_programs={"/opt/tool": "belongs there"})
    world.builder.layers[NAME] = [TOOL]
    base = [TOOL, tar({"content": f"{NAME} [] ".encode()})]
    world.builder.layers["b:1@arm64"] = base
    assert errors(world) == []
    world.builder.layers["b:1@arm64"] = [*base, tar({"opt/second": elf("i386")})]
    (tmp_path / "dist" / "index.json").unlink()
    assert errors(world) == [
        WRONG.replace("a:1", "b:1").replace("tool is for x86_64", "second is for i386").replace("/a/", "/b/")
    ]


DOCKERFILE = """\
ARG GLOBAL=1
FROM x AS unused
RUN unused
FROM x AS first
ENV a=b c=d
COPY a /a
FROM first
WORKDIR /work
RUN <<EOF
true
EOF
CMD ["a"]
"""
OWN = [
    made("ENV a=b c=d", empty_layer=True),
    made("COPY a /a # buildkit"),
    made("WORKDIR /work", empty_layer=True),
    made("RUN /bin/sh -c <<EOF (true...) # buildkit"),
    made('CMD ["a"]', empty_layer=True),
]
SCRIPT = tar({"a": b"#!/bin/sh"})


@pytest.mark.parametrize(
    ("layers", "history", "is_wrong"),
    [
        ([TOOL, SCRIPT, SCRIPT], [BASE, *OWN], False),
        ([TOOL, TOOL, SCRIPT, SCRIPT], [BASE, BASE, *OWN], False),
        ([TOOL, SCRIPT, SCRIPT], [*OWN, FILLER], False),  # a base image without history
        ([SCRIPT, TOOL, SCRIPT], [BASE, *OWN], True),
        ([SCRIPT, SCRIPT, TOOL], [BASE, *OWN], True),
        ([TOOL, SCRIPT], OWN, True),  # FROM scratch
        # Where the history is not the Dockerfile's, all layers count.
        ([TOOL, SCRIPT, SCRIPT], [BASE, *OWN[1:]], True),
        ([TOOL, SCRIPT, SCRIPT], [BASE, *OWN[:-1], {**OWN[-1], "comment": ""}], True),
        ([TOOL, SCRIPT, SCRIPT], [BASE, *OWN[:-1], made("COPY c /c")], True),
        ([TOOL, SCRIPT, SCRIPT], OWN[:3], True),
        ([TOOL], [BASE, *OWN], True),
        ([TOOL], None, True),
        ([TOOL], {"a": 1}, True),
        ([TOOL], ["text", None, 1], True),
        ([TOOL], [{"created_by": 1, "comment": []}] * 9, True),
    ],
)
def test_the_history_tells_which_layers_are_those_of_an_upstream_parent(
    world: World, layers: list[bytes], history: object, is_wrong: bool
) -> None:
    image = world.named(NAME)[0]
    (world.root / image.dockerfile).write_text(DOCKERFILE)
    built = fake(ARM64, layers, config={"history": history}).put_into(world.layout)
    if is_wrong:
        with pytest.raises(CheckError) as caught:
            check_programs(image, built, world.layout, world.root)
        assert str(caught.value) == WRONG
    else:
        check_programs(image, built, world.layout, world.root)


def test_triggers_of_a_stage_are_run_in_the_next_one(world: World) -> None:
    image = world.named(NAME)[0]
    (world.root / image.dockerfile).write_text("FROM x AS a\nONBUILD COPY a /a\nFROM a\nRUN b\n")
    own = [made("COPY a /a # buildkit"), made("RUN /bin/sh -c b # buildkit")]
    for layers, is_wrong in (([TOOL, SCRIPT, SCRIPT], False), ([SCRIPT, TOOL, SCRIPT], True)):
        built = fake(ARM64, layers, config={"history": [BASE, *own]}).put_into(world.layout)
        if is_wrong:
            with pytest.raises(CheckError):
                check_programs(image, built, world.layout, world.root)
        else:
            check_programs(image, built, world.layout, world.root)


def test_triggers_of_an_upstream_parent_are_of_the_build(world: World) -> None:
    image = world.named(NAME)[0]
    (world.root / image.dockerfile).write_text(f"FROM x@{Digest.of(b'x')} AS a\nRUN b\nFROM a\nUSER c\n")
    own = [
        made("ARG D", empty_layer=True),
        made("COPY a /a # buildkit"),
        made("RUN /bin/sh -c b # buildkit"),
        made("USER c", empty_layer=True),
    ]
    locked = LockedParent(
        digest=Digest.of(b"index"),
        media_type=OCI_INDEX,
        first_seen="2026-01-31",
        platforms={ARM64: Pin(Digest.of(b"x"), 1, ("arg D", "COPY a /a"))},
    )
    (world.root / LOCK_FILE).write_text(Lock({"x:1": locked}).to_text())
    for layers, is_wrong in (([TOOL, SCRIPT, SCRIPT], False), ([SCRIPT, TOOL, SCRIPT], True)):
        built = fake(ARM64, layers, config={"history": [BASE, *own]}).put_into(world.layout)
        if is_wrong:
            with pytest.raises(CheckError):
                check_programs(image, built, world.layout, world.root)
        else:
            check_programs(image, built, world.layout, world.root)


def test_an_image_that_adds_nothing_is_that_of_its_parent(world: World) -> None:
    image = world.named(NAME)[0]
    (world.root / image.dockerfile).write_text("FROM x\n")
    built = fake(ARM64, [TOOL], config={"history": [BASE]}).put_into(world.layout)
    check_programs(image, built, world.layout, world.root)


def test_an_index_and_a_missing_dockerfile_are_refused(world: World) -> None:
    world.build()
    image = world.named(NAME)[0]
    index = world.layout.entries()["a:1"]
    with pytest.raises(CheckError) as caught:
        check_programs(image, index, world.layout, world.root)
    assert str(caught.value) == f"{NAME}: {index.digest} is an index, expected an image"
    built = fake(ARM64, [SCRIPT]).put_into(world.layout)
    gone = replace(image, version="2")
    with pytest.raises(ExternalError) as missing:
        check_programs(gone, built, world.layout, world.root)
    assert str(missing.value) == f"{world.root / gone.path}: cannot be read: No such file or directory"


def test_the_images_of_both_architectures_are_checked_for_their_own(world: World) -> None:
    world.builder.layers = {"a:1@amd64": [TOOL], NAME: [tar({"opt/tool": elf("aarch64")})]}
    assert errors(world) == []
