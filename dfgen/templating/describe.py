"""Write a template's expression for a message."""

from __future__ import annotations

from jinja2 import nodes


def describe(node: nodes.Node) -> str:
    """Write names, attributes, items, filters and calls as in the template; anything else as `…`."""
    text = "…"
    match node:
        case nodes.Name():
            text = node.name
        case nodes.Const():
            text = repr(node.value)
        case nodes.Getattr():
            text = f"{describe(node.node)}.{node.attr}"
        case nodes.Getitem():
            text = f"{describe(node.node)}[{describe(node.arg)}]"
        case nodes.Filter() if node.node is not None:
            text = f"{describe(node.node)} | {node.name}"
        case nodes.Call():
            text = f"{describe(node.node)}(…)"
        case nodes.Concat():
            text = " ~ ".join(describe(part) for part in node.nodes)
    return text
