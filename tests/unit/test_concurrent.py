"""Errors of concurrent work are combined without duplicates."""

from __future__ import annotations

from dfgen.concurrent import combined
from dfgen.errors import CheckError, ExternalError
from dfgen.registry.errors import Unreachable

MESSAGE = "h:5000: unreachable: refused (3 tries in {} s); check the network and try again"


def _unreachable(host: str, seconds: float) -> ExternalError:
    return Unreachable.of(host, "refused", 3, seconds)


def test_an_unreachable_host_is_reported_once_with_a_count() -> None:
    inner = [combined([_unreachable("h:5000", at), _unreachable("h:5000", at + 1)]) for at in (1, 3)]
    assert str(combined(inner)) == MESSAGE.format("1.0") + " (4 requests failed)"
    assert str(combined([_unreachable("h:5000", 2)])) == MESSAGE.format("2.0")


def test_hosts_and_other_errors_are_reported_separately() -> None:
    found = combined(
        [_unreachable("h:5000", 1), CheckError("a: b"), _unreachable("i", 1), _unreachable("h:5000", 2)]
    )
    assert isinstance(found, ExternalError)
    assert str(found).splitlines() == [
        MESSAGE.format("1.0") + " (2 requests failed)",
        "a: b",
        MESSAGE.format("1.0").replace("h:5000", "i"),
    ]


def test_equal_problems_are_reported_once() -> None:
    assert str(combined([CheckError("a: b"), CheckError("a: b")])) == "a: b"
