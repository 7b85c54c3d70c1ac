"""The shell reader: it finds the simple commands that real shells run, with the words that they pass."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.dockerfile import parse
from dfgen.dockerfile.shell import Command, commands, script, tokens

SHELLS = [path for path in map(shutil.which, ("dash", "bash")) if path]
NAMES = ("c", "d")
# Each command records the number of its words, and the words, in one write.
PRELUDE = "".join(
    f'{name}() {{ set -- {name} "$@"; printf \'%s\\0\' "$#" "$@" >>"$LOG"; }}\n' for name in NAMES
)

# Spellings of one argument; each is exactly one word.
PLAIN = (
    "a",
    "b=c",
    "x.y",
    "a#b",
    "1",
    "-y",
    "--opt=v",
    "!",
    "if",
    "done",
    "{",
    "}",
    "in",
    "esac",
    "^",
    "a:b",
)
PIECES = (
    *PLAIN,
    "'x; y'", "'a | b'", "'it'\\''s'", "''", "'#'", "'\\'", "'$x'", "'\n'", "'<<E'", "'&&'",
    '"a b"', '"a;b"', '"\\"q\\""', '"\\\\"', '"\\$x"', '"\\a"', '""', '"(\'"', '"#"', '"&"', '"a\\\nb"',
    "\\;", "\\|", "\\ ", "\\'", "\\\"", "\\#", "\\&", "\\(", "\\<", "\\\\", "a\\\nb", "%", "@", ",",
)  # fmt: skip
EXPANSIONS = {
    '"$x"': "",
    '"${x:-a;b}"': "a;b",
    '"${x:-"a b"}"': "a b",
    '"$(echo "a | b")"': "a | b",
    '"$(true x | echo ")")"': ")",
    '"`echo "a;b"`"': "a;b",
    '"$((1 + (2 * 3)))"': "7",
    "$((1+2))": "3",
    '"$(case a in a) echo ";";; esac)"': ";",
    '"$(cat <<X\n) ; c\nX\n)"': ") ; c",
    '"$( # it\'s )\necho a)"': "a",
    '"$((1)); $( (echo a); (echo b) )"': "1; a\nb",
}
REDIRECTIONS = (
    "2>/dev/null", ">/dev/null", "> /dev/null", ">>/dev/null", "2>&1", "</dev/null", "< /dev/null", ">|/dev/null",
    "2>&1 >/dev/null", "3<>/dev/null", "1>&2", "3>&-", ">'/dev/null'", "</dev/nu\"ll\"", "3>/dev/null",
)  # fmt: skip

argument = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
    st.sampled_from((*EXPANSIONS, "$")),
)
gap = st.sampled_from((" ", "  ", "\t", " \\\n ", "\\\n "))


@st.composite
def simple(draw: st.DrawFn) -> str:
    """Draw a command with arguments and redirections in any order, sometimes after an assignment."""
    parts = draw(st.lists(st.one_of(argument, argument, st.sampled_from(REDIRECTIONS)), max_size=4))
    before = draw(st.sampled_from(("", "", "", "X=1 ", "X='a b' Y= ", ">/dev/null ", 'X="$(:; echo d)" ')))
    words = [draw(st.sampled_from(NAMES)), *parts]
    return before + words[0] + "".join(draw(gap) + word for word in words[1:])


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return lists and compound commands whose parts are all run."""

    def two(form: str) -> st.SearchStrategy[str]:
        return st.tuples(inner, inner).map(lambda both: form % both)

    forms = (
        "%s; %s", "%s\n%s", "%s && %s", "! { %s\n} || %s", "%s | %s", "%s & %s", "%s # it's; c |\n%s",
        "if %s; then %s\nfi", "if ! { %s\n}; then :; else %s; fi", "( %s; %s )", "(%s\n)\n%s", "{ %s; %s; }",
        "for i in c 'd;'; do %s; break; done; %s", "for i in a; do %s; done | %s", "( (%s) && (%s) )",
        "case a in b|c) :;; (a | 'x)') %s;; esac\n%s", "case $# in\n *) %s ;; # c\nesac && %s",
        "until %s; do :; done; %s", "while %s; do break; done | { %s; } >/dev/null",
        "f() { %s; }; f; %s", "f () ( %s )\nf && %s", "%s </dev/null | %s 2>&1", "%s\n# c d\n\n%s",
        "(%s) && if (true) then %s; fi", "[ a = a ] && %s || :; %s", "(%s) >/dev/null 2>&1 && %s",
    )  # fmt: skip
    heredocs = (
        "c x <<E | d\n%s; c 'it\nE\n%s", "c <<'E' y\n$(%s\nE\n%s", "c <<-\"E F\" && d <<G\n\t%s\n\tE F\n)\nG\n%s",
        "c <<E\n%s\\\nE\nE\n%s",
    )  # fmt: skip
    return st.sampled_from((*forms, *heredocs)).flatmap(two).map(lambda text: f"{{ {text}\n}}")


