"""Responses that are not a registry's: one more try, then exit code 3, whatever was requested."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dfgen.errors import ExitCode
from dfgen.oci.reference import Reference
from dfgen.registry import Registry, RegistryError
from tests.fakes.images import FakeImage
from tests.fakes.registry import FakeRegistry, Fault

_JSON = {"Content-Type": "application/json", "Docker-Content-Digest": None}
ANSWERS = {
    "nothing": Fault(body=b"", headers=_JSON),
    "an empty object": Fault(body=b"{}", headers=_JSON),
    "an error": Fault(body=b'{"error": "service is being restarted"}', headers=_JSON),
    "half a manifest": Fault(body=b'{"schemaVersion": 2, "mani', headers=_JSON),
    "only a version": Fault(body=b'{"schemaVersion": 2}', headers=_JSON),
    "half a descriptor": Fault(body=b'{"schemaVersion":2,"config":{},"layers":[]}', headers=_JSON),
    "a list": Fault(body=b"[]", headers=_JSON),
    "html": Fault(body=b"<html>", headers={**_JSON, "Content-Type": "text/html"}),
    "204": Fault(status=204, headers={"Content-Length": None}),
    "202": Fault(status=202),
    "another digest": Fault(headers={"Docker-Content-Digest": f"sha256:{'a' * 64}"}),
    "a redirect to itself": Fault(status=307, headers={"Location": "1.0"}),
    "a redirect to nowhere": Fault(status=307),
    "no scheme": Fault(status=401),
}
READS: dict[str, Callable[[Registry, Reference], object]] = {
    "manifest": Registry.manifest,
    "current": Registry.current,
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("read", READS)
def test_nonsense_is_a_failure_of_the_environment(
    client: Registry, fake: FakeRegistry, reference: Reference, read: str, answer: str
) -> None:
    fake.script("", "/manifests/", ANSWERS[answer], times=None)
    with pytest.raises(RegistryError) as caught:
        READS[read](client, reference)
    assert caught.value.exit_code == ExitCode.ENVIRONMENT
    assert fake.address in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("answer", ["nothing", "an empty object", "half a manifest", "html", "204", "a list"])
def test_nonsense_is_worth_one_more_try(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage, answer: str
) -> None:
    fake.script("GET", "/manifests/", ANSWERS[answer])
    assert client.manifest(reference).raw == app.raw
    assert fake.count("GET") == 2


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 599])
def test_temporary_statuses_are_retried(
    client: Registry, fake: FakeRegistry, reference: Reference, app: FakeImage, status: int
) -> None:
    fake.script("GET", "/manifests/", Fault(status=status), times=3)
    assert client.manifest(reference).raw == app.raw


def test_an_unreachable_server_that_the_registry_refers_to_is_named_with_the_registry(
    client: Registry, fake: FakeRegistry, reference: Reference
) -> None:
    fake.script(
        "", "/manifests/", Fault(status=307, headers={"Location": "http://127.0.0.1:1/x"}), times=None
    )
    with pytest.raises(RegistryError) as caught:
        client.manifest(reference)
    text = str(caught.value)
    start = f"{fake.address}: cannot pull {reference}: it refers to http://127.0.0.1:1: 127.0.0.1:1: unreachable: "
    assert text.startswith(start)
    assert text.endswith("; its proxy has to pass on the Host header with its port")
