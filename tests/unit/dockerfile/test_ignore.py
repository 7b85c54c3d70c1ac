"""Ignore files and wildcards. tests/integration/test_context.py compares the same forms with BuildKit."""

from __future__ import annotations

import pytest

from dfgen.dockerfile.ignore import PatternError, Patterns, clean, glob, is_wild
from dfgen.errors import InputError

TREE = (
    *(
        "a.txt",
        "b.md",
        "README.md",
        "foo",
        "foo/x.txt",
        "foo/bar",
        "foo/bar/z.txt",
        "sub",
        "sub/foo",
        "sub/foo/y",
    ),
    *("UP", "UP/case.TXT", "[x]", "#hash", "!bang", "sp ace", "x~", "é"),
)


def left_out(raw: str | bytes) -> set[str]:
    """Return the paths that an ignore file excludes."""
    patterns = Patterns.of_file(raw if isinstance(raw, bytes) else raw.encode(), ".dockerignore")
    verdicts = {}
    for path in TREE:  # folders come before what is in them
        verdicts[path] = patterns.judge(path, verdicts.get(path.rpartition("/")[0]))
    return {path for path, verdict in verdicts.items() if verdict.is_matched}


FOO = {"foo", "foo/x.txt", "foo/bar", "foo/bar/z.txt"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("foo", FOO),
        ("foo/", FOO),
        ("/foo", FOO),
        ("./sub/../foo", FOO),
        ("  foo\t", FOO),
        ("\ufefffoo\r\n", FOO),
        ("foo/*", FOO - {"foo"}),
        ("foo/**", FOO - {"foo"}),
        ("**/foo", {*FOO, "sub/foo", "sub/foo/y"}),
        ("*/foo", {"sub/foo", "sub/foo/y"}),
        ("**foo", {*FOO, "sub/foo", "sub/foo/y"}),
        ("f**x.txt", {"foo/x.txt"}),
        ("foo\n!foo/x.txt", FOO - {"foo/x.txt"}),
        ("foo\n!foo/bar", FOO - {"foo/bar", "foo/bar/z.txt"}),
        ("!foo\nfoo", FOO),
        ("foo/*\n!foo", FOO - {"foo"}),
        ("*.txt", {"a.txt"}),
        ("*.TXT", set()),
        ("*/*.TXT", {"UP/case.TXT"}),
        ("up", set()),
        ("[^a].*", {"b.md"}),
        ("[!a].*", {"a.txt"}),
        ("[A-Z]*", {"README.md", "UP", "UP/case.TXT"}),
        ("\\[x\\]", {"[x]"}),
        ("[x]", set()),
        ("#hash", set()),
        (" #hash", {"#hash"}),
        ("\\#hash", {"#hash"}),
        ("\\!bang", {"!bang"}),
        ("*\n! a.txt", {*TREE} - {"a.txt"}),
        ("sp ace", {"sp ace"}),
        ("sp?ace", {"sp ace"}),
        ("*~", {"x~"}),
        ("é\n?", {"é"}),
        (".", set()),
        ("/", set()),
        ("**", {*TREE}),
        ("../x\n\n", set()),
        ("a.txt # no comment", set()),
        ("\\w.txt", {"a.txt"}),  # a letter behind a backslash means what it means to Go's regular expressions
        (b"\xff*\nfoo", FOO),
    ],
)
def test_an_ignore_file_excludes_paths(raw: str | bytes, expected: set[str]) -> None:
    assert left_out(raw) == expected


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("!", "nothing follows the !"),
        ("! ", "nothing follows the !"),
        ("a[", "a [] class is empty or not closed"),
        ("[]a]", "a [] class is empty or not closed"),
        ("[a-]", "a [] class is empty or not closed"),
        ("foo\\", "it ends with a backslash"),
        ("\\y", "\\y is not a valid escape"),
        ("[b-a]", "as a regular expression: bad character range b-a at position 1"),
    ],
)
def test_a_broken_pattern_is_an_error_with_its_line(pattern: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        left_out(f"# first\nfoo\n{pattern}\n")
    shown = pattern.strip()
    assert str(caught.value) == (
        f".dockerignore:3: the pattern {shown!r} is invalid: {why}; BuildKit rejects it"
    )


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*", "a.txt", "a/b"),
        ("**/b", "a/b", "a/c/b"),
        ("?", "é", ""),
        ("[^b].txt", "a.txt", "b.txt"),
        ("[!b].txt", "b.txt", "a.txt"),
        ("x[[]1]", "x[1]", "x1"),
        ("\\*", "*", "a"),
        ("[\\]]", "]", "["),
        ("[b-a]c", "", "bc"),
        ("[^b-a]", "x", ""),
        ("a.c", "a.c", "abc"),
        ("a[/]b", "a/b", "ab"),
    ],
)
def test_wildcards_of_copy(pattern: str, matching: str, other: str) -> None:
    assert is_wild(pattern) != (pattern in ("\\*", "a.c"))
    assert bool(matching) == bool(matching and glob(pattern).fullmatch(matching))
    assert glob(pattern).fullmatch(other) is None


def test_a_broken_wildcard() -> None:
    with pytest.raises(PatternError):
        glob("a[b")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("", "."), ("//a", "/a"), ("a//b/", "a/b"), ("/../a", "/a"), ("a/../..", ".."), ("./a", "a")],
)
def test_paths_are_cleaned_as_go_does(path: str, expected: str) -> None:
    assert clean(path) == expected
