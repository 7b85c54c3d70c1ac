"""What a template defines, uses and takes from elsewhere, as its text says: nothing is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from jinja2 import meta, nodes

from dfgen.values.usage import TemplateUsage

_Taking: TypeAlias = nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends
_NOT_ALWAYS = frozenset(("defined", "undefined"))


def read_usage(template: str, tree: nodes.Template) -> TemplateUsage:
    """Read a template's tree."""
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
    """The templates that a statement names; None when the name is computed."""
    entries = node.template.items if isinstance(node.template, nodes.List | nodes.Tuple) else [node.template]
    values = [entry.value for entry in entries if isinstance(entry, nodes.Const)]
    return tuple(map(str, values)) if len(values) == len(entries) else None


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
