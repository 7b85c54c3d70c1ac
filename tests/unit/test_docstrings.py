"""What ruff's rules leave out: a public name says what it is for, also in a private class or a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dfgen

ROOT = Path(dfgen.__file__).parent
NAMED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _without(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, NAMED) and not node.name.startswith("_") and not ast.get_docstring(node):
            yield f"{node.lineno}: {node.name}"


def test_every_public_name_has_a_docstring() -> None:
    found = {path: list(_without(ast.parse(path.read_text("utf-8")))) for path in sorted(ROOT.rglob("*.py"))}
    assert len(found) > 100
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("class _A:\n  def b(self): pass", ["2: b"]),
        ("def a():\n  'For.'\n  def b(): pass", ["3: b"]),
        ("class A:\n  'For.'\n  @property\n  def b(self): 'For.'\n  def _c(self): pass", []),
    ],
)
def test_a_name_without_one_is_found(text: str, names: list[str]) -> None:
    assert list(_without(ast.parse(text))) == names
