"""The number of requests of `dfgen lock`, and its warning about pull quotas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dfgen.oci.manifest import OCI_INDEX
from tests.fakes.http import Fault
from tests.fakes.images import AMD64, ARM64, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.catalogs import write
from tests.unit.cli.run import dfgen

_COMMANDS = ((("lock",), "GET"), (("lock", "--check"), "HEAD"), (("lock", "--upgrade"), "HEAD"))


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        _publish(running, "1")
        yield running


def _publish(registry: FakeRegistry, *tags: str) -> None:
    both = [registry.add_image("team/os", image(arch, layers=(tags[0].encode(),))) for arch in (AMD64, ARM64)]
    for tag in tags:
        registry.add_manifest("team/os", index_of(both), OCI_INDEX, tag=tag)


@pytest.fixture
def root(tmp_path: Path, registry: FakeRegistry) -> Path:
    base = f"template: t.j2\nparent: {registry.address}/team/os:1\nversions: ['1']\n"
    return write(tmp_path, {"bases/app/base.yaml": base})


@pytest.fixture
def many(root: Path, registry: FakeRegistry) -> Path:
    """A catalog with twelve more parents, t10 to t21."""
    tags = [f"t{number}" for number in range(10, 22)]
    _publish(registry, *tags)
    parent = f"parent: '{registry.address}/team/os:{{{{ version }}}}'"
    write(root, {"bases/many/base.yaml": f"template: t.j2\n{parent}\nversions: {tags}\n"})
    registry.forget()
    return root


def test_parents_of_one_repository_share_a_token_and_cost_one_request_for_their_tag(
    root: Path, registry: FakeRegistry
) -> None:
    registry.behaviour.auth.kind = "token"
    both = [registry.add_image("team/os", image(arch, layers=(b"other",))) for arch in (AMD64, ARM64)]
    registry.add_manifest("team/os", index_of(both), OCI_INDEX, tag="2")
    other = f"template: t.j2\nparent: {registry.address}/team/os:2\nversions: ['1']\n"
    write(root, {"bases/other/base.yaml": other})
    for words, method in _COMMANDS:
        registry.forget()
        registry.behaviour.auth.issued.clear()
        assert dfgen("-C", root, *words).status == 0
        assert registry.behaviour.auth.issued == [frozenset({("team/os", "pull")})]
        accepted = [seen for seen in registry.seen if "/manifests/" in seen.call.path and seen.status == 200]
        tags = [seen.call.path for seen in accepted if "sha256:" not in seen.call.path]
        assert sorted(tags) == ["/v2/team/os/manifests/1", "/v2/team/os/manifests/2"]
        # `lock` reads each new image for its triggers, and --check sends one HEAD for each pin.
        assert len(accepted) - len(tags) == (0 if "--upgrade" in words else 4)
        assert {seen.call.method for seen in accepted} == {method}


def test_an_insufficient_quota_is_reported_before_parents_are_read(
    many: Path, registry: FakeRegistry
) -> None:
    registry.behaviour.quota = (100, 38, 21600)
    done = dfgen("-C", many, "lock")
    assert (done.status, done.lines) == (
        0,
        [
            f"{registry.address}: 13 parents to resolve with up to 39 pulls, but only 38 of 100 pulls per 6 h"
            f" left; run `docker login {registry.address}`, wait, or set a mirror under `mirrors` in catalog.yaml",
            "bases/lock.json: 13 parents, 13 changed",
        ],
    )
    tags = [seen.call for seen in registry.seen if "sha256:" not in seen.call.path]
    assert [call.method for call in tags] == ["HEAD", *["GET"] * 13]
    assert registry.seen[0].call is tags[0]


@pytest.mark.parametrize("quota", [None, (100, 39, 21600)])
def test_no_warning_for_a_sufficient_or_unknown_quota(
    many: Path, registry: FakeRegistry, quota: tuple[int, int, int] | None
) -> None:
    registry.behaviour.quota = quota
    done = dfgen("-C", many, "lock")
    assert (done.status, done.lines) == (0, ["bases/lock.json: 13 parents, 13 changed"])
    assert registry.count("HEAD") == 1
    registry.forget()
    assert dfgen("-C", many, "lock").status == 0
    assert registry.count() == 0


@pytest.mark.parametrize("status", [405, 429, 503])
def test_an_error_of_the_quota_request_is_ignored_without_retries(
    many: Path, registry: FakeRegistry, status: int
) -> None:
    registry.script("HEAD", "/manifests/", Fault(status=status), times=5)
    done = dfgen("-C", many, "lock")
    assert (done.status, done.lines) == (0, ["bases/lock.json: 13 parents, 13 changed"])
    assert registry.count("HEAD") == 1
