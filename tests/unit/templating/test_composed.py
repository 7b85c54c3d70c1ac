"""Text that macros, blocks, filters and join compose: template text stays text, values stay values."""

import pytest

from dfgen.errors import InputError
from dfgen.templating.taint import Fragment
from tests.unit.templating.composed import COMPOSED, PACKAGES
from tests.unit.templating.helpers import TemplateFolder


@pytest.mark.parametrize(("text", "line"), COMPOSED)
def test_values_in_composed_text_are_still_quoted(text: str, line: str, folder: TemplateFolder) -> None:
    given = {**PACKAGES, "users": [{"name": "x"}, {"name": "y z"}], "e": ""}
    assert folder.render(text, given) == f"{line}\n"


def test_includes_imports_inheritance_and_recursion(folder: TemplateFolder) -> None:
    text = folder.render(
        "{% extends 'base.j2' %}{% import 'lib.j2' as lib %}"
        "{% block body %}{{ super() }} && {{ lib.show(v) }} {% include 'part.j2' %}{% endblock %}",
        {"v": "a;b"},
        base="RUN {% block body %}x {{ v }}{% endblock %}\n\nRUN {{ self.body() }}\n",
        lib="{% macro show(x) %}show {{ x }};{% endmacro %}",
        part="{% for i in [v, [v]] recursive %}{% if i is string %}<{{ i }}{% else %}{{ loop(i) }}{% endif %}"
        "{% endfor %}",
    )
    line = "RUN x 'a;b' && show 'a;b'; <'a;b'<'a;b'"
    assert text == f"{line}\n{line}\n"


def test_snippets_are_dockerfile_text(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = TemplateFolder(tmp_path_factory.mktemp("t"), snippets=frozenset(("extra", "steps", "hooks")))
    text = folder.render(
        "{{ extra }}\n{% for s in steps %}\nRUN {{ s }}\n{% endfor %}\n{{ hooks.x }}\nRUN {{ steps[0] ~ v }}",
        {"extra": "RUN a && \\\n  b", "steps": ["c && d"], "hooks": {"x": "USER x"}, "v": ";"},
    )
    assert text == "RUN a && \\\n  b\nRUN c && d\nUSER x\nRUN c '&&' 'd;'\n"


LOST = (
    "it was composed by a macro, a block or join and changed afterwards, so dfgen cannot distinguish its"
    " values from template text; change the values before they are composed,"
    " or print one after the other with {% for … %}"
)
BROKEN = (
    "templates/x.j2: text that was composed by a macro, a block or join was cut or changed inside, so dfgen"
    " cannot distinguish its values from template text; change the values before they are composed"
)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("x | title", f"the filter 'title' does not support composed text: {LOST}"),
        ("x | urlencode", f"the filter 'urlencode' does not support composed text: {LOST}"),
        ("x[:-1]", f"'x[…]' cannot be printed: {LOST}"),
        ("x.split() | last", f"'x.split(…) | last' cannot be printed: {LOST}"),
        ("v | replace('a', x)", f"'v | replace' cannot be printed: {LOST}"),
    ],
)
def test_unsupported_operations_on_composed_text_are_rejected(
    expression: str, message: str, folder: TemplateFolder
) -> None:
    with pytest.raises(InputError) as error:
        folder.render(f"{{% set x %}}a {{{{ v }}}}{{% endset %}}\nRUN {{{{ {expression} }}}}", {"v": "a;b"})
    assert str(error.value) == f"templates/x.j2:2: {message}"


@pytest.mark.parametrize("expression", ["x | replace('', '&')", "x | replace('b', v)"])
def test_cut_sentinels_are_rejected(expression: str, folder: TemplateFolder) -> None:
    text = f"{{% set x %}}a {{{{ v }}}}{{% endset %}}RUN {{{{ {expression} }}}}"
    with pytest.raises(InputError) as error:
        folder.render(text, {"v": "a;b"})
    assert str(error.value) == BROKEN


@pytest.mark.parametrize("value", ["\ufdd0", "\ufdd0\U000f0000x\ufdd3", "a\ufdd2"])
@pytest.mark.parametrize("snippets", [frozenset(), frozenset(("v",))])
def test_a_value_cannot_forge_sentinels(value: str, snippets: frozenset[str], folder: TemplateFolder) -> None:
    folder.snippets = snippets
    for text in ("RUN {{ v }}", "RUN {{ v | raw }}", "RUN {{ [v] | join }}", "CMD [{{ v | tojson }}]"):
        with pytest.raises(InputError) as error:
            folder.render(text, {"v": value})
        assert str(error.value).endswith(LOST)


def test_an_object_can_be_dockerfile_text(folder: TemplateFolder) -> None:
    class Pinned:
        def __init__(self, text: str) -> None:
            self.text = text

        def __dockerfile__(self) -> str:
            return self.text

    text = "FROM {{ base }}"
    assert folder.render(text, {"base": Pinned("--platform=linux/arm64 a@b")}) == (
        "FROM --platform=linux/arm64 a@b\n"
    )
    with pytest.raises(InputError):
        folder.render(text, {"base": Pinned("\ufdd0")})


def test_a_fragment_compares_its_visible_text() -> None:
    fragment = Fragment("a \ufdd0\U000f0000b\ufdd3")
    assert fragment == "a b"
    assert fragment == Fragment("a b")
    assert fragment != "a"
    assert {fragment: 1}["a b"] == 1
    assert "a b" in [fragment]
    assert fragment
    assert not Fragment("\ufdd0\U000f0000\ufdd3")
    assert Fragment(" a ").lstrip() == "a "
    assert Fragment(" a ").rstrip() == " a"
