"""What templates define, use and load, read from Jinja's syntax tree: nothing is rendered.

This is the only place that decides which templates an image is made from; lint, plan and review ask it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import PurePosixPath
from typing import TypeAlias

from jinja2 import meta, nodes

from dfgen.templating.environment import PlainSandbox
from dfgen.templating.errors import FAULTS

_Taking: TypeAlias = nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends
_NOT_ALWAYS = frozenset(("defined", "undefined"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateUsage:
    """One template; lines count from 1.

    `macros` and `blocks` are its own, with the line of each. `calls` are the names that may call a macro, of
    this template or of another; `is_opaque` if a macro may be called in a way that cannot be followed.
    `takes` are the templates that it includes, imports or extends, `extends` the one of these that it
    extends; `is_computed` if such a name is computed. `names` are the variables that it reads and does not
    define, with the first line of each; `optional` those of them that it tests for being defined or has a
    default for; `defined` those that it sets itself. `reads` is every name in it.
    """

    template: str
    macros: Mapping[str, int]
    blocks: Mapping[str, int]
    calls: frozenset[str]
    is_opaque: bool
    takes: frozenset[str]
    extends: str
    is_computed: bool
    names: Mapping[str, int]
    optional: frozenset[str]
    defined: frozenset[str]
    reads: frozenset[str]


def usages(texts: Mapping[str, str]) -> dict[str, TemplateUsage]:
    """Read templates, text by name; a text that is not a valid template is left out: rendering reports it."""
    found = ((name, _usage(name, text)) for name, text in texts.items())
    return {name: usage for name, usage in found if usage}


def made_from(template: str, usages: Mapping[str, TemplateUsage]) -> frozenset[str]:
    """Return the template and every template that it includes, imports or extends, directly or not.

    A name that is computed may be any template. A name may be one of a template that does not exist.
    """
    found, waiting = {template}, [template]
    while waiting:
        usage = usages.get(waiting.pop())
        if usage:
            more = {*(usages if usage.is_computed else ()), *usage.takes} - found
            found |= more
            waiting.extend(more)
    return frozenset(found)


@lru_cache(maxsize=1024)  # the two states of a review share most templates
def _usage(template: str, text: str) -> TemplateUsage | None:
    with suppress(*FAULTS):
        return _read(template, _sandbox().parse(text, template))
    return None


@cache
def _sandbox() -> PlainSandbox:
    return PlainSandbox()


def _read(template: str, tree: nodes.Template) -> TemplateUsage:
    loads = [name for name in tree.find_all(nodes.Name) if name.ctx == "load"]
    free = meta.find_undeclared_variables(tree)
    taken = [
        *map(_named, tree.find_all(nodes.Include)),
        *map(_named, tree.find_all(nodes.Import)),
        *map(_named, tree.find_all(nodes.FromImport)),
    ]
    parents = [_named(node) for node in tree.find_all(nodes.Extends)]
    known = frozenset(name for names in (*taken, *parents) for name in names or ())
    return TemplateUsage(
        template=template,
        macros={macro.name: macro.lineno for macro in tree.find_all(nodes.Macro)},
        blocks={block.name: block.lineno for block in tree.find_all(nodes.Block)},
        calls=frozenset(_calls(tree)),
        is_opaque=_is_opaque(tree),
        takes=known,
        extends=next((name for names in parents for name in names or ()), ""),
        is_computed=any(names is None for names in (*taken, *parents)),
        names={name.name: name.lineno for name in reversed(loads) if name.name in free},
        optional=frozenset(_optional(tree)),
        defined=frozenset(_defined(tree)),
        reads=frozenset(name.name for name in loads),
    )


def _named(node: _Taking) -> tuple[str, ...] | None:
    """The templates that a statement names, as Jinja folds constants; None if a name is computed."""
    try:
        value = node.template.as_const()
    except nodes.Impossible:
        return None
    names = value if isinstance(value, list | tuple) else (value,)
    return tuple(str(PurePosixPath(str(name))) for name in names)  # the loader reads ./a as a


def _calls(tree: nodes.Template) -> Iterator[str]:
    """The names under which macros may be called; a macro that only calls itself is not called."""
    inside: dict[int, str] = {
        id(name): macro.name for macro in tree.find_all(nodes.Macro) for name in macro.find_all(nodes.Name)
    }
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load" and inside.get(id(name)) != name.name:
            yield name.name
    yield from (node.attr for node in tree.find_all(nodes.Getattr))
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.arg, nodes.Const):
            yield str(item.arg.value)
    for statement in tree.find_all(nodes.FromImport):
        yield from (entry[0] for entry in statement.names if isinstance(entry, tuple))


def _is_opaque(tree: nodes.Template) -> bool:
    """Whether an imported module is used as a whole, so that any of its macros may be called."""
    modules = {node.target for node in tree.find_all(nodes.Import)}
    attributes = [
        *(node.node for node in tree.find_all(nodes.Getattr)),
        *(node.node for node in tree.find_all(nodes.Getitem)),
    ]
    followed = {id(node) for node in attributes if isinstance(node, nodes.Name)}
    computed = any(
        isinstance(item.node, nodes.Name)
        and item.node.name in modules
        and not isinstance(item.arg, nodes.Const)
        for item in tree.find_all(nodes.Getitem)
    )
    whole = (name for name in tree.find_all(nodes.Name) if name.name in modules and name.ctx == "load")
    return computed or any(id(name) not in followed for name in whole)


def _optional(tree: nodes.Template) -> Iterator[str]:
    for test in tree.find_all(nodes.Test):
        if test.name in _NOT_ALWAYS and isinstance(test.node, nodes.Name):
            yield test.node.name
    for filtered in tree.find_all(nodes.Filter):
        if filtered.name in ("default", "d") and isinstance(filtered.node, nodes.Name):
            yield filtered.node.name


def _defined(tree: nodes.Template) -> Iterator[str]:
    yield from (name.name for name in tree.find_all(nodes.Name) if name.ctx != "load")
    yield from (node.name for node in tree.find_all(nodes.Macro))
    yield from (node.target for node in tree.find_all(nodes.Import))
    for statement in tree.find_all(nodes.FromImport):
        yield from (entry[1] if isinstance(entry, tuple) else entry for entry in statement.names)
