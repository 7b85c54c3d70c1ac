"""Only text, numbers, and lists and mappings of such become text, in whatever way a template prints them."""

from __future__ import annotations

import pytest

from dfgen.catalog.layers import Package
from dfgen.errors import InputError
from tests.unit.templating.helpers import TemplateFolder

NAMES = {
    "yes": True,
    "no": False,
    "text": "x",
    "labels": {"b": "1", "a": "2", "c": "3"},
    "package": Package("curl", "8"),
    "words": ["a", "b"],
}
# Objects without a text of their own: their only text would be an address in memory, or Python's notation.
OBJECTS = (
    "words | map('upper')",
    "text.upper",
    "labels.items",
    "labels.items()",
    "range(3)",
    "text.encode()",
)
WAYS = (
    "{}",
    "({}) | string",
    "'%s' % (({}))",
    "'%r' % (({}))",
    "'%s %s' % (1, {})",
    "'%(a)s' % {{'a': {}}}",
    "'{{}}'.format({})",
    "'{{!r}}'.format({})",
    "'{{a}}'.format(a={})",
    "'{{a}}'.format_map({{'a': {}}})",
    "'%s' | format({})",
    "({}) | upper",
    "({}) | trim",
    "({}) | replace('a', 'b')",
    "'a' | replace('a', {})",
    "'a' | replace('a', new={})",
    "'%(a)s' | format(a={})",
    "({}) | truncate(9)",
    "({}) | indent",
    "({}) | escape",
    "({}) | pprint",
    "[{}] | pprint",
    "[[{}]] | string",
    "'%s' % [{}]",
    "[{}] | join(' ')",
    "'a' ~ ({})",
    "[{}] | map('string') | first",
    "({}) | quote",
    "({}) | raw",
)


@pytest.mark.parametrize("written", OBJECTS)
@pytest.mark.parametrize("way", WAYS)
def test_an_object_without_text_is_refused(way: str, written: str, folder: TemplateFolder) -> None:
    expression = way.format(written)
    with pytest.raises(InputError, match=r"^templates/x.j2:2: ") as error:
        folder.render(f"FROM scratch\nLABEL a={{{{ {expression} }}}}", NAMES)
    assert "0x" not in str(error.value)


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ("yes", "true"),
        ("no", "false"),
        ("text == 'x'", "true"),
        ("yes | string", "true"),
        ("yes | upper", "TRUE"),
        ("'%s' % yes", "true"),
        ("'%d' % yes", "1"),
        ("'%s' | format(no)", "false"),
        ("'{}'.format(no)", "false"),
        ("'{a!s}'.format(a=no)", "false"),
        ("[yes, no] | join('-')", "true-false"),
        ("'a' ~ yes", "atrue"),
        ("yes | tojson", "true"),
        ("'%s' % package", "curl=8"),
        ("'{}'.format(package)", "curl=8"),
        ("'{0.name}'.format(package)", "curl"),
        ("'%5.1f' % 1.25", "'  1.2'"),
        ("'{:>3}'.format(7)", "'  7'"),
        ("'%(a)s' % labels", "2"),
        ("(labels.keys() - ['b']) | join('-')", "a-c"),
    ],
)
def test_a_value_prints_the_same_in_every_way(expression: str, printed: str, folder: TemplateFolder) -> None:
    text = folder.render(f"FROM scratch\nLABEL a={{{{ {expression} }}}}", NAMES)
    assert text.splitlines()[-1].replace('"', "'") in (f"LABEL a={printed}", f"LABEL a='{printed}'")
