import pytest

from dfgen.dockerfile import parse
from dfgen.dockerfile.lexer import UnbalancedError, unquote
from dfgen.errors import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# c\n", "a/Dockerfile: has no instructions; a Dockerfile begins with FROM"),
        ("# escape=x\nFROM a\n", "a/Dockerfile:1: invalid escape directive 'x'; use \\ or `"),
        (
            "# syntax=a\n# syntax=b\nFROM a\n",
            "a/Dockerfile:2: duplicate '# syntax=' directive; keep one",
        ),
        (
            "FROM a\nCMD [1]\n",
            "a/Dockerfile:2: the JSON array may only contain strings; quote the other values",
        ),
        ("FROM a\n\nENV a\n", "a/Dockerfile:3: ENV has a name but no value; expected name=value"),
        ("FROM a\nlabel a=b c\n", "a/Dockerfile:2: LABEL has 'c', which is not name=value"),
        (
            "FROM a\nLABEL a=b \\  c=d\n",
            "a/Dockerfile:2: LABEL has '\\\\ ', which is not name=value; to continue a line, `\\` must end it",
        ),
        ("FROM a\nRUN <<EOF\nx\n", "a/Dockerfile:2: the heredoc <<EOF is not closed; add a line 'EOF'"),
    ],
)
def test_an_error_has_its_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse(text, "a/Dockerfile")
    assert str(error.value) == message


def test_directives_and_escape_are_read() -> None:
    dockerfile = parse("# syntax=docker/dockerfile:1\n# Check = skip=X\n# escape=`\nFROM a\n")
    assert dockerfile.directives == {"syntax": "docker/dockerfile:1", "check": "skip=X", "escape": "`"}
    assert dockerfile.escape == "`"


def test_a_heredoc_has_the_lines_of_its_body() -> None:
    (instruction,) = parse("RUN cat <<-'E' \\\n > /x\n\ta\n\tE\n").instructions
    (heredoc,) = instruction.heredocs
    assert (heredoc.line, heredoc.end_line, heredoc.expand, heredoc.chomp) == (3, 4, False, True)
    assert (instruction.line, instruction.end_line) == (1, 4)


def test_flag_returns_all_values() -> None:
    (instruction,) = parse("RUN --mount=type=a --mount=type=b --link c\n").instructions
    assert instruction.flag("mount") == ("type=a", "type=b")
    assert instruction.flag("link") == ("true",)
    assert instruction.flag("from") == ()


@pytest.mark.parametrize(
    ("word", "plain"),
    [
        ("a\"b c\"'d $e'", "ab cd $e"),
        ('"a\\"\\$b\\\\c\\d"', 'a"$b\\c\\d'),
        ("a\\ b\\'", "a b'"),
        ("${A/1/2}${A//1/2}${A#1}${A%%1}$00$?", "${A/1/2}${A//1/2}${A#1}${A%%1}"),
        ("$A-${A}-${B:-b}-${A:+c}-${B-d}-${E:-e}-${E-f}", "1-1-b-c-d-e-"),
        ("$X$", "$"),
        ("a\\", "a"),
        ('"a\\', None),
        ("'a", None),
        ("${", None),
        ("${a:=b}", None),
    ],
)
def test_unquote(word: str, plain: str | None) -> None:
    if plain is None:
        with pytest.raises(UnbalancedError):
            unquote(word, "\\", {})
    else:
        assert unquote(word, "\\", {"A": "1", "E": ""}) == plain


def test_unquote_without_variables_keeps_them() -> None:
    assert unquote("\"$A\"${B:-c}'${'", "\\") == "$A${B:-c}${"


def test_unquote_with_a_backtick_as_escape() -> None:
    assert unquote('a` b"c`"d\\`$"', "`") == 'a bc"d\\$'
