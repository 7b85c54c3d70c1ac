"""What fails together is told together, each thing once."""

from __future__ import annotations

from dfgen.concurrent import joined
from dfgen.errors import CheckError, OutsideError
from dfgen.registry.errors import Unreachable

SAID = "h:5000: unreachable: refused (3 tries in {} s); check the network and try again"


def _silent(host: str, seconds: float) -> OutsideError:
    return Unreachable.of(host, "refused", 3, seconds)


def test_a_host_that_does_not_answer_is_told_once_with_a_count_however_deep() -> None:
    inner = [joined([_silent("h:5000", at), _silent("h:5000", at + 1)]) for at in (1, 3)]
    assert str(joined(inner)) == SAID.format("1.0") + " (4 requests failed so)"
    assert str(joined([_silent("h:5000", 2)])) == SAID.format("2.0")


def test_hosts_and_other_errors_are_told_apart() -> None:
    found = joined([_silent("h:5000", 1), CheckError("a: b"), _silent("i", 1), _silent("h:5000", 2)])
    assert isinstance(found, OutsideError)
    assert str(found).splitlines() == [
        SAID.format("1.0") + " (2 requests failed so)",
        "a: b",
        SAID.format("1.0").replace("h:5000", "i"),
    ]


def test_what_several_say_in_the_same_words_is_told_once() -> None:
    assert str(joined([CheckError("a: b"), CheckError("a: b")])) == "a: b"
