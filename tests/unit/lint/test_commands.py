"""The commands of a script: where one ends and what goes into a pipe, told as a shell would."""

from __future__ import annotations

import pytest

from dfgen.linting.commands import commands


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a b; c && d || e & f\ng", ["a", "c", "d", "e", "f", "g"]),
        ("a 2>&1 | b", ["a |", "b"]),
        ("a |& b", ["a |", "b"]),
        ("a >&2; b &> c; d >| e", ["a", "b", "d"]),
        ("if ! /usr/bin/a; then X=1 b; fi", ["a", "b", "fi"]),
        ("sudo a; { b | c; }", ["a", "b |", "c", "}"]),
        ("( a | b )", ["a |", "b"]),
        ("a 'x; y | z' \"x; y | z\" x\\;y", ["a"]),
        ("a \"$(b \"c | d\")\" `e | f` $(g | (h | i))", ["a"]),
        ("x=\"${y:-a|b}\"; c", ["c"]),
        ("a 'it'\\''s | b'; c", ["a", "c"]),
        ("a 'b\\' | c", ["a |", "c"]),
        ("a # b | c\nd#e | f", ["a", "d#e |", "f"]),
        ("# a", []),
        ("case $a in a|b) c | d ;; e | f) g ;; esac", ["case", "c |", "d", "e", "g", "esac"]),
        ("[[ a =~ (b|c) ]] && d", ["[[", "d"]),
        ("a $((1 | 2)); (( b | c )); d", ["a", "((", "d"]),
        ("", []),
    ],
)  # fmt: skip
def test_commands(text: str, found: list[str]) -> None:
    assert [f"{one.name} |" if one.piped else one.name for one in commands(text)] == found
