"""Many merges in one run: all at once, each on its own, what fails told with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dfgen.commands.merge import Entry, Merging, merge_several, parse_list
from dfgen.errors import CheckError, ExitCode, ExternalError
from dfgen.registry import Registry
from tests.fakes.clock import FakeClock
from tests.fakes.images import AMD64, ARM64, image
from tests.fakes.registry import FakeRegistry, Fault
from tests.unit.cli.run import dfgen
from tests.unit.merge.conftest import at

NAME = "team/app"


@pytest.fixture
def merging(client: Registry, clock: FakeClock) -> Merging:
    return Merging(registry=client, pause=clock.sleep)


def published(fake: FakeRegistry, count: int) -> str:
    """Push so many versions as per-architecture tags; a list that binds them."""
    lines = []
    for number in range(count):
        for platform, suffix in ((AMD64, "x86_64"), (ARM64, "aarch64")):
            made = image(platform, [f"{number} {platform}".encode()])
            fake.add_image(NAME, made, f"{number}-{suffix}")
        tag = at(fake, NAME, str(number))
        lines.append(f"{tag} {tag}-x86_64 {tag}-aarch64")
    return "\n".join(lines)


def entries(text: str) -> tuple[Entry, ...]:
    return parse_list(text, "list")


def test_each_costs_what_it_costs_alone_and_nothing_when_unchanged(
    fake: FakeRegistry, merging: Merging
) -> None:
    listed = entries(published(fake, 20))
    several = merge_several(listed, merging)
    assert several.failed is None
    assert {one.name: str(one.digest) for one in several.done} == {
        str(entry.target): fake.tags[NAME][entry.target.tag] for entry in listed
    }
    assert (fake.count(), fake.count("PUT")) == (20 * 7, 20)
    assert fake.connections <= 16
    fake.forget()
    again = merge_several(listed, merging)
    assert not any(one.changed for one in again.done)
    assert (fake.count(), fake.count("PUT")) == (20 * 5, 0)


def test_one_that_fails_stops_no_other(fake: FakeRegistry, merging: Merging) -> None:
    text = published(fake, 4)
    fake.add_image(NAME, image(AMD64, [b"again"]), "1-aarch64")
    fake.script("PUT", "/manifests/2$", Fault(status=403, applied=False), times=None)
    several = merge_several(entries(text), merging)
    assert [one.name for one in several.done] == [str(at(fake, NAME, tag)) for tag in ("0", "3")]
    assert set(fake.tags[NAME]) >= {"0", "3"}
    assert fake.tags[NAME].keys().isdisjoint({"1", "2"})
    tag = at(fake, NAME, "1")
    assert isinstance(several.failed, ExternalError)
    assert str(several.failed).splitlines() == [
        f"list:2: {tag}: not merged: {tag}-x86_64 and {tag}-aarch64 are both for linux/amd64;"
        " expected one child for each platform",
        f"list:3: {fake.address}: forbidden to push {at(fake, NAME, '2')}; ask for access, or log in as"
        f" another user with `docker login {fake.address}`",
    ]


def test_a_host_that_does_not_answer_is_told_once_whatever_the_lines(merging: Merging) -> None:
    with FakeRegistry() as closed:
        address = closed.address
    text = "\n".join(f"{address}/app:{number} {address}/app:{number}-x86_64" for number in range(40))
    several = merge_several(entries(text), merging)
    assert several.done == ()
    assert isinstance(several.failed, ExternalError)
    assert re.sub(r"\([0-9]+ tr(y|ies) in [0-9.]+ s\)", "(tries)", str(several.failed)) == (
        f"{address}: unreachable: connection refused (tries); check the network and try again"
        " (40 requests failed)"
    )


def test_a_dry_run_of_many_writes_nothing(fake: FakeRegistry, client: Registry) -> None:
    several = merge_several(entries(published(fake, 3)), Merging(registry=client, dry_run=True))
    assert [one.changed for one in several.done] == [True] * 3
    assert fake.count("PUT") == 0


def test_what_only_a_check_refuses_is_a_difference(fake: FakeRegistry, merging: Merging) -> None:
    text = published(fake, 1)
    fake.add_image(NAME, image(AMD64, [b"again"]), "0-aarch64")
    assert isinstance(merge_several(entries(text), merging).failed, CheckError)


def test_the_command_merges_a_file(fake: FakeRegistry, tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text(published(fake, 2) + f"\n{at(fake, NAME, '9')} {at(fake, NAME, 'none')}\n")
    done = dfgen("-C", tmp_path, "merge", "--from", listed)
    assert done.status == ExitCode.ENVIRONMENT
    assert [line.split() for line in done.out.splitlines()] == [
        ["tag", "state", "digest", "platforms"],
        *(
            [str(at(fake, NAME, tag)), "changed", fake.tags[NAME][tag], "linux/amd64,", "linux/arm64"]
            for tag in ("0", "1")
        ),
    ]
    assert done.lines == [
        "2 of 3 tags changed",
        f"{listed}:3: {fake.address}: cannot pull {at(fake, NAME, 'none')}: not found:"
        " MANIFEST_UNKNOWN manifest unknown; check the name and the tag",
    ]
    dry = dfgen("-C", tmp_path, "merge", "--dry-run", "--from", listed)
    assert dry.lines[0] == "0 of 3 tags would change"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Expected NAME:TAG and at least one CHILD, or --from FILE"),
        (["a:1"], "Expected NAME:TAG and at least one CHILD, or --from FILE"),
        (
            ["--from", "x", "a:1"],
            "--from FILE names all merges; it goes without NAME:TAG and --expect",
        ),
    ],
)
def test_a_wrong_command_line(words: list[str], message: str) -> None:
    done = dfgen("merge", *words)
    assert (done.status, done.lines) == (
        ExitCode.BAD_INPUT,
        [f"dfgen merge: {message}; see `dfgen merge --help`"],
    )


def test_the_command_merges_one(fake: FakeRegistry, tmp_path: Path) -> None:
    published(fake, 1)
    tag = at(fake, NAME, "0")
    done = dfgen("-C", tmp_path, "merge", str(tag), f"{tag}-aarch64", f"{tag}-x86_64")
    assert (done.status, done.lines) == (0, [f"{tag}: {fake.tags[NAME]['0']} (changed)"])
    assert [line.split()[0] for line in done.out.splitlines()] == ["platform", "linux/amd64", "linux/arm64"]
