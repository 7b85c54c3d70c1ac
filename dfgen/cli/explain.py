"""`dfgen explain`: print which template line and variables produced a line of a Dockerfile."""

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
from dfgen.commands.explain import Explained, Wanted, choose, difference, explain
from dfgen.commands.render import is_generated, render_unchecked, stand_in, unbuilt
from dfgen.errors import InputError, Place, Problem, listing, nearest
from dfgen.filetree import files
from dfgen.workspace import in_one_family

# A version may follow a colon too: `java-base:21` selects a version, `java-base:21@arm64:7` a line.
_WITH_LINE = re.compile(r"(.*[/@:].*):([0-9]+)")
_WITH_INVALID_LINE = re.compile(r".*(?:/Dockerfile_|@)[^:/@]+:(.*)")
_HEADER = "dfgen's own header"
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
    """Show which template line and which variables produced a line of a Dockerfile, or all of its lines.

    FILE is a Dockerfile's path, or its image: java-base:21@arm64.
    """
    file, colon, number = wanted.rpartition(":")
    if colon and Path(file).is_file():  # a path from a folder below the catalog's
        wanted = f"{app.below_root(file)}:{number}"
    word, line = _split(wanted)
    catalog, image = _image(app, word)
    existing = files.dockerfiles(app.root, [image.path]).get(image.path)
    request = Wanted(path=image.path, existing=existing, line=line)
    settings = Settings(image, app.lock, _lock_text(app))
    templates = app.templates_for(image)
    rendered = render_unchecked(catalog, image, app.lock, templates, stand_in)
    rendered.check()
    lines = explain(rendered, templates.origins(image.template, rendered.variables), settings)
    _print(choose(request, lines), request.path, app.output)
    if parents := unbuilt(image, app.lock):
        show.note(
            f"{image.path}: waits for {listing(parents)} to be built; until then, a digest that starts with"
            " zeros stands in for its pin"
        )
    elif note := difference(request, lines):
        show.note(note)


def _lock_text(app: App) -> str:
    try:
        return read_text(app.root, LOCK_FILE)
    except FileNotFoundError:
        return ""


def _split(text: str) -> tuple[str, int]:
    """Split `FILE:LINE` into the file and the line; without `:LINE`, the line is 0."""
    if found := _WITH_LINE.fullmatch(text):
        if not int(found[2]):
            raise InputError(f"{text}: line numbers start at 1")
        return found[1], int(found[2])
    if found := _WITH_INVALID_LINE.fullmatch(text):
        raise InputError(
            f"{text}: {found[1]!r} is not a line number; use 1 or higher, or omit it for all lines"
        )
    return text, 0


def _image(app: App, word: str) -> tuple[Catalog, Image]:
    """Return the one image that a word selects, and a catalog that contains it."""
    word = _below_root(app, word)
    catalog, images = in_one_family(app, [word]) or (app.catalog, _select(app, word))
    if len(images) > 1:
        raise InputError(f"{word!r} matches {len(images)} Dockerfiles; use one, for example {images[0].path}")
    return catalog, images[0]


def _below_root(app: App, word: str) -> str:
    """Return a path relative to the catalog's folder; any other word unchanged."""
    path = Path(word)
    if not path.is_absolute():
        return app.below_root(word)
    root = app.root.resolve()
    if not path.is_relative_to(root):
        raise InputError(f"{word}: is not in the catalog's folder {root}; set the folder with -C")
    return str(path.relative_to(root))


def _select(app: App, word: str) -> Sequence[Image]:
    """Select from the whole catalog. Raises InputError for the path of a file that is not its Dockerfile."""
    path = str(PurePosixPath(word))
    known = [image.path for image in app.catalog.images]
    if "/" not in word.partition("@")[0] or any(one.startswith(f"{path}/") for one in known):
        return app.images([word])
    if is_generated(files.dockerfiles(app.root, [path]).get(path, "")):
        raise InputError(Problem(Place(path), "belongs to no version; `dfgen render` deletes it"))
    hint = nearest(path, known) or f"; use one, for example {known[0]}"
    raise InputError(Problem(Place(path), f"is not a Dockerfile of this catalog{hint}"))


def _print(lines: Sequence[Explained], path: str, output: str) -> None:
    if output == "json":
        show.data([_data(line) for line in lines])
    elif output == "markdown":
        show.rows(COLUMNS, (_row(line) for line in lines), output)
    else:
        for line in lines:
            _print_line(line, path, short=len(lines) > 1)


def _print_line(line: Explained, path: str, *, short: bool) -> None:
    """Print a line and its origin; `short` is set if it is one of many, and truncates long texts."""
    title = f"{line.line:>4}  {line.text}".rstrip() if short else f"{path}:{line.line}"
    click.secho(_truncate(title, short=short), bold=True)
    if not short:
        print(f"      {line.text}")
    for chain in _chains(line):
        print(textwrap.fill(chain, _WIDTH, **_FOLDED))
    for setting in line.settings:
        _print_setting(setting, _source(setting), short=short)
    for setting in line.deciding:
        _print_setting(setting, f"{_source(setting)}; decides", short=short)
    for text, place in () if short else line.conditions:
        print(f"      {text}  ({place})")


def _print_setting(setting: Setting, source: str, *, short: bool) -> None:
    text = f"        {setting.name} = {_value(setting)}"
    if len(text) + len(source) + len("  ()") <= _WIDTH:
        print(f"{text}  ({source})")
    else:
        print(f"{_truncate(text, short=short)}\n          ({source})")


def _truncate(text: str, *, short: bool) -> str:
    return f"{text[: _WIDTH - 1]}…" if short and len(text) > _WIDTH else text


def _value(setting: Setting) -> str:
    value = setting.value
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value, ensure_ascii=False)


def _source(setting: Setting) -> str:
    return f"{setting.by}, {setting.place}" if setting.place else f"{setting.by}"


def _chains(line: Explained) -> list[str]:
    chains = (line.places, *line.also) if line.places else ()
    return [_ARROW.join(map(str, chain)) for chain in chains] or [_HEADER]


def _row(line: Explained) -> tuple[object, ...]:
    settings = [_cell(one) for one in line.settings] + [f"{_cell(one)}; decides" for one in line.deciding]
    return line.line, _code(line.text), "<br>".join(_chains(line)), "<br>".join(settings)


def _cell(one: Setting) -> str:
    return f"{_code(f'{one.name} = {_value(one)}')}: {_source(one)}"


def _code(text: str) -> str:
    """Format text as a markdown code span."""
    if not text.strip():
        return ""
    # The delimiter must be longer than any run of backticks in the text.
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
