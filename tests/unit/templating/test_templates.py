"""A folder of templates: options, places of errors, expressions of the catalog."""

from pathlib import Path

import pytest

from dfgen.errors import InputError, Place
from dfgen.templating import TemplateOptions, Templates
from tests.unit.templating.helpers import TemplateFolder

PLACE = Place("bases/a/base.yaml", 3, 7)
OPTIONS = TemplateOptions(trim_blocks=False, lstrip_blocks=False, keep_trailing_newline=False)


def failure(
    folder: TemplateFolder, text: str, variables: dict[str, object] | None = None, **others: str
) -> str:
    with pytest.raises(InputError) as error:
        folder.render(text, variables, **others)
    return str(error.value)


VARIABLES: dict[str, object] = {"java": {"jvm": {"heap": "1g"}}, "n": 1, "names": ["a"], "nothing": None}
NO_LOOP = "infinite recursion; a macro or an include needs a condition that stops it"
TOO_LONG = "1: not allowed in a template: the result would have more than 1,000,000 characters or items"
TOO_LARGE = "1: not allowed in a template: the argument 999,999,999 is too large; the limit is 100,000"
TOO_WIDE = (
    "1: not allowed in a template: a width of more than five digits, or '*', in a format is not allowed"
)
GROWN = "1: not allowed in a template: the result has 1,310,720 characters or items; the limit is 1,000,000"
RANGE = "1: range() has more than 100000 numbers"

FAILURES = [
    ("\n{{ jvaa }}", "2: 'jvaa' is not defined (did you mean 'java'?)"),
    ("{{ xyz }}", "1: 'xyz' is not defined"),
    ("{% set version = 1 %}{{ versoin }}", "1: 'versoin' is not defined (did you mean 'version'?)"),
    ("{% if xyz %}{% endif %}", "1: 'xyz' is not defined"),
    ("{{ java.jmv }}", "1: 'java' has no 'jmv' (did you mean 'jvm'?)"),
    ("{{ java['jvm'].x }}", "1: 'java.jvm' has no 'x'"),
    ("{{ {'a': 1}.b }}", "1: a mapping has no 'b'"),
    ("{{ names[7] }}", "1: 'names' has no 7"),
    ("{{ (1).reel }}", "1: 'n' has no 'reel' (did you mean 'real'?)"),
    (
        "{{ nothing }}",
        "1: 'nothing' cannot be printed: it is null; set a value, or print it with | default('…', true)",
    ),
    (
        "{{ names }}",
        "1: 'names' cannot be printed: it is a list; print it with | join(' ') or | tojson",
    ),
    (
        "{{ java }}",
        "1: 'java' cannot be printed: it is a mapping; print one of its items, or print it with | tojson",
    ),
    (
        "{% macro m() %}{% endmacro %}{{ m }}",
        "1: 'm' cannot be printed: a Macro cannot be converted to text; print one of its attributes",
    ),
    ("{{ 1 / (n - 1) }}", "1: division by zero"),
    ("{{ n + 'a' }}", "1: + cannot be used with a number and a text; join texts with ~"),
    ("{{ n() }}", "1: a number cannot be called; remove the parentheses"),
    ("{{ names.index('z') }}", "1: 'z' is not in list"),
    ("{{ {}.popitem() }}", "1: key not found: 'popitem(): dictionary is empty'"),
    ("{{ ''.__class__ }}", "1: not allowed in a template: templates cannot access the attribute '__class__'"),
    ("{% macro m() %}{{ m() }}{% endmacro %}\n{{ m() }}", f"1: {NO_LOOP}"),
    ("{% include 'x.j2' %}", f"1: {NO_LOOP}"),
    ("{% include 'y.j2' %}", "1: template 'y.j2' not found (did you mean 'x.j2'?)"),
    ("{% include ['q', 'r'] %}", "1: template 'q' not found"),
    ("{% include '../x.j2' %}", "1: template '../x.j2' not found (did you mean 'x.j2'?)"),
    ("\n{% if %}", "2: an expression is missing before %}"),
    ("{{ n | intt }}", "1: unknown filter 'intt' (did you mean 'int'?)"),
    ("{{ n is evenn }}", "1: unknown test 'evenn' (did you mean 'even'?)"),
    ("{{ 'a' | random }}", "1: unknown filter 'random'"),
    ("{{ lipsum() }}", "1: 'lipsum' is not defined"),
    ("{{ 'a' * 9999999 }}", TOO_LONG),
    ("{{ [1] * 9999999 }}", TOO_LONG),
    ("{{ 10 ** 99999 }}", "1: not allowed in a template: the power has too many digits"),
    ("{{ range(999999999) | list }}", RANGE),
    ("{{ 'a'.ljust(999999999) }}", TOO_LARGE),
    ("{{ 'a' | center(999999999) }}", TOO_LARGE),
    ("{{ '%0999999999d' % 1 }}", TOO_WIDE),
    ("{{ '%*d' | format(9, 1) }}", TOO_WIDE),
    ("{{ '{:0999999999}'.format(1) }}", TOO_WIDE),
    ("{{ '{:{}}'.format(1, 999999999) }}", TOO_LARGE),
    (
        "{% set s = namespace(t='a' * 10) %}{% for i in range(40) %}{% set s.t = s.t ~ s.t %}{% endfor %}",
        GROWN,
    ),
    (
        "{% set s = namespace(t='a' * 10) %}{% for i in range(40) %}{% set s.t = s.t + s.t %}{% endfor %}",
        GROWN,
    ),
    (
        "{% set s = namespace(n=10) %}{% for i in range(40) %}{% set s.n = s.n * s.n %}{% endfor %}",
        "1: not allowed in a template: the number has too many digits",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), FAILURES)
