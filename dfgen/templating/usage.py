"""Reads from Jinja's syntax tree what templates define, use and load, without rendering.

The source of truth for which templates an image is made from; lint, plan and review all use it.
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
from dfgen.templating.errors import TEMPLATE_ERRORS

_Loading: TypeAlias = nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends
_DEFINED_TESTS = frozenset(("defined", "undefined"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateUsage:
    """The definitions and references of one template; lines count from 1.

    `macros` and `blocks` are its own, by name with their line. `calls` are the names that may call a macro
    of any template; `is_opaque` if macros may be called in a way that cannot be analyzed. `loads` are the
    templates that it includes, imports or extends; `extends` is the extended one, or "". `is_computed` if a
    template's name is computed. `names` are the variables that it reads but does not define, with their
    first line; `optional` are those that it tests with `is defined` or gives a default; `defined` are the
    names that it defines; `reads` are all names that it reads.
    """

    template: str
    macros: Mapping[str, int]
    blocks: Mapping[str, int]
    calls: frozenset[str]
    is_opaque: bool
    loads: frozenset[str]
    extends: str
    is_computed: bool
    names: Mapping[str, int]
    optional: frozenset[str]
    defined: frozenset[str]
    reads: frozenset[str]


def usages(texts: Mapping[str, str]) -> dict[str, TemplateUsage]:
    """Analyze templates by name; invalid ones are skipped, because rendering reports them."""
    found = ((name, _usage(name, text)) for name, text in texts.items())
    return {name: usage for name, usage in found if usage}


def made_from(template: str, usages: Mapping[str, TemplateUsage]) -> frozenset[str]:
    """Return a template and all that it includes, imports or extends, directly or indirectly.

    A computed name counts as every template. Names of missing templates are included.
    """
    found, waiting = {template}, [template]
    while waiting:
        usage = usages.get(waiting.pop())
        if usage:
            more = {*(usages if usage.is_computed else ()), *usage.loads} - found
            found |= more
            waiting.extend(more)
    return frozenset(found)


@lru_cache(maxsize=1024)  # the two states of a review share most templates
def _usage(template: str, text: str) -> TemplateUsage | None:
    with suppress(*TEMPLATE_ERRORS):
        return _read(template, _sandbox().parse(text, template))
    return None


@cache
def _sandbox() -> PlainSandbox:
    return PlainSandbox()


def _read(template: str, tree: nodes.Template) -> TemplateUsage:
    reads = [name for name in tree.find_all(nodes.Name) if name.ctx == "load"]
    free = meta.find_undeclared_variables(tree)
    loaded = [
        *map(_named, tree.find_all(nodes.Include)),
        *map(_named, tree.find_all(nodes.Import)),
        *map(_named, tree.find_all(nodes.FromImport)),
    ]
    parents = [_named(node) for node in tree.find_all(nodes.Extends)]
    static = frozenset(name for names in (*loaded, *parents) for name in names or ())
    return TemplateUsage(
        template=template,
        macros={macro.name: macro.lineno for macro in tree.find_all(nodes.Macro)},
        blocks={block.name: block.lineno for block in tree.find_all(nodes.Block)},
        calls=frozenset(_calls(tree)),
        is_opaque=_is_opaque(tree),
        loads=static,
        extends=next((name for names in parents for name in names or ()), ""),
        is_computed=any(names is None for names in (*loaded, *parents)),
        names={name.name: name.lineno for name in reversed(reads) if name.name in free},
        optional=frozenset(_optional(tree)),
        defined=frozenset(_defined(tree)),
        reads=frozenset(name.name for name in reads),
    )


def _named(node: _Loading) -> tuple[str, ...] | None:
    """Return the templates that a statement names; None if a name is not a constant for Jinja."""
    try:
        value = node.template.as_const()
    except nodes.Impossible:
        return None
    names = value if isinstance(value, list | tuple) else (value,)
    return tuple(str(PurePosixPath(str(name))) for name in names)  # the loader reads ./a as a


def _calls(tree: nodes.Template) -> Iterator[str]:
    """Yield the names under which macros may be called; recursion alone does not count."""
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
    """Whether an imported module is passed around or indexed, so that any of its macros may be called."""
    modules = {node.target for node in tree.find_all(nodes.Import)}
    attributes = [
        *(node.node for node in tree.find_all(nodes.Getattr)),
        *(node.node for node in tree.find_all(nodes.Getitem)),
    ]
    analyzed = {id(node) for node in attributes if isinstance(node, nodes.Name)}
    computed = any(
        isinstance(item.node, nodes.Name)
        and item.node.name in modules
        and not isinstance(item.arg, nodes.Const)
        for item in tree.find_all(nodes.Getitem)
    )
    modules_read = (name for name in tree.find_all(nodes.Name) if name.name in modules and name.ctx == "load")
    return computed or any(id(name) not in analyzed for name in modules_read)


def _optional(tree: nodes.Template) -> Iterator[str]:
    for test in tree.find_all(nodes.Test):
        if test.name in _DEFINED_TESTS and isinstance(test.node, nodes.Name):
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
