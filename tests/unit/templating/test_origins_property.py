"""The origins of random templates are correct: each of their lines contains a unique token."""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.errors import Place
from dfgen.templating import TemplateOptions, Templates
from dfgen.templating.origins import LineOrigin

# Parts of templates: « and » are where white space control goes, § where a token, ¶ where the body of a block;
# £ makes the variable that decides about a body one of its own, whose name stands before the body and behind it.
LEAVES = (
    "# §",
    "# {{« v »}} §",
    "# §{{« v »}}",
    "# §{{« e »}}",
    "",
    "{#« one\n two\n »#}",
    "{%« raw »%}# {{ § }}{%« endraw »%}",
    "# § {{ 'a'\n  ~ v }}",
)
CALLS = (
    "{{« m() »}}",
    "{{« lib.n() »}}",
    "{%« include 'part' »%}",
    "# §{%« include 'part' »%}",
    "# § {{ m() }}",
)
BLOCKS = (
    "{%« if v£ »%}\n¶{%« else »%}\n# never\n{%« endif »%}{# v£ #}",
    "  {%« if e£ »%}\n# never\n  {%« else »%}\n¶  {%« endif »%}{# e£ #}",
    "{%« if e£ »%}{%« elif v »%}\n¶{%« endif »%}{# e£ #}",
    "{%« for i in many£ »%}\n¶{%« endfor »%}{# many£ #}",
    "{%« set s »%}\n¶{%« endset »%}\n{{« s »}}",
    "{%« filter upper »%}\n¶{%« endfilter »%}",
    "{%« filter indent(2) »%}\n¶{%« endfilter »%}",
    "{%« filter trim »%}\n¶{%« endfilter »%}",
    "{%« filter replace('\\n\\n', '\\n') »%}\n¶{%« endfilter »%}",
    "{%« call c() »%}\n¶{%« endcall »%}",
    "{%« with w = v »%}\n¶{%« endwith »%}",
    "{%« set l = [v, 'y'] »%}\n¶# §{{« l | join('\\n# §') »}}",
)
TOKEN = re.compile(r"T[0-9]+_")
DECIDES = re.compile(r"\b(v|e|many)([0-9]+)\b")
# The root template begins with two macros, and imports a third.
ROOT = (
    "{%« import 'lib' as lib with context »%}\n"
    "{%« macro m() »%}\n¶{%« endmacro »%}\n"
    "{%« macro c() »%}\n¶{{« caller() »}}\n¶{%« endmacro »%}\n"
)
# It may extend another template, whose block it replaces, and shows.
CHILD = "{%« extends 'base' »%}\n"
BLOCK = "{%« block q »%}\n¶# §{{« super() »}}\n¶{%« endblock »%}\n"
PARENT = "# §\n{%« if v£ »%}\n{%« block q »%}\n¶{%« endblock »%}\n{%« endif »%}{# v£ #}\n# §\n"
LIBRARY = "# unseen\n{%« macro n() »%}\n¶{%« endmacro »%}\n"

leaf = st.tuples(st.sampled_from(LEAVES), st.just(()))


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.sampled_from(BLOCKS), st.lists(inner, min_size=1, max_size=3))


