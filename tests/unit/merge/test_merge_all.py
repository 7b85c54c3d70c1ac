"""Many merges in one run are independent, and errors have the line of their merge."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dfgen.commands.merge import MergeRequest, Merging, merge_all, parse_list
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
    """Push per-architecture tags of several versions; return the list that merges them."""
    lines = []
    for number in range(count):
        for platform, suffix in ((AMD64, "x86_64"), (ARM64, "aarch64")):
            made = image(platform, [f"{number} {platform}".encode()])
            fake.add_image(NAME, made, f"{number}-{suffix}")
        tag = at(fake, NAME, str(number))
        lines.append(f"{tag} {tag}-x86_64 {tag}-aarch64")
    return "\n".join(lines)


def requests(text: str) -> tuple[MergeRequest, ...]:
    return parse_list(text, "list")


def test_each_merge_costs_as_many_requests_as_alone(fake: FakeRegistry, merging: Merging) -> None:
    listed = requests(published(fake, 20))
    results = merge_all(listed, merging)
    assert results.failed is None
    assert {one.name: str(one.digest) for one in results.done} == {
        str(request.target): fake.tags[NAME][request.target.tag] for request in listed
    }
    assert (fake.count(), fake.count("PUT")) == (20 * 7, 20)
    assert fake.connections <= 16
    fake.forget()
    again = merge_all(listed, merging)
    assert not any(one.changed for one in again.done)
    assert (fake.count(), fake.count("PUT")) == (20 * 5, 0)


def test_a_failure_does_not_stop_the_others(fake: FakeRegistry, merging: Merging) -> None:
    text = published(fake, 4)
    fake.add_image(NAME, image(AMD64, [b"again"]), "1-aarch64")
    fake.script("PUT", "/manifests/2$", Fault(status=403, applied=False), times=None)
    results = merge_all(requests(text), merging)
    assert [one.name for one in results.done] == [str(at(fake, NAME, tag)) for tag in ("0", "3")]
    assert set(fake.tags[NAME]) >= {"0", "3"}
    assert fake.tags[NAME].keys().isdisjoint({"1", "2"})
    tag = at(fake, NAME, "1")
    assert isinstance(results.failed, ExternalError)
    assert str(results.failed).splitlines() == [
        f"list:2: {tag}: not merged: {tag}-x86_64 and {tag}-aarch64 are both for linux/amd64;"
        " expected one image for each platform",
        f"list:3: {fake.address}: forbidden to push {at(fake, NAME, '2')}; ask for access, or log in as"
        f" another user with `docker login {fake.address}`",
    ]


def test_an_unreachable_host_is_reported_once(merging: Merging) -> None:
    with FakeRegistry() as closed:
        address = closed.address
    text = "\n".join(f"{address}/app:{number} {address}/app:{number}-x86_64" for number in range(40))
    results = merge_all(requests(text), merging)
    assert results.done == ()
    assert isinstance(results.failed, ExternalError)
    assert re.sub(r"\([0-9]+ tr(y|ies) in [0-9.]+ s\)", "(tries)", str(results.failed)) == (
        f"{address}: unreachable: connection refused (tries); check the network and try again"
        " (40 requests failed)"
    )


def test_a_dry_run_writes_nothing(fake: FakeRegistry, client: Registry) -> None:
    results = merge_all(requests(published(fake, 3)), Merging(registry=client, dry_run=True))
    assert [one.changed for one in results.done] == [True] * 3
    assert fake.count("PUT") == 0


def test_a_refused_merge_is_a_failed_check(fake: FakeRegistry, merging: Merging) -> None:
    text = published(fake, 1)
    fake.add_image(NAME, image(AMD64, [b"again"]), "0-aarch64")
    assert isinstance(merge_all(requests(text), merging).failed, CheckError)


def test_the_command_merges_a_list(fake: FakeRegistry, tmp_path: Path) -> None:
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
            "--from cannot be combined with NAME:TAG or --expect",
        ),
    ],
)
def test_a_wrong_command_line_is_refused(words: list[str], message: str) -> None:
    done = dfgen("merge", *words)
    assert (done.status, done.lines) == (
        ExitCode.BAD_INPUT,
        [f"dfgen merge: {message}; see `dfgen merge --help`"],
    )


def test_the_command_merges_one_tag(fake: FakeRegistry, tmp_path: Path) -> None:
    published(fake, 1)
    tag = at(fake, NAME, "0")
    done = dfgen("-C", tmp_path, "merge", str(tag), f"{tag}-aarch64", f"{tag}-x86_64")
    assert (done.status, done.lines) == (0, [f"{tag}: {fake.tags[NAME]['0']} (changed)"])
    assert [line.split()[0] for line in done.out.splitlines()] == ["platform", "linux/amd64", "linux/arm64"]