scripts = st.recursive(simple(), compound, max_leaves=6)


def ran(shell: str, text: str, folder: Path) -> list[tuple[str, ...]] | None:
    """Return the commands that a shell ran, each with its words; None if it rejects the script."""
    if subprocess.run([shell, "-n"], check=False, input=text.encode(), capture_output=True).returncode:
        return None
    log = folder / "log"
    log.write_bytes(b"")
    subprocess.run(
        [shell, "-c", f"{PRELUDE}{text}\nwait"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "LOG": str(log)},
        capture_output=True,
        check=False,
        timeout=20,
        stdin=subprocess.DEVNULL,
    )
    words = log.read_bytes().decode().split("\0")[:-1]
    found = []
    while words:
        count = int(words[0])
        found.append(tuple(words[1 : count + 1]))
        del words[: count + 1]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the record."""
    return tmp_path_factory.mktemp("record")


def _passed(one: Command) -> tuple[str, ...]:
    """Return the words that a shell passes for a command, with its expansions."""
    return tuple(EXPANSIONS.get(word.written.replace("\\\n", ""), word.value) for word in one.words)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=80, deadline=None)
@given(text=scripts)
def test_the_commands_are_those_that_a_shell_runs(shell: str, folder: Path, text: str) -> None:
    seen = ran(shell, text, folder)
    if seen is None:
        return
    found = [_passed(one) for one in commands(text) if one.words[0].value in NAMES]
    assert sorted(found) == sorted(seen), text


def test_most_generated_scripts_are_accepted(tmp_path: Path) -> None:
    """The differential test would be empty if shells rejected the generated scripts."""
    counts: Counter[bool] = Counter()

    @settings(max_examples=60, deadline=None, database=None)
    @given(text=scripts)
    def count(text: str) -> None:
        counts[bool(ran(SHELLS[0], text, tmp_path))] += 1

    count()
    assert counts[True] > 4 * counts[False]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "text",
    [
        "cat <<E\na\\\nE\nb \\\\\nE\n",
        "cat <<'E'\na\\\nE\n",
        "cat <<-E\n\t\ta\n b\n\tE\n",
        "cat <<A <<B\na\nA\nb\nB\n",
        "cat 0<<E x 3<<F -\na\nE\nb\nF\n",
        "cat <<E",
    ],
)
def test_the_text_of_a_heredoc_equals_what_a_shell_passes(shell: str, text: str, tmp_path: Path) -> None:
    done = subprocess.run([shell, "-c", text], check=False, cwd=tmp_path, capture_output=True, text=True)
    [command] = commands(text)
    assert (command.stdin or "").replace("\\\\", "\\") == done.stdout


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a b; c && d || e & f\ng", ["a", "c", "d", "e", "f", "g"]),
        ("a 2>&1 | b", ["a |", "b"]),
        ("a |& b", ["a |", "b"]),
        ("a >&2; b &> c; d >| e", ["a", "b", "d"]),
        ("if ! /usr/bin/a; then X=1 b; fi", ["a", "b"]),
        ("sudo a; { b | c; }", ["a", "b |", "c"]),
        ("sudo -E A=b env c; command -v d; exec", ["c", "d", "exec"]),
        ("( a | b )", ["a |", "b"]),
        ("(a; b) | c; { d; e; } 2>&1 | f", ["a", "b |", "c", "d", "e |", "f"]),
        ("for x in a b; do c; done | d", ["c |", "d"]),
        ("a; X=1 | b; (( 1 )) | c; [[ x ]] | d", ["a", "b", "c", "d"]),
        ("a 'x; y | z' \"x; y | z\" x\\;y", ["a"]),
        ("a \"$(b \"c | d\")\" `e | f` $(g | (h | i))", ["a"]),
        ("x=\"${y:-a|b}\"; c", ["c"]),
        ("a 'it'\\''s | b'; c", ["a", "c"]),
        ("a 'b\\' | c", ["a |", "c"]),
        ("a # b | c\nd#e | f", ["a", "d#e |", "f"]),
        ("# a", []),
        ("case $a in a|b) c | d ;; e | f) g ;; esac | h", ["c |", "d", "g |", "h"]),
        ("case in in in) a;; esac; case x in esac; b", ["a", "b"]),
        ("[[ a =~ (b|c) && d < e ]] && f", ["f"]),
        ("a $((1 | 2)); (( b | c )); ((d); e)", ["a", "d", "e"]),
        ("X=(a b) c; declare -a Y=(a; b); d", ["c", "declare", "d"]),
        ("function f { a; }; function g() { b; }; h () { c; }", ["a", "b", "c"]),
        ("for ((i = 0; i < 3; i++)); do a; done; select x in a; do b; done", ["a", "b"]),
        ("diff <(a | b) >(c; d); e <<<'a | b' | f", ["diff", "e |", "f"]),
        ("a $'it\\'s; b' $\"c; d\"; e", ["a", "e"]),
        ("a 'b; c\nd", ["a"]),
        ("a \"b; $(c", ["a"]),
        ("a ${b; c", ["a"]),
        ("a ); b; } c; fi; d", ["a", "b", "c", "d"]),
        ("a >", ["a"]),
        ("$(" * 5_000, []),
        ("", []),
    ],
)  # fmt: skip
def test_names_and_pipes(text: str, found: list[str]) -> None:
    assert [f"{one.name} |" if one.piped else one.name for one in commands(text)] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sh -c 'a b'", "a b"),
        ('sudo /bin/bash -euo pipefail -c "a" b', "a"),
        ("bash -o pipefail --norc -ec a", "a"),
        ("sh -ex <<E\na\nE", "a\n"),
        ("bash -o pipefail 0<<E\na\nE", "a\n"),
        ("sh <<<a", "a\n"),
        ("sh -c", None),
        ("sh file <<E\na\nE", None),
        ("sh file -c a", None),
        ("python -c a", None),
        ("sh", None),
    ],
)
def test_the_script_that_a_command_passes_to_another_shell(text: str, found: str | None) -> None:
    assert commands(text)[0].script == found


@pytest.mark.parametrize(
    ("run", "found"),
    [
        ("RUN --mount=type=tmpfs,target=/a a \\\n  # why\n  && b", "a   && b"),
        ("RUN <<E\na\nE", "a\n"),
        ("RUN <<-'E'\n\tcat <<F\n\tF\n\tE", "cat <<F\nF\n"),
        ("RUN <<E\n#!/bin/bash -e\na\nE", "#!/bin/bash -e\na\n"),
        ("RUN <<'E.F'\na\nE.F", "a\n"),
        ("RUN <<E b\na\nE", "<<E b\na\nE"),
        ("RUN <<E\n#!/usr/bin/env python3\na\nE", ""),
        ("RUN cat <<A <<B > x\na\nA\nb\nB", "cat <<A <<B > x\na\nA\nb\nB"),
        ('RUN ["a", "b"]', ""),
        ("CMD a", ""),
    ],
)
def test_the_script_of_a_run(run: str, found: str) -> None:
    assert script(parse(f"FROM a\n{run}\n").instructions[1]) == found


def test_tokens_of_a_script_without_comments() -> None:
    found = tokens("a 'b c' # d\n2> e cat <<F | g\nh\nF\n")
    assert [one if isinstance(one, str) else one.written for one in found] == [
        "a", "'b c'", "2>e", "cat", "<<F", "|", "g", "h\n"
    ]  # fmt: skip