def test_an_error_is_one_line_with_its_place(text: str, message: str, folder: TemplateFolder) -> None:
    variables = {**VARIABLES, "n": 1}
    assert failure(folder, text, variables) == f"templates/x.j2:{message}"


def test_an_error_names_the_innermost_template(folder: TemplateFolder) -> None:
    lib = "\n\n{% macro m(x) %}\n{{ x.y }}\n{% endmacro %}"
    message = "templates/m.j2:4: 'v' has no 'y'"
    assert failure(folder, "{% from 'm.j2' import m %}{{ m(v) }}", {"v": {}}, m=lib) == message
    assert (
        failure(folder, "{% include 'm.j2' %}", {"v": {}}, m="\n{{ v.y }}")
        == "templates/m.j2:2: 'v' has no 'y'"
    )
    assert failure(folder, "{% import 'm.j2' as m %}", m="{% if %}").startswith(
        "templates/m.j2:1: an expression is missing before %}"
    )


def test_values_in_macros_are_rejected_at_the_macros_line(folder: TemplateFolder) -> None:
    text = "{% from 'm.j2' import m %}\nRUN a\n{{ m(v) }}"
    message = failure(folder, text, {"v": "a\nb"}, m="{% macro m(x) %}\nUSER {{ x }}\n{% endmacro %}")
    assert message.startswith(
        "templates/m.j2:2: 'x' is 'a\\nb', which cannot be used in USER: it contains a line break"
    )


def test_options_are_passed_to_jinja(folder: TemplateFolder) -> None:
    text = "USER a\n  {% if true %}\nUSER b\n  {% endif %}\n{% include 'm.j2' %}USER d\n"
    assert folder.render(text, m="USER c\n") == "USER a\nUSER b\nUSER c\nUSER d\n"
    folder.options = OPTIONS
    assert folder.render(text, m="USER c\n") == "USER a\n  \nUSER b\n  \nUSER cUSER d\n"


def test_a_render_ends_in_one_newline(folder: TemplateFolder) -> None:
    assert folder.render("USER a\n\n\n") == "USER a\n"
    assert folder.render("USER a") == "USER a\n"


def test_renders_are_independent(tmp_path: Path) -> None:
    (tmp_path / "lib.j2").write_text(
        "{% set seen = [] %}{% macro m(x) %}{% set _ = seen.append(x) %}{{ seen | join(' ') }}{% endmacro %}"
    )
    text = (
        "{% from 'lib.j2' import m %}{% set _ = names.append('z') %}RUN {{ m('a') }} {{ names | join(' ') }}"
    )
    (tmp_path / "x.j2").write_text(text)
    templates = Templates(tmp_path, "templates")
    names = ["b"]
    for _ in range(2):
        assert templates.render("x.j2", {"names": names}) == "RUN a b z\n"
    assert names == ["b"]


