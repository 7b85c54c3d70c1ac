from __future__ import annotations

import pytest

from dfgen.errors import (
    CheckError,
    DfgenError,
    ExitCode,
    ExternalError,
    Gathering,
    InputError,
    Place,
    Problem,
    counted,
    listing,
    nearest,
    placed,
    visible,
)


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        (Place("bases/catalog.yaml"), "bases/catalog.yaml"),
        (Place("bases/catalog.yaml", 3), "bases/catalog.yaml:3"),
        (Place("bases/catalog.yaml", 3, 7), "bases/catalog.yaml:3:7"),
    ],
)
def test_a_place_is_formatted_as_editors_link_it(place: Place, shown: str) -> None:
    assert str(place) == shown
    assert str(Problem(place, "is wrong")) == f"{shown}: is wrong"


def test_an_error_has_one_line_per_problem() -> None:
    error = InputError([Problem(Place("a", 1), "x"), Problem(None, "y")])
    assert str(error) == "a:1: x\ny"


@pytest.mark.parametrize(
    ("kind", "code"), [(DfgenError, 2), (InputError, 2), (CheckError, 1), (ExternalError, 3)]
)
def test_exit_codes(kind: type[DfgenError], code: int) -> None:
    assert kind("message").exit_code == code
    assert ExitCode.SUCCESS == 0


def test_gathering_reports_the_problems_of_all_steps_once() -> None:
    gathering = Gathering()
    with gathering.step():
        raise InputError("first")
    with gathering.at(Place("f", 2)):
        raise InputError([Problem(None, "second"), Problem(Place("g"), "third")])
    with gathering.step():
        raise InputError("first")
    with gathering.step():
        pass
    with pytest.raises(InputError) as caught:
        gathering.check()
    assert str(caught.value) == "first\nf:2: second\ng: third"


def test_gathering_without_problems_raises_nothing() -> None:
    Gathering().check()


def test_gathering_does_not_catch_other_errors() -> None:
    with pytest.raises(ExternalError), Gathering().step():
        raise ExternalError("no engine")


def test_placed_keeps_an_existing_place() -> None:
    with pytest.raises(InputError) as caught, placed(Place("outer", 1)):
        raise InputError([Problem(Place("inner", 9), "x"), Problem(None, "y")])
    assert str(caught.value) == "inner:9: x\nouter:1: y"


def test_nearest() -> None:
    assert nearest("parnet", ["parent", "parents"]) == " (did you mean 'parent'?)"
    assert nearest("zzz", ["parent"]) == nearest("x", []) == ""


@pytest.mark.parametrize(
    ("words", "shown"), [([], "none"), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_listing(words: list[str], shown: str) -> None:
    assert listing(words) == shown


def test_terminal_control_sequences_are_escaped() -> None:
    assert visible("é: two\n\tlines\x1b[2J\r\x9b\ud800") == "é: two\n\tlines\\x1b[2J\\r\\x9b\\ud800"


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "version", "0 versions"),
        (1, "version", "1 version"),
        (2, "version", "2 versions"),
        (1, "family", "1 family"),
        (3, "family", "3 families"),
        (2, "mismatch", "2 mismatches"),
        (2, "alias", "2 aliases"),
    ],
)
def test_a_number_with_its_noun(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
