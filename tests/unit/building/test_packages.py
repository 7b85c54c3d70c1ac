"""Package locks: written by the first build, inputs afterwards, and never ahead of what an image has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dfgen.commands.building.run import Run
from dfgen.commands.plan.inputs import Reason
from dfgen.errors import ExitCode, InputError
from tests.fakes.layers import tar
from tests.unit.models import AMD64, a_test
from tests.unit.world import World, states

NAME = "a:1@amd64"
LOCK = "bases/a/1/packages_amd64.lock"
HEADER = "# The packages that this image adds to its parent. Written by `dfgen build`; commit it.\n"
BASE = {"libc6": "2.36"}
RUN = {"created_by": "RUN make", "comment": "buildkit.dockerfile.v0"}
HISTORY = {"history": [{"created_by": "/bin/sh -c #(nop) ADD file:1 in / "}, RUN, RUN]}
CACHED = "#7 [2/3] RUN make\n#7 CACHED\n"


def database(packages: Mapping[str, str]) -> bytes:
    """Return a layer with a database of dpkg."""
    status = "\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
        for name, version in packages.items()
    )
    return tar({"var/lib/dpkg/status": status.encode()})


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World.of(tmp_path, {"a": []}, [AMD64])
    found.change(NAME, locks_packages=True)
    found.builder.history[NAME] = HISTORY
    # The scripted engine adds a layer of its own, which is the second RUN's.
    dockerfile = tmp_path / "bases/a/1/Dockerfile_amd64"
    dockerfile.write_text(dockerfile.read_text() + "RUN make\n")
    installed(found, curl="8.5")
    return found


def installed(world: World, **packages: str) -> None:
    """Let builds install these packages on the base."""
    world.builder.layers[NAME] = [database(BASE), database({**BASE, **packages})]


def lock(*lines: str) -> str:
    return "".join([HEADER, *(f"{line}\n" for line in lines)])


def text(world: World) -> str:
    return (world.root / LOCK).read_text()


def errors(run: Run) -> list[str]:
    return [str(result.error) for result in run.results if result.error]


def test_the_first_build_writes_the_lock_and_the_next_does_nothing(world: World) -> None:
    run = world.build()
    assert text(world) == lock("curl 8.5 amd64")
    assert list(map(str, run.packages)) == [f"{LOCK}: written"]
    assert run.to_json()["package_locks"] == {LOCK: []}
    assert world.reasons() == {NAME: "up to date"}
    assert world.build().packages == ()
    assert world.builder.built == []


def test_packages_that_moved_are_written_and_named(world: World) -> None:
    world.build()
    installed(world, curl="8.6", zlib="1.3")
    dockerfile = world.root / "bases/a/1/Dockerfile_amd64"
    dockerfile.write_text(f"{dockerfile.read_text()}# changed\n")
    run = world.build()
    assert text(world) == lock("curl 8.6 amd64", "zlib 1.3 amd64")
    assert list(map(str, run.packages)) == [f"{LOCK}: curl 8.5 → 8.6, zlib added (1.3)"]
    assert run.to_json()["package_locks"] == {
        LOCK: [["curl", "amd64", "8.5", "8.6"], ["zlib", "amd64", "", "1.3"]]
    }
    assert world.builder.built == [NAME]  # nothing came from the cache, so once is enough
    assert world.reasons() == {NAME: "up to date"}


def test_a_lock_from_a_pull_request_rebuilds_the_image_without_the_cache(world: World) -> None:
    world.build()
    (world.root / LOCK).write_text(lock("curl 8.6 amd64"))
    assert world.reasons() == {NAME: "packages moved: curl"}
    installed(world, curl="8.6")
    run = world.build(locked=True)
    assert (errors(run), run.packages, world.builder.built) == ([], (), [NAME])
    assert world.builder.requests[NAME].no_cache
    assert world.reasons() == {NAME: "up to date"}


def test_a_cached_layer_with_other_packages_than_the_lock_is_built_again(world: World) -> None:
    (world.root / LOCK).write_text(lock("curl 8.6 amd64"))
    log = world.records.log(world.named(NAME)[0])
    log.parent.mkdir(parents=True)
    log.write_text(CACHED)
    world.builder.during = lambda _: installed(
        world, curl="8.6" if world.builder.requests[NAME].no_cache else "8.5"
    )
    run = world.build(locked=True)
    assert (errors(run), run.packages, world.builder.built) == ([], (), [NAME, NAME])
    assert text(world) == lock("curl 8.6 amd64")


def test_locked_refuses_other_packages_and_keeps_the_image_out_of_the_layout(world: World) -> None:
    (world.root / LOCK).write_text(lock("curl 8.4 amd64", "gone 1 amd64"))
    installed(world, curl="8.5", zlib="1.3")
    run = world.build(locked=True)
    assert errors(run) == [
        f"{NAME}: its packages differ from {LOCK}: curl is 8.5, locked 8.4, gone is missing, locked 1 and zlib is"
        " 1.3, locked not at all; run `dfgen refresh a:1`, and commit the package locks"
    ]
    assert run.exit_code == ExitCode.CHECK_FAILED
    assert list(world.layout.entries()) == []
    assert text(world) == lock("curl 8.4 amd64", "gone 1 amd64")


def test_locked_refuses_a_missing_lock(world: World) -> None:
    assert errors(world.build(locked=True)) == [
        f"{NAME}: {LOCK} is missing; run `dfgen build a:1`, and commit the package locks"
    ]
    assert not (world.root / LOCK).exists()


def test_a_lock_that_is_switched_on_later_or_lost_needs_no_build(world: World) -> None:
    world.change(NAME, locks_packages=False)
    world.build()
    assert not (world.root / LOCK).exists()
    world.change(NAME, locks_packages=True)
    for _ in range(2):
        assert world.reasons() == {NAME: "packages not locked yet"}
        world.build()
        assert world.builder.built == []
        assert text(world) == lock("curl 8.5 amd64")
        assert world.reasons() == {NAME: "up to date"}
        (world.root / LOCK).unlink()


def test_a_kept_image_with_other_packages_than_the_lock_is_built(world: World) -> None:
    world.change(NAME, locks_packages=False)
    world.build()
    world.change(NAME, locks_packages=True)
    (world.root / LOCK).write_text(lock("curl 8.6 amd64"))
    installed(world, curl="8.6")
    world.build()
    assert (world.builder.built, world.reasons()) == ([NAME], {NAME: "up to date"})


def test_a_lock_that_is_switched_off_is_no_input(world: World) -> None:
    world.build()
    world.change(NAME, locks_packages=False)
    (world.root / LOCK).write_text("nonsense")
    assert world.reasons() == {NAME: "up to date"}


def test_a_broken_lock_is_reported_before_anything_is_built(world: World) -> None:
    (world.root / LOCK).write_text("nonsense\n")
    with pytest.raises(InputError) as caught:
        world.plan()
    assert str(caught.value) == (
        f"{LOCK}:1: 'nonsense' is not a package, expected `NAME VERSION ARCHITECTURE`; delete the file and run"
        " `dfgen build`"
    )


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"etc/hostname": b"x"}, "it has no package database"),
        ({"var/lib/rpm/Packages": b"x"}, "/var/lib/rpm/Packages (Berkeley DB) is not supported"),
        ({"var/lib/dpkg/status": b"x\n"}, "/var/lib/dpkg/status: line 1 is 'x', expected `FIELD: VALUE`"),
    ],
)
def test_an_image_whose_packages_cannot_be_read_fails(
    world: World, files: dict[str, bytes], reason: str
) -> None:
    world.builder.layers[NAME] = [tar({}), tar(files)]
    run = world.build()
    assert errors(run) == [
        f"{NAME}: cannot lock its packages: {reason}; fix that, or set `package_lock: false` in bases/a/base.yaml"
    ]
    assert list(world.layout.entries()) == []


def test_a_build_that_adds_no_package_has_an_empty_lock(world: World) -> None:
    installed(world)
    world.build()
    assert text(world) == HEADER


def test_a_lock_in_the_context_of_its_own_image_is_refused(world: World) -> None:
    (world.root / "bases/a/1/Dockerfile_amd64").write_text("FROM x@sha256:1\nCOPY . /\n")
    world.build()
    (world.root / LOCK).write_text(HEADER)
    with pytest.raises(InputError) as caught:
        world.plan()
    assert str(caught.value).endswith(
        f"the Dockerfile takes {LOCK} from the context, but builds write it; add `1/packages_amd64.lock` to the"
        " ignore file of bases/a/"
    )


def test_smoke_tests_run_on_the_image_that_is_kept(world: World) -> None:
    world.change(NAME, tests=(a_test(),))
    world.build()
    assert world.builder.tested == [NAME]
    assert states(world.build()) == {NAME: "up to date"}


def test_only_named_images_are_built_again(world: World) -> None:
    world.build()
    plan = world.plan().again({NAME})
    assert [step.reason for step in plan.steps] == [Reason.ASKED]
    assert [step.reason for step in world.plan().again(()).steps] == [Reason.UP_TO_DATE]