def test_templates_are_only_found_in_their_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / ".git").mkdir()
    for path in ("a.j2", "sub/b.j2", ".git/c"):
        (root / path).write_text("USER a")
    (tmp_path / "secret").write_text("USER secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "inner").symlink_to(root / "a.j2")
    templates = Templates(root, "templates")
    assert templates.names() == ("a.j2", "inner", "sub/b.j2")
    assert templates.render("sub/b.j2", {}) == "USER a\n"
    with pytest.raises(InputError, match="root/link: is a link that leads out of the catalog's folder"):
        templates.render("link", {})
    for name in ("../secret", str(tmp_path / "secret"), "sub", "sub\\b.j2", "a.j2\0"):
        with pytest.raises(InputError, match="not found"):
            templates.render(name, {})


def test_a_missing_template_suggests_a_similar_name(tmp_path: Path) -> None:
    (tmp_path / "java-base.Dockerfile.j2").touch()
    with pytest.raises(InputError) as error:
        Templates(tmp_path, "templates").render("java.Dockerfile.j2", {})
    assert str(error.value) == (
        "templates: template 'java.Dockerfile.j2' not found (did you mean 'java-base.Dockerfile.j2'?)"
    )


def test_a_template_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"USER \xff")
    (tmp_path / "b").write_text("USER a\n# \ufdd0", encoding="utf-8")
    templates = Templates(tmp_path, "templates")
    for name, message in (
        ("a", "templates/a:1: is not UTF-8 (byte 5); save it as UTF-8"),
        ("b", "templates/b:2: contains the noncharacter U+FDD0, which dfgen reserves; remove it"),
    ):
        with pytest.raises(InputError) as error:
            templates.render(name, {})
        assert str(error.value) == message


def test_expressions_of_the_catalog(tmp_path: Path) -> None:
    templates = Templates(tmp_path, "templates")
    given = {"java": 17, "kind": "jre"}
    assert templates.expression('java >= 17 and kind == "jre"', given, PLACE) is True
    assert templates.expression("java + 1", given, PLACE) == 18
    assert type(templates.expression("'a'", given, PLACE)) is str
    assert templates.expression("[kind, 'x']", given, PLACE) == ["jre", "x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jaav >= 17", "'jaav' is not defined (did you mean 'java'?)"),
        ("jaav", "'jaav' is not defined (did you mean 'java'?)"),
        ("java.x", "'java' has no 'x'"),
        (
            "java >= 'a'",
            "the text 'a' cannot be compared with 17; write both with quotes, or both without",
        ),
        ("java +", "the expression is incomplete"),
        ("java = 17", "unexpected text after the expression; compare with ==, combine with and, or"),
        ("''.__class__", "not allowed in a template: templates cannot access the attribute '__class__'"),
    ],
)
def test_an_invalid_expression_is_reported_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        Templates(tmp_path, "templates").expression(text, {"java": 17}, PLACE)
    assert str(error.value) == f"bases/a/base.yaml:3:7: in {text!r}: {message}"


def test_texts_of_the_catalog(tmp_path: Path) -> None:
    templates = Templates(tmp_path, "templates")
    assert templates.text("{{ java }}-jre\n", {"java": 17}, PLACE) == "17-jre\n"
    assert templates.text("plain $a \\", {}, PLACE) == "plain $a \\"
    assert templates.text("{% if java > 11 %}a b;c{% endif %}", {"java": 17}, PLACE) == "a b;c"
    assert templates.text("{# c #}x", {}, PLACE) == "x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ jaav }}", "'jaav' is not defined (did you mean 'java'?)"),
        ("{{ none }}", "it is null; set a value, or print it with | default('…', true)"),
        ("{{ java }", "unexpected '}'; an expression ends with }}, and a tag with %}"),
        ("{% include 'x' %}", "a text of the catalog cannot use a template"),
    ],
)
def test_an_invalid_text_is_reported_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        Templates(tmp_path, "templates").text(text, {"java": 17}, PLACE)
    assert str(error.value) == f"bases/a/base.yaml:3:7: in {text!r}: {message}"


def test_an_undeclared_stage_says_where_to_declare_it(folder: TemplateFolder) -> None:
    with pytest.raises(InputError) as error:
        folder.render("FROM {{ parents.build }}", {"parents": {"tool": "x"}})
    assert (
        str(error.value)
        == "templates/x.j2:1: 'parents' has no 'build'; declare it under parents in base.yaml"
    )
