from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.dockerfile import Instruction, parse
from dfgen.dockerfile.parser import KEYWORDS
from dfgen.errors import InputError
from tests.unit.dockerfile.constructs import ALL
from tests.unit.dockerfile.oracle import Judged, Oracle

KEYWORD_PIECES = tuple(
    f"{keyword} "
    for keyword in (
        "FROM",
        "RUN",
        "ENV",
        "LABEL",
        "ARG",
        "COPY",
        "CMD",
        "HEALTHCHECK CMD",
        "USER",
        "ONBUILD",
        "VOLUME",
    )
)
BLANK_PIECES = (
    " ",
    "  ",
    "\t",
    "\n",
    "\n",
    "\n",
    "\\\n",
    "\\ \n",
    "`\n",
    "\r\n",
    "\u00a0",
    "# c\n",
    "# escape=`\n",
)
OTHER_PIECES = (
    "--a=b ",
    "--a='b c' ",
    "a",
    "b=c",
    "=",
    "\\",
    "`",
    "#",
    "'",
    '"',
    "$",
    "${",
    "}",
    "$a",
    "(",
    "<",
    "1",
)
# "]" only at the end of a line, and no "<<" before a blank: the oracle is older than current BuildKit there.
HEREDOC_PIECES = ("<<E", "<<-E", "<<'E'", "\nE\n", "\n\tE\n", '["a", "b"]\n', "[", '"a"', ",", "é", "-")
PIECES = KEYWORD_PIECES + BLANK_PIECES + OTHER_PIECES + HEREDOC_PIECES


def ours(instruction: Instruction) -> Judged:
    inner = instruction
    while inner.trigger is not None and inner.keyword == "ONBUILD":
        inner = inner.trigger
    return Judged(
        keyword=instruction.keyword,
        trigger=instruction.trigger.keyword if instruction.trigger else "",
        is_json=inner.is_exec_form,
        line=instruction.line,
        end_line=instruction.end_line,
        flags=tuple(flag.encode().decode("latin-1") for flag in instruction.flags),  # as Go spells bytes
        words=inner.words,
        heredocs=tuple(
            (heredoc.name, heredoc.descriptor, heredoc.content) for heredoc in instruction.heredocs
        ),
    )


def assert_agree(text: str, judged: list[Judged] | str) -> None:
    """Compare everything that the oracle reports; it has neither flags nor heredocs of a trigger."""
    if isinstance(judged, str):
        with pytest.raises(InputError):
            parse(text)
        return
    mine = [ours(instruction) for instruction in parse(text).instructions]
    assert [(m.keyword, m.line, m.end_line) for m in mine] == [
        (j.keyword, j.line, j.end_line) for j in judged
    ]
    for m, j in zip(mine, judged, strict=True):
        if j.keyword == "ONBUILD":
            assert m.trigger == j.trigger
        else:
            assert m == (j if j.keyword in KEYWORDS else replace(j, words=())), text


@pytest.mark.parametrize("text", ALL)
def test_construct_is_read_as_buildkit_does(text: str, oracle: Oracle) -> None:
    assert_agree(text, oracle.parse(text))


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), min_size=20, max_size=40))
def test_generated_text_is_read_as_buildkit_does(texts: list[str], oracle: Oracle) -> None:
    texts = [f"FROM x\n{text}" for text in texts]
    for text, judged in zip(texts, oracle.parse_all(texts), strict=True):
        assert_agree(text, judged)


def test_newer_buildkit_accepts_blanks_before_a_heredocs_name() -> None:
    """Since Dockerfile 1.10; the oracle is older and would read the body as instructions."""
    first, second = parse("RUN cat << EOF > /x\na\nEOF\nUSER x\n").instructions
    assert [(heredoc.name, heredoc.content) for heredoc in first.heredocs] == [("EOF", "a\n")]
    assert (second.keyword, second.line) == ("USER", 4)


def test_newer_buildkit_reads_text_behind_an_array_as_shell_form() -> None:
    """The oracle is older and only reads the array."""
    (instruction,) = parse('CMD ["a"] b\n').instructions
    assert not instruction.is_exec_form
    assert instruction.words == ('["a"] b',)
