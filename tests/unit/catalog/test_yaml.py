"""The YAML reader: values, places, and problems that a YAML loader would hide."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.catalog.yaml import Document, parse, read
from dfgen.errors import InputError

COLON = "invalid YAML: a second ': ' in the line; quote the text that contains it"
TAB = "invalid YAML: a tab cannot indent a line; use spaces"


def _problems(text: str) -> list[str]:
    return [str(problem) for problem in parse(text, "f").problems]


def _fatal(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(text, "f")
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", None),
        ("# nothing", None),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: [true, false, null, 7, 1.5, -3, x]", {"a": [True, False, None, 7, 1.5, -3, "x"]}),
        ("a: [y, n, nO, 2024-06-30, 1_000]", None),
        ("a: \"1.10\"\nb: '010'", {"a": "1.10", "b": "010"}),
        ("a: !!str 1.10", {"a": "1.10"}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("\ufeffa: b", {"a": "b"}),
        ("%YAML 1.2\n---\na: b\n...\n", {"a": "b"}),
        ("x: &x {a: 1}\ny: *x", {"x": {"a": 1}, "y": {"a": 1}}),
        ("a: é😀", {"a": "é😀"}),
    ],
)
def test_values(text: str, data: Any) -> None:
    document = parse(text, "f")
    assert document.problems == ()
    words = {"a": ["y", "n", "nO", "2024-06-30", "1_000"]}
    assert document.data == (words if "2024" in text else data)


def test_places_of_keys_and_values() -> None:
    document = parse("a: 1\nb:\n  - x\n  - {c: y}\n", "f")
    assert str(document.place(("b", 1, "c"))) == "f:4:9"
    assert str(document.place(("b", 1, "c"), key=True)) == "f:4:6"
    assert str(document.place(("a",), key=True)) == "f:1:1"
    assert str(document.place()) == "f:1:1"


def test_the_place_of_a_missing_value_is_that_of_its_container() -> None:
    document = parse("b:\n  - {c: y}\n", "f")
    assert str(document.place(("b", 0, "d", "e"))) == "f:2:5"
    assert str(Document("f", None, {}, {}, {}).place(("a",))) == "f:1:1"


def test_the_place_below_an_alias_is_that_of_the_alias() -> None:
    document = parse("x: &x {a: 1}\ny: *x\n", "f")
    assert str(document.place(("y", "a"))) == "f:2:4"


@pytest.mark.parametrize(
    ("number", "kind", "became"),
    [
        ("1.10", "float", "1.1"),
        ("1.", "float", "1.0"),
        (".5", "float", "0.5"),
        ("1e3", "float", "1000.0"),
        ("1E5", "float", "100000.0"),
        ("1e400", "float", "inf"),
        ("010", "integer", "10"),
        ("0o17", "integer", "15"),
        ("0x1F", "integer", "31"),
        ("+5", "integer", "5"),
        ("-0", "integer", "0"),
        (".inf", "float", "inf"),
        ("-.INF", "float", "-inf"),
        (".NaN", "float", "nan"),
        ("3.14159265358979323846", "float", "3.141592653589793"),
    ],
)
def test_a_number_that_would_not_be_preserved_is_rejected(number: str, kind: str, became: str) -> None:
    assert _problems(f"a: {number}") == [
        f'f:1:4: {number} is a YAML {kind} and would become {became}; write "{number}" with quotes'
    ]


@pytest.mark.parametrize(
    "number", ["0", "17", "-3", "1.5", "-0.25", "1234567890123456789012345678901234567890"]
)
def test_a_number_that_is_preserved_is_accepted(number: str) -> None:
    document = parse(f"a: {number}", "f")
    assert document.problems == ()
    assert repr(document.data["a"]) == number
    assert document.numbers == {("a",): number}


def test_a_number_with_thousands_of_digits_is_rejected() -> None:
    assert _problems(f"a: {'9' * 5000}") == ["f:1:4: number with 5000 characters; write it with quotes"]


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_python_numbers_are_preserved_or_rejected(number: float) -> None:
    document = parse(f"a: {number!r}", "f")
    assert document.problems or document.data == {"a": number}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\na: 3\n", ["f:3:1: duplicate key 'a' (first on line 1)"]),
        ("x:\n  a: 1\n  a: 3\n", ["f:3:3: duplicate key 'a' (first on line 2)"]),
        ("1.10: x", ['f:1:1: key 1.10 is a YAML float; expected text: write "1.10" with quotes']),
        ("17: x", ['f:1:1: key 17 is a YAML integer; expected text: write "17" with quotes']),
        ("true: x", ['f:1:1: key true is not text; write "true" with quotes']),
        ("? \n: x", ['f:1:2: key (nothing) is not text; write "" with quotes']),
        ("~: x", ['f:1:1: key ~ is not text; write "~" with quotes']),
        ("? [a]\n: b", ["f:1:3: a key is a list, a mapping or an alias; expected text"]),
        ("? {a: b}\n: c", ["f:1:3: a key is a list, a mapping or an alias; expected text"]),
        ("x: &x a\n*x : b", ["f:2:1: a key is a list, a mapping or an alias; expected text"]),
        ("a: *x", ["f:1:4: alias *x has no anchor &x above it"]),
        ("&x [*x]", ["f:1:5: alias *x has no anchor &x above it"]),
        ("a: !!int 7", ["f:1:4: tag tag:yaml.org,2002:int is not supported; write the value without a tag"]),
        ("a: !env HOME", ["f:1:4: tag !env is not supported; write the value without a tag"]),
        (
            "a: !!set {b}",
            ["f:1:4: tag tag:yaml.org,2002:set is not supported; write the value without a tag"],
        ),
        ("a: !x []", ["f:1:4: tag !x is not supported; write the value without a tag"]),
        ("a: 1\n---\nb: 2\n", ["f:2:1: a second document starts here; expected one per file"]),
        ("<<: 1", ["f:1:1: << can only merge mappings"]),
        ("<<: [{a: 1}, x]", ["f:1:1: << can only merge mappings"]),
    ],
)
def test_problems_that_a_loader_would_hide(text: str, found: list[str]) -> None:
    assert _problems(text) == found


def test_all_problems_are_reported_together() -> None:
    assert len(_problems("a: 1.10\nb: [010, *x]\nc: !y z\n")) == 4


def test_quoted_numbers_are_keys() -> None:
    document = parse("\"17\": a\n'1.10': b\n", "f")
    assert (document.data, document.problems) == ({"17": "a", "1.10": "b"}, ())


def test_merge_keys() -> None:
    document = parse(
        "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], c: 3}\nw: {a: 0, <<: *x}\n", "f"
    )
    assert document.problems == ()
    assert document.data["z"] == {"a": 1, "b": 1, "c": 3}
    assert document.data["w"] == {"a": 0, "b": 1}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert parse('"<<": 1', "f").data == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", f"f:1:5: {COLON}"),
        ("a:\n\t- b", f"f:2:1: {TAB}"),
        ("a: {b", "f:2:1: invalid YAML: did not find expected ',' or '}'"),
        (
            "a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> x\n",
            "f:2:1: invalid YAML: a merge conflict starts here; keep one side",
        ),
        ("a: @x", "f:1:4: invalid YAML: a text cannot begin with '@'; write it with quotes"),
        ('"\\ud800"', "f:1:4: invalid YAML: found invalid Unicode character escape code"),
        ("a: 1\n\tb: 2\n", f"f:2:1: {TAB}"),
        ("a: \x00", "f: invalid YAML: unacceptable character #x0000: control characters are not allowed"),
        ("a: " + "[" * 100, "f:1:68: invalid YAML: nested deeper than 64 levels"),
    ],
)
def test_invalid_yaml(text: str, message: str) -> None:
    assert _fatal(text) == [message]


@pytest.mark.parametrize("text", ["? " * 5000, "- " * 5000])
def test_deep_nesting_is_rejected(text: str) -> None:
    assert _fatal(text)[-1] == "f:1:131: invalid YAML: nested deeper than 64 levels"


@pytest.mark.parametrize("text", ["{" * 5000, "[{" * 5000])
def test_deep_nesting_in_braces_is_rejected(text: str) -> None:
    assert _fatal(text) == ["f:1:1001: invalid YAML: exceeded maximum nesting depth; nest at most 64 levels"]


@pytest.mark.parametrize(
    "text", ["{a: b:1}", "a: [nginx:1.28]", "{a: {parent: docker.io/library/nginx:1.28}}"]
)
def test_a_colon_within_a_word_needs_no_quotes(text: str) -> None:
    assert parse(text, "f").problems == ()


def test_problems_before_a_syntax_error_are_reported_too() -> None:
    assert _fatal("a: 1.10\nb: [") == [
        'f:1:4: 1.10 is a YAML float and would become 1.1; write "1.10" with quotes',
        "f:3:1: invalid YAML: did not find expected node content",
    ]


def test_exponential_aliases_are_rejected() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert _fatal("\n".join(lines)) == ["f:5:45: invalid YAML: aliases expand to more than 100,000 values"]


def test_a_file_with_too_many_values_is_rejected() -> None:
    assert _fatal("[" + "1," * 600_000 + "]") == [
        "f:1:1000000: invalid YAML: more than 500,000 values; divide the family"
    ]


def test_many_aliases_are_accepted() -> None:
    text = "x: &x [1, 2, 3]\ny: [" + ", ".join(["*x"] * 1000) + "]"
    assert len(parse(text, "f").data["y"]) == 1000


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: é", encoding="utf-8")
    assert read(tmp_path, "x.yaml").data == {"a": "é"}
    for data in ("a: é".encode("latin-1"), "a: b".encode("utf-16")):
        path.write_bytes(data)
        with pytest.raises(InputError) as caught:
            read(tmp_path, "x.yaml")
        assert str(caught.value) == "x.yaml: is not UTF-8 text; save it as UTF-8"


def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").mkdir()
    with pytest.raises(InputError) as caught:
        read(tmp_path, "x.yaml")
    assert str(caught.value) == "x.yaml: is not a regular file; put a file there"


MARKS = (*"abk01.-+:?,[]{}&*!|>'\"%@#~< \n\t", "<<: ", "- ", ": ", "\n  ", "*a", "&a ", "---\n")
yamlish = st.lists(st.sampled_from(MARKS), max_size=40).map("".join)


@given(yamlish | st.text(max_size=30))
def test_any_text_parses_or_raises_input_error(text: str) -> None:
    with contextlib.suppress(InputError):
        document = parse(text, "f")
        assert all(problem.place is not None for problem in document.problems)


OLD = [
    (word, meaning)
    for meaning, words in {"true": ("yes", "on"), "false": ("no", "off")}.items()
    for word in words
]


@pytest.mark.parametrize(
    ("text", "meaning", "kind"),
    [
        *(
            (form(word), meaning, "boolean in YAML 1.1, but text in YAML 1.2")
            for word, meaning in OLD
            for form in (str.lower, str.upper, str.capitalize)
        ),
        ("True", "true", "YAML boolean"),
        ("FALSE", "false", "YAML boolean"),
    ],
)
def test_a_boolean_that_is_read_or_printed_otherwise_is_refused(text: str, meaning: str, kind: str) -> None:
    (problem,) = parse(f"a: [x, {text}]", "f").problems
    assert str(problem) == f'f:1:8: {text} is a {kind}; write {meaning}, or "{text}" with quotes'
    assert parse(f'a: "{text}"', "f").problems == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1\n", f"f:2:1: {TAB}"),
        ("a:\n  b:\n    c: 1\n   d: 2\n", "f:4:4: invalid YAML: indented by 3 spaces, expected 0 or 2 or 4"),
        ("a: b\n  c: d\n", "f:2:3: invalid YAML: indented by 2 spaces, expected 0"),
        ("a:\n  b: 1\n c: 2\n", "f:3:2: invalid YAML: indented by 1 space, expected 0 or 2"),
        ("a:\n  - b: 1\n   c: 2\n", "f:3:4: invalid YAML: indented by 3 spaces, expected 0 or 2 or 4"),
        (
            "# c\n a: 1\nb: 2\n",
            "f:2:1: invalid YAML: the first line is indented, but others are not; align them",
        ),
        (
            'a: "b" c\nd: 1\n',
            "f:1:8: invalid YAML: did not find expected key; check the quotes and brackets of this line and of the"
            " one above",
        ),
    ],
)
def test_an_error_of_libyaml_says_what_to_do(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, "f")
    assert str(caught.value) == message


def test_unquoted_braces_say_what_to_do() -> None:
    start = "YAML reads {{ as a mapping; quote the whole text:"
    document = parse("a: {{ b }} # c\nb: [{{ c }}, d]\n", "f")
    assert list(map(str, document.problems)) == [
        f'f:1:4: {start} "{{{{ b }}}}"',
        f'f:2:5: {start} "{{{{ c }}}}"',
    ]
    assert document.data["b"][1] == "d"
    # The rest of these lines is no YAML, which is not reported again.
    for text, quoted in (("{{ b }}:1", '"{{ b }}:1"'), ('{{ b["c"] }}', "'{{ b[\"c\"] }}'")):
        assert _fatal(f"a: {text}\nc: 1") == [f"f:1:4: {start} {quoted}"]


def test_an_item_that_is_indented_too_far_is_reported() -> None:
    (problem,) = parse("a:\n  - b\n   - c\n", "f").problems
    message = "this item continues the text above it; align its '-' with the other items"
    assert str(problem) == f"f:3:4: {message}"
    assert parse("a:\n  - >\n   - c\nb: 'x\n  - y'\nc: x\n  y\n", "f").problems == ()