def _without_call(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return _nested(inner).filter(lambda one: " call " not in one[0].replace("«", " "))


few = st.lists(st.recursive(leaf, _without_call, max_leaves=3), max_size=3)
part = st.recursive(st.tuples(st.sampled_from((*LEAVES, *CALLS)), st.just(())), _nested, max_leaves=10)
sign = st.sampled_from(("", "", "-"))
options = st.builds(TemplateOptions, trim_blocks=st.booleans(), lstrip_blocks=st.booleans())


@dataclass(frozen=True)
class Writer:
    """Writes templates; no two lines have the same token."""

    signs: Iterator[str]
    tokens: Iterator[int]

    def write(self, text: str, *bodies: Sequence[Any]) -> str:
        written = iter([self.all(body) for body in bodies])
        text = text.replace("£", str(next(self.tokens)))
        filled = re.sub("[«»§]", lambda found: self.one(found[0]), text)
        return re.sub("¶", lambda _: next(written), filled)

    def all(self, parts: Sequence[Any]) -> str:
        return "".join(self.write(f"{text}\n", *([body] if "¶" in text else [])) for text, body in parts)

    def one(self, place: str) -> str:
        return f"T{next(self.tokens)}_" if place == "§" else next(self.signs)


def _tokens(sources: Mapping[str, str]) -> dict[str, Place]:
    """Return the place of every token."""
    return {
        token: Place(f"t/{name}", number)
        for name, text in sources.items()
        for number, line in enumerate(text.split("\n"), 1)
        for token in TOKEN.findall(line)
    }


@dataclass(frozen=True)
class Region:
    """The lines of a file that a variable decides about, from the first to the last with its name."""

    file: str
    first: int
    last: int

    def has(self, place: Place) -> bool:
        return place.file == self.file and self.first <= place.line <= self.last

    def encloses(self, place: Place) -> bool:
        return place.file == self.file and self.first < place.line < self.last


def _regions(sources: Mapping[str, str]) -> dict[str, Region]:
    found: dict[str, list[Place]] = {}
    for name, text in sources.items():
        for number, line in enumerate(text.split("\n"), 1):
            for decides in DECIDES.finditer(line):
                found.setdefault(decides[0], []).append(Place(f"t/{name}", number))
    return {name: Region(at[0].file, at[0].line, at[-1].line) for name, at in found.items()}


def _check(line: LineOrigin, places: Mapping[str, Place], sources: Mapping[str, str]) -> None:
    tokens = TOKEN.findall(line.text)
    told = [place for chain in (line.stack, *line.other_stacks) for place in chain]
    for token in tokens:
        assert places[token] in told, (line, token, sources)
    if tokens and line.text.strip().startswith(f"# {tokens[0]}"):
        assert line.stack[0] == places[tokens[0]], (line, sources)
    for chain in (line.stack, *line.other_stacks):
        assert chain[-1].file == "t/x", (line, sources)
        for inner, outer in itertools.pairwise(chain):
            _check_call(inner, outer, sources)


def _check_conditions(line: LineOrigin, regions: Mapping[str, Region], sources: Mapping[str, str]) -> None:
    """Check that exactly the enclosing regions are conditions."""
    told = [place for chain in (line.stack, *line.other_stacks) for place in chain]
    decides = {name for one in line.conditions for name in one.names if DECIDES.fullmatch(name)}
    around = {name for name, region in regions.items() if any(map(region.encloses, told))}
    assert around <= decides, (line, sources)
    assert all(any(map(regions[name].has, told)) for name in decides), (line, sources)


def _check_call(inner: Place, outer: Place, sources: Mapping[str, str]) -> None:
    """Check that a caller of another template names it."""
    text = sources[outer.file.removeprefix("t/")].split("\n")[outer.line - 1]
    if inner.file == outer.file:
        assert re.search(r"\(\)|\{\{|filter", text), (inner, outer, sources)
        return
    names = {
        "t/x": "block q|call",
        "t/lib": r"lib\.n\(\)",
        "t/part": "include 'part'",
        "t/base": r"extends 'base'|super\(\)",
    }
    assert re.search(rf"{names[inner.file]}|caller\(\)", text), (inner, outer, sources)


def _sources(
    writer: Writer, body: list[Any], units: tuple[list[Any], ...], *, extends: bool
) -> dict[str, str]:
    macros = writer.write(ROOT, *units[:3])
    return {
        "x": f"{writer.write(CHILD)}{macros}{writer.write(BLOCK, body, units[5])}"
        if extends
        else macros + writer.all(body),
        "base": writer.write(PARENT, units[6]),
        "lib": writer.write(LIBRARY, units[3]),
        "part": writer.all(units[4]),
    }


def _given(sources: Mapping[str, str]) -> dict[str, object]:
    """Return the variables, and a copy for each that decides about one body."""
    values: dict[str, object] = {"v": "x", "e": "", "many": [1, 2]}
    found = [decides for text in sources.values() for decides in DECIDES.finditer(text)]
    return values | {decides[0]: values[decides[1]] for decides in found}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(part, min_size=1, max_size=5),
    st.tuples(few, few, few, few, few, few, few),
    st.lists(sign, min_size=1),
    options,
    st.booleans(),
)
def test_every_line_has_the_template_line_of_its_text(
    body: list[Any],
    units: tuple[list[Any], ...],
    signs: list[str],
    given_options: TemplateOptions,
    extends: bool,
) -> None:
    sources = _sources(Writer(itertools.cycle(signs), itertools.count()), body, units, extends=extends)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in sources.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        templates = Templates(Path(folder), "t", given_options)
        variables = _given(sources)
        found = templates.origins("x", variables)
        assert "".join(f"{line.text}\n" for line in found) == templates.render("x", variables)
    places, regions = _tokens(sources), _regions(sources)
    for line in found:
        _check(line, places, sources)
        _check_conditions(line, regions, sources)
