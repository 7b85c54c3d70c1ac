"""Of random templates every line's origin is right: each of their lines has a token of its own."""

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

from dfgen.templating import TemplateOptions, Templates
from dfgen.templating.origins import LineOrigin
from dfgen.values.errors import Place

# Parts of templates: « and » are where white space control goes, § where a token, ¶ where the body of a block.
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
    "{%« if v »%}\n¶{%« else »%}\n# never\n{%« endif »%}",
    "  {%« if e »%}\n# never\n  {%« else »%}\n¶  {%« endif »%}",
    "{%« for i in many »%}\n¶{%« endfor »%}",
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
# The root template begins with two macros, and imports a third.
ROOT = (
    "{%« import 'lib' as lib with context »%}\n"
    "{%« macro m() »%}\n¶{%« endmacro »%}\n"
    "{%« macro c() »%}\n¶{{« caller() »}}\n¶{%« endmacro »%}\n"
)
LIBRARY = "# unseen\n{%« macro n() »%}\n¶{%« endmacro »%}\n"

leaf = st.tuples(st.sampled_from(LEAVES), st.just(()))
few = st.lists(leaf, max_size=3)
part = st.recursive(
    st.tuples(st.sampled_from((*LEAVES, *CALLS)), st.just(())),
    lambda inner: st.tuples(st.sampled_from(BLOCKS), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=10,
)
sign = st.sampled_from(("", "", "-"))
options = st.builds(TemplateOptions, trim_blocks=st.booleans(), lstrip_blocks=st.booleans())


@dataclass(frozen=True)
class Writer:
    """Writes templates; no two lines have the same token."""

    signs: Iterator[str]
    tokens: Iterator[int]

    def write(self, text: str, *bodies: Sequence[Any]) -> str:
        written = iter([self.all(body) for body in bodies])
        filled = re.sub("[«»§]", lambda found: self.one(found[0]), text)
        return re.sub("¶", lambda _: next(written), filled)

    def all(self, parts: Sequence[Any]) -> str:
        return "".join(self.write(f"{text}\n", *([body] if "¶" in text else [])) for text, body in parts)

    def one(self, place: str) -> str:
        return f"T{next(self.tokens)}_" if place == "§" else next(self.signs)


def _tokens(sources: Mapping[str, str]) -> dict[str, Place]:
    """Where every token stands."""
    return {
        token: Place(f"t/{name}", number)
        for name, text in sources.items()
        for number, line in enumerate(text.split("\n"), 1)
        for token in TOKEN.findall(line)
    }


def _check(line: LineOrigin, places: Mapping[str, Place], sources: Mapping[str, str]) -> None:
    tokens = TOKEN.findall(line.text)
    told = [place for chain in (line.places, *line.also) for place in chain]
    for token in tokens:
        assert places[token] in told, (line, token, sources)
    if tokens and line.text.strip().startswith(f"# {tokens[0]}"):
        assert line.places[0] == places[tokens[0]], (line, sources)
    for chain in (line.places, *line.also):
        assert chain[-1].file == "t/x", (line, sources)
        for inner, outer in itertools.pairwise(chain):
            _check_call(inner, outer, sources)


def _check_call(inner: Place, outer: Place, sources: Mapping[str, str]) -> None:
    """Whoever leads to a line of another template names it."""
    text = sources[outer.file.removeprefix("t/")].split("\n")[outer.line - 1]
    if inner.file != outer.file:
        assert {"t/lib": "lib.n()", "t/part": "include 'part'"}[inner.file] in text, (inner, outer, sources)
    else:
        assert re.search(r"\(\)|\{\{|filter", text), (inner, outer, sources)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(part, min_size=1, max_size=5),
    st.tuples(few, few, few, few, few),
    st.lists(sign, min_size=1),
    options,
)
def test_every_line_is_of_the_template_line_that_holds_its_text(
    body: list[Any], units: tuple[list[Any], ...], signs: list[str], given_options: TemplateOptions
) -> None:
    writer = Writer(itertools.cycle(signs), itertools.count())
    sources = {
        "x": writer.write(ROOT, *units[:3]) + writer.all(body),
        "lib": writer.write(LIBRARY, units[3]),
        "part": writer.all(units[4]),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, text in sources.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        templates = Templates(Path(folder), "t", given_options)
        variables = {"v": "x", "e": "", "many": [1, 2]}
        found = templates.origins("x", variables)
        assert "".join(f"{line.text}\n" for line in found) == templates.render("x", variables)
    places = _tokens(sources)
    for line in found:
        _check(line, places, sources)
