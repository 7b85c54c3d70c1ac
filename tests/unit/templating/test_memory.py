"""A text that is kept serves other variables only where rendering anew gives the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.model.variables import PinnedParent, TemplatePlatform
from dfgen.templating.templates import Templates
from dfgen.values.errors import InputError
from dfgen.values.platform import Platform
from dfgen.values.reference import Reference

# Every way in which a template can look at a value, or hand it on: `t` and `u` are texts, `n` a number,
# `l` a list, `m` a mapping, `p` a platform, `parent` a parent.
LOOKS = (
    "ENV A={{ t }}",
    'ENV A="{{ t }}" B={{ n }}',
    "ENV A='{{ t }}{{ u }}'",
    "RUN echo {{ t }} {{ n }}",
    "RUN echo {{ t | quote }} {{ l | tojson }}",
    "CMD [{{ t | tojson }}]",
    "{% if t == 'a' %}ENV A=1{% endif %}",
    "{% if t != u %}ENV A=1{% endif %}",
    "{% if n > 2 and n % 2 %}ENV A=1{% endif %}",
    "{% if 'a' in t %}ENV A=1{% elif t in l %}ENV A=2{% endif %}",
    "{% if t in 'abc' %}ENV A=1{% endif %}",
    "{% if t in m %}ENV A={{ m[t] }}{% endif %}",
    "ENV A={{ m[t] }}",
    "ENV A={{ l[n] }}",
    "ENV A={{ 'abcdef'[n] }}",
    "ENV A={{ m.get(t, u) }}",
    "ENV A={{ t.upper() }}{{ u | lower }}",
    "ENV A={{ t ~ u ~ 'x' }}",
    "ENV A={{ n + 1 }} B={{ n * 2 }} C={{ 'x' * n }} D={{ -n }}",
    "ENV A={{ '%s-%d' % (t, n) }}",
    "ENV A={{ '{}.{}'.format(t, n) }}",
    "ENV A={{ t[0:1] }}",
    "ENV A={{ t | length }}",
    "ENV A={{ t | default('x') }} B={{ t | default('x', true) }} C={{ nothing | default(t) }}",
    "ENV A={{ l | join('-') }} B={{ l | sort | join }} C={{ l | first }} D={{ l | unique | join }}",
    "ENV A={{ l | map('upper') | join('_') }}",
    "ENV A={{ l | select('equalto', t) | list | length }}",
    "ENV A={{ ','.join(l) }}",
    "ENV A={{ (l + [t]) | join('.') }}",
    "{% for x in l %}ENV A{{ loop.index }}={{ x }}\n{% endfor %}",
    "{% for k, v in m.items() %}LABEL {{ k }}={{ v }}\n{% endfor %}",
    "{% for k, v in m | dictsort(by='value') %}LABEL {{ k }}={{ v }}\n{% endfor %}",
    "{% for x in l if x != t %}ENV A={{ x }}\n{% endfor %}",
    "{% for x in l %}{% if loop.changed(x) %}ENV A={{ x }}\n{% endif %}{% endfor %}",
    "{% for x in range(n) %}ENV A{{ x }}={{ t }}\n{% endfor %}",
    "{% for c in t %}ENV A{{ loop.index }}={{ c }}\n{% endfor %}",
    "{% macro env(k, v) %}ENV {{ k }}={{ v }}{% endmacro %}{{ env('A', t) }}",
    "{% macro env(v) %}{% if v %}ENV A={{ v }}{% endif %}{% endmacro %}{{ env(t) }}",
    "{% macro word(v) %}{{ v }}{% endmacro %}{% if word(t) == 'a' %}ENV A=1{% endif %}",
    "{% macro word(v) %}{{ v }}{% endmacro %}ENV A={{ word(t) | upper }} B={{ word(u) | trim }}",
    "{% macro word(v) %}{{ v }}{% endmacro %}ENV A={{ word(t) | replace('a', u) }}",
    "{% macro word(v) %}x{{ v }}{% endmacro %}ENV A={{ word(t) | length }} B={{ word(t).startswith('x') }}",
    "{% macro word(v) %}{{ v }}{% endmacro %}ENV A={{ word(t) ~ word(u) }} B={{ word(t) + u }}",
    "{% macro word(v) %}x{{ v }}{% endmacro %}ENV A={{ word(t).count('a') }} B={{ word(t)[:1] == 'x' }}",
    "{% set x %}{{ t }}{% endset %}{% if x %}ENV A={{ x }}{% endif %}",
    "{% set x = t %}{% set y = [x, u] %}ENV A={{ y | join('/') }} B={{ y[1] }}",
    "{% filter indent(2) %}ENV A={{ t }}{% endfilter %}",
    "{% call(v) each(l) %}ENV A={{ v }}\n{% endcall %}",
    "{% set ns = namespace(x=t) %}ENV A={{ ns.x }}",
    "{% set c = cycler(t, u) %}ENV A={{ c.next() }} B={{ c.next() }}",
    "{% if t is string %}ENV A=1{% endif %}{% if n is divisibleby 2 %}\nENV B=1{% endif %}",
    "{% if n is odd %}ENV A=1{% endif %}{% if l is iterable %}\nENV B=1{% endif %}",
    "{% if t is defined and nothing is undefined %}ENV A={{ t }}{% endif %}",
    "{% if t is sameas u %}ENV A=1{% endif %}{% if t is none %}\nENV B=1{% endif %}",
    "ENV A={{ t or u }} B={{ u if n else t }}",
    "ENV A={{ t | int(0) }} B={{ n | string }} C={{ n | abs }}",
    "ENV A={{ p }} B={{ p.architecture }} C={{ p.uname }}",
    "{% if p == 'arm64' %}ENV A=1{% endif %}{% if p.architecture == 'amd64' %}\nENV B=1{% endif %}",
    "COPY --from={{ parent.reference }} /a /b",
    "LABEL base={{ parent.name }} digest={{ parent.digest }} tag={{ parent.tag }}",
    "{% if parent.tag == '1' %}ENV A=1{% endif %}",
    "FROM {{ parent }} AS second\nFROM {{ parent }}",
    "# {{ t }}\nENV A={{ t }}",
    "COPY <<EOF /a\n{{ t }} {{ u }}\nEOF",
    "RUN <<EOF\necho {{ t }} {{ n }}\nEOF",
    "RUN a \\\n  {{ t }} \\\n  # {{ u }}\n  b",
    "USER {{ t }}\nEXPOSE {{ n }}\nWORKDIR /{{ u }}",
    "{{ t }}",
    "ENV {{ t }}={{ u }}",
    "ENV A=${X{{ t }}} B=$Y{{ n }}",
    "ENV A={{ s }}",
    "{{ s }}",
    "ENV A={{ s ~ t }}",
    "ENV A={{ nothing }}",
    "ENV A={{ none_value }}",
    "ENV A={{ yes }} {% if yes %}B={{ t }}{% endif %}",
    "ENV A={{ [t, n] }}",
    "ENV A={{ t.nothing }}",
    "ENV A={{ m.k }}",
    "{% if maybe is defined %}ENV A={{ maybe }}{% endif %}",
    "ENV A={{ maybe | default(t) }}",
    "{% include 'part.j2' %}",
    "{% if n > 1 %}{% include 'part.j2' %}{% endif %}",
    "{% include t ~ '.j2' ignore missing %}",
    "{% from 'macros.j2' import env with context %}{{ env('A') }}",
    "{% from 'macros.j2' import plain %}{{ plain(u) }}",
    "{% import 'macros.j2' as m2 with context %}{% if n == 2 %}{{ m2.env('A') }}{% endif %}",
    "{% block a %}ENV A={{ u }}{% if n == 1 %}{{ t }}{% endif %}{% endblock %}",
    "{% if x is mapping %}{% if x.k == 'a' %}ENV A={{ x.k }}{% endif %}{% else %}ENV B={{ x }}{% endif %}",
    "{% if x is mapping and x.k %}ENV A={{ x.k }}{% endif %}\nENV B={{ z }}",
    "{% for i in x %}ENV A={{ i }}\n{% endfor %}",
    "ENV A={{ x.tag }}",
    "{% if x.tag == '1' %}ENV A={{ x.tag }}{% endif %}",
    "ENV A={{ t.printed('x') }}",
    "ENV A={{ t._real }}",
    "ENV A={{ t is mapping }}{{ p.value }}{{ parent.pinned }}",
)
EACH = "{% macro each(items) %}{% for i in items %}{{ caller(i) }}{% endfor %}{% endmacro %}\n"

WORDS = st.sampled_from(
    ["a", "b", "abc", "1", "2", "k", "", "a b", "$x", '"q"', "x\\", "x\ny", "-a", "A", "#c"]
)
PARENTS = st.builds(
    lambda tag, digit, architecture: PinnedParent(
        Reference.parse(f"docker.io/library/java:{tag}@sha256:{digit * 64}"),
        Platform.parse(f"linux/{architecture}"),
    ),
    st.sampled_from(["1", "2-jre"]),
    st.sampled_from("ab"),
    st.sampled_from(["amd64", "arm64"]),
)
VARIABLES = st.fixed_dictionaries(
    {
        "t": WORDS,
        "u": WORDS,
        "n": st.integers(0, 5),
        "l": st.lists(WORDS, max_size=3),
        "m": st.dictionaries(st.sampled_from(["k", "a", "b"]), WORDS, min_size=1),
        "p": st.sampled_from(["amd64", "arm64"]).map(lambda name: TemplatePlatform(Platform.parse(name))),
        "s": st.sampled_from(["A=1", "x y"]),
        "yes": st.booleans(),
        "none_value": st.none(),
        "parent": PARENTS,
        "z": st.sampled_from([0.0, -0.0, 1.5]),
        # Of another kind in each image.
        "x": st.one_of(
            WORDS,
            st.integers(0, 2),
            st.lists(WORDS, max_size=2),
            st.dictionaries(st.sampled_from(["k", "tag"]), WORDS),
            PARENTS,
            st.none(),
        ),
    }
)


def make(root: Path, body: str) -> Templates:
    """Templates with one that has a body over a FROM."""
    (root / "a.j2").write_text(EACH + "FROM {{ parent }}\n" + body + "\n", encoding="utf-8")
    (root / "part.j2").write_text("ENV I={{ u }}{% if maybe is defined %}{{ maybe }}{% endif %}\n")
    (root / "k.j2").write_text("ENV J={{ u }}\n")
    (root / "macros.j2").write_text(
        "{% macro env(k) %}ENV {{ k }}={{ u }}{% if yes %}{{ t }}{% endif %}{% endmacro %}"
        "{% macro plain(v) %}ENV A={{ v }}{% endmacro %}"
    )
    return Templates(root, "templates", snippets=frozenset(("s",)))


def outcome(render: Callable[[str, Mapping[str, Any]], str], variables: Mapping[str, Any]) -> str:
    """What rendering gives, or what it says."""
    try:
        return render("a.j2", variables)
    except InputError as error:
        return f"refused: {error}"


def check(root: Path, body: str, all_variables: Sequence[Mapping[str, Any]]) -> None:
    """Render for one after the other, and hold each against a render that remembers nothing."""
    templates, fresh = make(root, body), make(root, body)
    for variables in all_variables:
        assert outcome(templates.render, variables) == outcome(fresh.render_anew, variables), body


def some_variables() -> list[dict[str, Any]]:
    """Variables that differ in one value, in two, or in shape."""
    pin = "docker.io/library/java:{}@sha256:" + "a" * 64
    found = []
    lists = {1: ["a", "b"], 2: ["b", "a"], 3: []}
    for t, n, arch in product(("a", "k", "$x", ""), lists, ("amd64", "arm64")):
        platform = Platform.parse(f"linux/{arch}")
        parent = PinnedParent(Reference.parse(pin.format(n)), platform)
        named = {"t": t, "u": f"u{n}", "n": n, "l": lists[n], "m": {"k": t, "a": "1", "b": arch}}
        kinds = {1: {"k": t, "tag": "1"}, 2: t, 3: parent if arch == "amd64" else [t]}
        named |= {"x": kinds[n], "z": -0.0 if n == 2 else 0.0}
        named |= {"maybe": f"m{t}"} if n > 1 else {}
        rest = {"p": TemplatePlatform(platform), "s": "A=1", "yes": n > 1, "none_value": None}
        found.append({**named, **rest, "parent": parent})
    return found


@pytest.mark.parametrize("body", LOOKS)
def test_every_way_to_look_at_a_value_is_noticed(tmp_path: Path, body: str) -> None:
    check(tmp_path, body, some_variables())


@settings(max_examples=60, deadline=None)
@given(bodies=st.lists(st.sampled_from(LOOKS), min_size=1, max_size=4), many=st.lists(VARIABLES, min_size=2))
def test_kept_texts_are_what_rendering_anew_gives(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[str], many: list[dict[str, Any]]
) -> None:
    root = tmp_path_factory.mktemp("templates")
    check(root, "\n".join(bodies), [*many, *many])


def test_images_that_differ_in_printed_values_are_rendered_once(tmp_path: Path) -> None:
    templates = make(tmp_path, "ENV A={{ t }}\nLABEL base={{ parent.digest }}\nRUN echo {{ l | join(' ') }}")
    runs: list[str] = []
    run = templates._run
    templates._run = lambda *given: runs.append("run") or run(*given)  # type: ignore[method-assign,func-returns-value]
    for number in range(50):
        pin = Reference.parse(f"docker.io/library/java:{number}@sha256:{number:064x}")
        parent = PinnedParent(pin, Platform.parse("linux/amd64"))
        text = templates.render("a.j2", {"t": f"v{number}", "l": ["a", str(number)], "parent": parent})
        assert text == (
            f"FROM --platform=linux/amd64 {pin}\nENV A=v{number}\nLABEL base=sha256:{number:064x}\n"
            f"RUN echo a {number}\n"
        )
    assert len(runs) == 1
