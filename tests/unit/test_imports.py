"""Layers import only lower layers, there are no import cycles, and libraries are used only in their modules."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Set
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import dfgen

ROOT = Path(dfgen.__file__).parent

# From the bottom up: a part may import itself and the parts in the lines above it. A test compares the table with
# docs/architecture.md.
LAYERS = (
    ("errors",),
    ("findings", "untrusted", "concurrent"),
    ("filetree",),
    ("oci",),
    ("registry",),
    ("dockerfile",),
    ("catalog",),
    ("templating",),
    ("sbom",),
    ("engine",),
    ("commands",),
    ("exports",),
    ("workspace",),
    ("cli",),
    ("__main__",),
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}

# The modules that may import a library, by the start of their name.
HOMES = {
    "click": ("dfgen.cli",),
    "rich": ("dfgen.cli",),
    "jinja2": ("dfgen.templating",),
    "urllib3": ("dfgen.registry",),
    "docker": ("dfgen.engine", "dfgen.registry"),
    "subprocess": ("dfgen.engine", "dfgen.filetree", "dfgen.registry.credentials"),
    "yaml": ("dfgen.catalog.yaml",),
    "jsonschema_rs": ("dfgen.catalog.schema",),
    "cyclonedx": ("dfgen.sbom.cyclonedx",),
    "packageurl": ("dfgen.sbom.cyclonedx",),
}
HEAVY = ("cyclonedx", "docker", "jinja2", "jsonschema_rs", "rich", "urllib3", "requests", "asyncio", "yaml")


def _module(path: Path) -> str:
    words = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


@cache
def _imports(path: Path) -> tuple[tuple[int, str], ...]:
    return tuple(_found(path))


def _found(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            # Either a module, as in `from dfgen.catalog import lockfile`, or a name in one.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


MODULES = {_module(path): path for path in sorted(ROOT.rglob("*.py"))}


def _part(name: str) -> str:
    """Return the part of dfgen that a dotted name belongs to; empty for the package itself."""
    words = name.split(".")
    return words[1] if len(words) > 1 and words[1] in RANK else ""


def _is_wrong(module: str, imported: str) -> bool:
    part, other = _part(module), _part(imported)
    return part != other and bool(other) and RANK[other] >= RANK.get(part, -1)


def _own_imports(path: Path) -> Iterator[tuple[int, str]]:
    return ((line, name) for line, name in _imports(path) if name.split(".")[0] == "dfgen")


def test_every_part_is_in_a_layer() -> None:
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in MODULES.values()}
    assert parts - {"__init__"} == RANK.keys()


def test_the_architecture_page_lists_the_same_layers() -> None:
    page = (ROOT.parent / "docs/architecture.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```layers\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert tuple(tuple(line.split()) for line in block.splitlines()) == LAYERS


def test_layers_import_only_lower_layers() -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module, path in MODULES.items()
        for line, name in _own_imports(path)
        if _is_wrong(module, name)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("dfgen.errors", "dfgen.findings.Finding"),
        ("dfgen.filetree.files", "dfgen.catalog.model"),
        ("dfgen.oci.digest", "dfgen.catalog.lockfile.Lock"),
        ("dfgen.oci.layout", "dfgen.registry.Registry"),
        ("dfgen.dockerfile.parser", "dfgen.catalog.yaml"),
        ("dfgen.catalog.load", "dfgen.templating.Templates"),
        ("dfgen.engine.buildx", "dfgen.commands.build"),
        ("dfgen.commands.render", "dfgen.workspace.Workspace"),
        ("dfgen.commands.render", "dfgen.cli.output"),
        ("dfgen.workspace", "dfgen.cli.group"),
    ],
)
def test_an_import_of_a_higher_layer_is_found(module: str, imported: str) -> None:
    assert _is_wrong(module, imported)


def _graph() -> Mapping[str, Set[str]]:
    """Return the modules that each module imports."""
    return {
        module: {
            name if name in MODULES else name.rpartition(".")[0]
            for _, name in _own_imports(path)
            if name != module and name.rpartition(".")[0] != module
        }
        for module, path in MODULES.items()
    }


def _cycle(graph: Mapping[str, Set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [*error.args[1]]
    return []


def test_there_are_no_import_cycles() -> None:
    assert _cycle(_graph()) == []


def test_an_import_cycle_is_found() -> None:
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "c", "b", "a"]


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_by_its_modules(library: str) -> None:
    users = {module for module, path in MODULES.items() for _, name in _imports(path) if _is(name, library)}
    assert users, f"nothing imports {library}"
    assert {module for module in users if not module.startswith(HOMES[library])} == set()


def _is(name: str, library: str) -> bool:
    return name == library or name.startswith(f"{library}.")


def test_version_and_help_import_no_heavy_library() -> None:
    program = (
        "import sys; from dfgen.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
    )
    for option in ("--version", "--help"):
        done = subprocess.run(
            [sys.executable, "-c", program, option], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]"
        assert done.stderr == ""
