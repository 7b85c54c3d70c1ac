"""Find `{{ … }}` in texts of the catalog that are not rendered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from dfgen.catalog.yaml import Document, KeyPath
from dfgen.errors import Problem

_BRACES = re.compile(r"(?<![${])\{\{-?(.*?)-?\}\}|\{%.*?%\}", re.DOTALL)
_GO = re.compile(r"\{\{-?\s*(?:\w+\s+)?[.$]")  # `{{.State}}`, `{{json .}}`, `{{range .Items}}`
_RENDERED_KEYS = ("parent", "template", "expect", "logs", "when")


def literal_braces(document: Document, is_expression: Callable[[str], bool]) -> Iterator[Problem]:
    """Report each text that looks like a template but is used as it is.

    Go templates, such as `{{.State}}` or `{{json .}}`, and `${{ … }}` are text: Jinja cannot parse them.
    """
    for path, text in _texts(document.data, ()):
        found = None if _is_rendered(path) else _first(text, is_expression)
        if found:
            message = f"{found!r} is not rendered here and would be used as it is; {_advice(path)}"
            yield Problem(document.place(path), message)


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _texts(item, (*path, position))


def _is_rendered(path: KeyPath) -> bool:
    if path == ("matrix", "version"):
        return True
    # A variable may have any name, also that of a setting.
    at = next((at for at, key in enumerate(path) if key in ("variables", "labels")), None)
    if at is not None or path[:2] in (("matrix", "axes"), ("matrix", "include")):
        return False
    return any(key in _RENDERED_KEYS for key in path) or "parents" in path


def _first(text: str, is_expression: Callable[[str], bool]) -> str:
    if _GO.search(text):
        return ""
    return next((one[0] for one in _BRACES.finditer(text) if one[1] is None or is_expression(one[1])), "")


def _advice(path: KeyPath) -> str:
    if "variables" in path or path[0] == "matrix":
        return "write the expression in the template, or in parent, where the variable is used"
    if "labels" in path:
        return 'write the label in the template: LABEL name="{{ … }}"'
    return "write the value itself, or the expression in the template"
