"""The rule `line-break`, compared with a real shell, and the hint at Jinja2's own white space options."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dfgen.commands.lint.dockerfile import line_break
from dfgen.dockerfile import parse
from tests.unit.catalogs import FAMILY
from tests.unit.lint.catalogs import Linting, T

HINT = (
    "; with Jinja2's own white space the template has no such error: write"
    " jinja: {trim_blocks: false, lstrip_blocks: false} in bases/app/base.yaml"
)
JINJA = "jinja: {trim_blocks: false, lstrip_blocks: false}\n"


def found(text: str) -> list[tuple[int, str]]:
    hits = line_break(parse(text), text)
    return [(hit.line, hit.message.partition("blank after it: ")[2].partition("; break")[0]) for hit in hits]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN a; \\    b\n", [(2, "`\\    b`")]),
        ("RUN a && \\ b\n", [(2, "`\\ b`")]),
        ("RUN a; \\\t b\n", [(2, "`\\\t b`")]),
        ("RUN apt-get install -y \\ curl\n", [(2, "`\\ curl`")]),
        ("RUN apt-get install \\    curl\n", [(2, "`\\    curl`")]),
        ("RUN a; \\\n  b; \\   c; \\\n  d; \\  e\n", [(3, "`\\   c; \\`"), (4, "`\\  e`")]),
        ("RUN a; \\\n# x; \\  y\n\n  b; \\  c\n", [(5, "`\\  c`")]),
        ("RUN set -eu; b\\    c\n", [(2, "`\\    c`")]),
        ("RUN <<EOF\na; \\  b\nEOF\n", [(3, "`\\  b`")]),
        ("ONBUILD RUN a; \\  b\n", [(2, "`\\  b`")]),
        ("ENV A=1 \\ B=2\n", [(2, "`\\ B=2`")]),
        ("COPY a \\ b /x\n", [(2, "`\\ b /x`")]),
        ("CMD a \\  b\n", [(2, "`\\  b`")]),
        # Continuations, whatever follows the backslash on its line but text.
        ("RUN a; \\ \n b\n", []),
        ("RUN a; \\\t \n# comment\n\n b; \\\n", []),
        ("RUN a \\\\\n", []),
        ("RUN <<EOF\na; \\\n b\nEOF\n", []),
        # Escaped blanks that a shell needs.
        ("RUN mkdir /a\\ b && cut -d \\  -f1 x && tr \\  _ && cut -d\\  -f1\n", []),
        ("RUN echo 'a; \\   b' \"c; \\   d\" # e; \\   f\n", []),
        ("RUN find . \\( -name a -o -name b \\) -exec rm {} \\;\n", []),
        ('RUN ["a", "\\\\ ", "b"]\n', []),
        ("COPY <<EOF /x\na; \\   b\nEOF\n", []),
        ("ENV A=b\\ c D='\\  e'\n", []),
        ("LABEL a=b\\ c\n", []),
    ],
)
def test_an_escaped_blank_that_should_end_the_line(text: str, expected: list[tuple[int, str]]) -> None:
    assert found("FROM a\n" + text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN a; `  b\n", []),  # a command substitution for a POSIX shell
        ("RUN a; \\  b\n", [(3, "`\\  b`")]),
        ("ENV A=1 `\n  B=2 ` C=3\n", [(4, "` C=3`")]),
        ('SHELL ["powershell"]\nRUN a; `  b\n', [(4, "`  b`")]),
        ('SHELL ["cmd", "/S", "/C"]\nRUN dir C:\\ D:\\\n', []),
    ],
)
def test_another_escape_character(text: str, expected: list[tuple[int, str]]) -> None:
    assert [
        (line, shown.replace("``", "`")) for line, shown in found("# escape=`\nFROM a\n" + text)
    ] == expected


# Scripts of one line; `args` prints its arguments as JSON.
SCRIPTS = (
    "args a; \\   args b",
    "args a && \\ args b",
    "args a \\ b",
    "args a \\    b",
    "args a\\ b",
    "args -d \\  -f1",
    "args \\  _",
    "args 'x \\   y'",
    'args "x \\   y"',
    "args a # \\   b",
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_shell_gets_a_word_that_begins_with_a_blank(script: str) -> None:
    dump = f"'{sys.executable}' -c 'import json, sys; print(json.dumps(sys.argv[1:]))' \"$@\""
    run = f'args() {{ {dump}; }}\ncommand_not_found_handle() {{ args "$@"; }}\n{script}\n'
    done = subprocess.run(["bash", "-c", run], capture_output=True, text=True, check=False)
    words = [word for line in done.stdout.splitlines() for word in json.loads(line)]
    # A single blank as an argument may be meant: `cut -d \  -f1`.
    begins = any(word.startswith(" ") and word != " " for word in words)
    lone = any(word == " " for word in words)
    reported = bool(found(f"FROM a\nRUN {script}\n"))
    assert reported if begins else lone or not reported


@pytest.mark.parametrize(
    ("template", "line", "problem"),
    [
        (
            "RUN set -eu; \\\n{%- set a = 1 %}\n    case x in \\\n      *) y ;; \\\n    esac\n",
            2,
            "`\\` does not end the line, so it escapes the blank after it: `\\    case x in \\`",
        ),
        (
            "RUN set -eu; \\\n{%- if true %}\nls; \\\n{%- endif %}\npwd\n",
            2,
            "the line break before `ls; \\pwd` is missing",
        ),
        ("RUN a{% if true %} b{% endif %}\nCMD c\n", 2, "the line break before `CMD c` is missing"),
        ("# a{% if true %} b{% endif %}\nCMD c\n", 2, "the line break before `CMD c` is missing"),
        ("RUN a {% if true %} b {% endif %}\nCMD c\n", 2, "the line break before `CMD c` is missing"),
    ],
)
def test_a_template_for_jinja2_s_own_white_space(
    linting: Linting, template: str, line: int, problem: str
) -> None:
    linting.catalog("FROM {{ parent }}\n" + template)
    (finding,) = linting.found("app@amd64")
    assert finding == f"{T}:{line}: error: {problem}{HINT} [line-break] (in bases/app/1.0/Dockerfile_amd64:7)"
    linting.catalog("FROM {{ parent }}\n" + template, FAMILY + JINJA)
    assert linting.found("app@amd64") == []


def test_the_setting_is_named_for_a_file_that_is_no_dockerfile(linting: Linting) -> None:
    template = "FROM {{ parent }}\nLABEL a=b{% if true %} c=d{% endif %}\nUSER x\n"
    linting.catalog(template)
    message = "LABEL has 'x', which is not name=value"
    assert linting.found("app@amd64") == [
        f"{T}:2: error: {message}{HINT} [does-not-render] (in bases/app/1.0/Dockerfile_amd64:7)"
    ]
