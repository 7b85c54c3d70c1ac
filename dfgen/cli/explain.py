"""`dfgen explain`: where a line of a Dockerfile comes from."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import click

from dfgen.catalog.lockfile import LOCK_FILE
from dfgen.catalog.model import Catalog, Image
from dfgen.catalog.provenance import Setting, Settings
from dfgen.catalog.reading import read_text
from dfgen.cli import output as show
from dfgen.cli.app import App
from dfgen.commands import render as header
from dfgen.commands.explain import Explained, Wanted, choose, difference, explain
from dfgen.commands.render import render_unchecked
from dfgen.errors import InputError, Place, Problem, listing, nearest
from dfgen.filetree import files
from dfgen.workspace import in_one_family

_LINE = re.compile(r"(.*[/@:].*):([0-9]+)")
_NO_LINE = re.compile(r".*(?:/Dockerfile_|@)[^:/@]+:(.*)")
_OWN = "dfgen's own header"
_ARROW = " ← "
_WIDTH = 80
_FOLDED: dict[str, Any] = {
    "initial_indent": "      ",
    "subsequent_indent": "        ",
    "break_long_words": False,
    "break_on_hyphens": False,
}
COLUMNS = ("line", "text", "template", "variables")


@click.command("explain")
@click.argument("wanted", metavar="FILE[:LINE]")
@click.pass_obj
def command(app: App, wanted: str) -> None:
    """Say which template line and which variables made a line of a Dockerfile, or all its lines.

    FILE is a Dockerfile's path, or such as java-base:21@arm64.
    """
    word, line = _split(wanted)
    catalog, image = _image(app, word)
    path = str(image.dockerfile)
    asked = Wanted(path=path, existing=files.dockerfiles(app.root, [path]).get(path), line=line)
    settings = Settings(image, app.lock, _lock_text(app))
    templates = app.templates_for(image)
    rendered = render_unchecked(catalog, image, app.lock, templates)
    rendered.check()
    lines = explain(rendered, templates.origins(image.template, rendered.variables), settings)
    _print(choose(asked, lines), asked.path, app.output)
    if note := difference(asked, lines):
        show.note(note)


def _lock_text(app: App) -> str:
    try:
        return read_text(app.root, LOCK_FILE)
    except FileNotFoundError:
        return ""


def _split(text: str) -> tuple[str, int]:
    """Part `FILE:LINE`; what stands behind a family's colon is its version."""
    found = _LINE.fullmatch(text)
    if not found:
        if other := _NO_LINE.fullmatch(text):
            raise InputError(
                f"{text}: {other[1]!r} is no line; expected a number from 1, or nothing for all lines"
            )
        return text, 0
    if not int(found[2]):
        raise InputError(f"{text}: lines count from 1")
    return found[1], int(found[2])


def _image(app: App, word: str) -> tuple[Catalog, Image]:
    """The one image that a word selects, and a catalog that has it."""
    word = _below_root(app, word)
    catalog, images = in_one_family(app, [word]) or (app.catalog, _among_all(app, word))
    if len(images) > 1:
        several = listing(str(image.dockerfile) for image in images[:3])
        raise InputError(f"{word!r} is {len(images)} Dockerfiles; expected one, such as {several}")
    return catalog, images[0]


def _below_root(app: App, word: str) -> str:
    """Write an absolute path as it is below the catalog's folder."""
    path = Path(word)
    if not path.is_absolute():
        return word
    root = app.root.resolve()
    if not path.is_relative_to(root):
        raise InputError(f"{word}: is not below the catalog's folder {root}; name that folder with -C")
    return str(path.relative_to(root))


def _among_all(app: App, word: str) -> Sequence[Image]:
    """What a word selects in the catalog; what is none of its Dockerfiles is refused."""
    path = str(PurePosixPath(word))
    known = [str(image.dockerfile) for image in app.catalog.images]
    if "/" not in word.partition("@")[0] or any(one.startswith(f"{path}/") for one in known):
        return app.images([word])
    if header.is_generated(files.dockerfiles(app.root, [path]).get(path, "")):
        raise InputError(Problem(Place(path), "belongs to no version any more; `dfgen render` removes it"))
    hint = nearest(path, known) or f"; expected one such as {known[0]}"
    raise InputError(Problem(Place(path), f"is not a Dockerfile of this catalog{hint}"))


def _print(lines: Sequence[Explained], path: str, output: str) -> None:
    if output == "json":
        show.data([_data(line) for line in lines])
    elif output == "markdown":
        show.rows(COLUMNS, (_row(line) for line in lines), output)
    else:
        for line in lines:
            _tell(line, path, short=len(lines) > 1)


def _tell(line: Explained, path: str, *, short: bool) -> None:
    """Print a line for a person; one of many is cut at the edge of the screen."""
    click.secho(
        _cut(f"{line.line:>4}  {line.text}".rstrip() if short else f"{path}:{line.line}", short=short),
        bold=True,
    )
    if not short:
        print(f"      {line.text}")
    for chain in (line.places, *line.also) if line.places else ():
        print(textwrap.fill(_ARROW.join(map(str, chain)), _WIDTH, **_FOLDED))
    if not line.places:
        print(f"      {_OWN}")
    for setting in line.settings:
        _tell_setting(setting, _source(setting), short=short)
    for setting in line.deciding:
        _tell_setting(setting, f"{_source(setting)}; decides", short=short)
    for text, place in () if short else line.conditions:
        print(f"      {text}  ({place})")


def _tell_setting(setting: Setting, source: str, *, short: bool) -> None:
    told = f"        {setting.name} = {_value(setting)}"
    if len(told) + len(source) + len("  ()") <= _WIDTH:
        print(f"{told}  ({source})")
    else:
        print(f"{_cut(told, short=short)}\n          ({source})")


def _cut(text: str, *, short: bool) -> str:
    return f"{text[: _WIDTH - 1]}…" if short and len(text) > _WIDTH else text


def _value(setting: Setting) -> str:
    value = setting.value
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value, ensure_ascii=False)


def _source(setting: Setting) -> str:
    return f"{setting.by}, {setting.place}" if setting.place else f"{setting.by}"


def _row(line: Explained) -> tuple[object, ...]:
    chains = [_ARROW.join(map(str, chain)) for chain in (line.places, *line.also)] if line.places else [_OWN]
    settings = [_cell(one) for one in line.settings] + [f"{_cell(one)}; decides" for one in line.deciding]
    return line.line, _code(line.text), "<br>".join(chains), "<br>".join(settings)


def _cell(one: Setting) -> str:
    return f"{_code(f'{one.name} = {_value(one)}')}: {_source(one)}"


def _code(text: str) -> str:
    """Text in markdown's code marks: more of them than it holds in a row."""
    if not text.strip():
        return ""
    marks = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{marks} {text} {marks}" if "`" in text else f"{marks}{text}{marks}"


def _data(line: Explained) -> dict[str, Any]:
    return {
        "line": line.line,
        "text": line.text,
        "header": not line.places,
        "template": [_place(place) for place in line.places],
        "also": [[_place(place) for place in chain] for chain in line.also],
        "expressions": list(line.expressions),
        "variables": [*map(_variable, line.settings)],
        "conditions": [{"text": text, "template": _place(place)} for text, place in line.conditions],
        "deciding": [*map(_variable, line.deciding)],
    }


def _variable(one: Setting) -> dict[str, Any]:
    return {"name": one.name, "value": one.value, "set_by": one.by, "at": _place(one.place)}


def _place(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    known = {"line": place.line, "column": place.column}
    return {"file": place.file, **{name: number for name, number in known.items() if number}}
