"""The names that a template defines itself, and what it makes them from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import nodes

Sources = Mapping[str, frozenset[str]]  # a name, and the names that its value is made from


@dataclass(frozen=True, slots=True)
class Locals:
    """What a template defines by `set`, and what loops and `with` define for what they include."""

    sets: Sources
    scoped: Sources

    @classmethod
    def of(cls, tree: nodes.Template) -> Locals:
        """Read a template's tree."""
        scoped = _collected(_scoped(tree))
        sets = {name: _followed(made_from, [scoped]) for name, made_from in _collected(_sets(tree)).items()}
        return cls(sets, scoped)


def resolve(names: Iterable[str], own: Locals, callers: Iterable[Locals]) -> frozenset[str]:
    """Follow names through a template, then what includes it, to names that none of them defines."""
    return _followed(names, [own.sets, *(one for caller in callers for one in (caller.sets, caller.scoped))])


def _followed(names: Iterable[str], scopes: Sequence[Sources]) -> frozenset[str]:
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        sources = next((scope[name] for scope in scopes if name in scope), None)
        # A name may be the catalog's until a template sets it anew from itself.
        if sources is None or name in sources:
            found.add(name)
        waiting += sources or ()
    return frozenset(found)


def names_of(node: nodes.Node) -> Iterator[str]:
    """The names that stand in a node."""
    if isinstance(node, nodes.Name | nodes.NSRef):
        yield node.name
    yield from (found.name for found in node.find_all(nodes.Name))
    yield from (found.name for found in node.find_all(nodes.NSRef))


_Definitions = Iterator[tuple[nodes.Node, Iterable[nodes.Node]]]


def _collected(definitions: _Definitions) -> Sources:
    found: dict[str, frozenset[str]] = {}
    for target, sources in definitions:
        made_from = frozenset(name for source in sources for name in names_of(source))
        for name in names_of(target):
            found[name] = found.get(name, frozenset()) | made_from
    return found


def _sets(tree: nodes.Template) -> _Definitions:
    for assign in tree.find_all(nodes.Assign):
        yield assign.target, (assign.node,)
    for block in tree.find_all(nodes.AssignBlock):
        yield block.target, block.body


def _scoped(tree: nodes.Template) -> _Definitions:
    for loop in tree.find_all(nodes.For):
        yield loop.target, (loop.iter,)
    for scope in tree.find_all(nodes.With):
        yield from ((target, (value,)) for target, value in zip(scope.targets, scope.values, strict=True))
