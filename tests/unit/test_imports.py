"""The one direction of imports, and where the libraries may be used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import dfgen

ROOT = Path(dfgen.__file__).parent

# What each part may import of dfgen, besides itself; a stage is a part of its own, "" is the package itself.
ALLOWED = {
    "values": set(),
    "dockerfile": {"values"},
    "templating": {"values", "dockerfile"},
    "filetree": {"values"},
    "model": {"values", "dockerfile"},
    "catalog": {"values", "dockerfile", "filetree", "model"},
    "images": {"values", "dockerfile", "model"},
    "reviewing": {"values", "dockerfile", "filetree", "templating", "model", "catalog", "images"},
    "linting": {"values", "dockerfile", "templating", "model", "images"},
    "stages": {"values", "dockerfile", "templating", "model", "catalog", "images", "reviewing", "linting"},
    "outside": {"values", "dockerfile", "model", "images", ""},
    "exports": {"values", "model", "images", ""},
    "cli": {
        "values",
        "dockerfile",
        "filetree",
        "templating",
        "model",
        "catalog",
        "images",
        "reviewing",
        "linting",
        "stages",
        "outside",
        "exports",
        "cli",
        "",
    },
    "__main__": {"cli"},
    "": set(),
}
# A review renders and compares as `dfgen render --check` does.
RENDER, REVIEW = "dfgen.commands.render", ("dfgen.reviewing", "dfgen.commands.review")
# Where a library may be imported: any module whose name begins so.
HOMES = {
    "click": ("dfgen.cli",),
    "rich": ("dfgen.cli",),
    "jinja2": ("dfgen.templating",),
    "urllib3": ("dfgen.registry",),
    "docker": ("dfgen.outside",),
    "subprocess": ("dfgen.outside", "dfgen.filetree.git"),
    "ruamel": ("dfgen.catalog.yaml",),
    "jsonschema_rs": ("dfgen.catalog.schema",),
    "cyclonedx": ("dfgen.sbom.cyclonedx",),
    "packageurl": ("dfgen.sbom.cyclonedx",),
}
HEAVY = ("cyclonedx", "docker", "jinja2", "jsonschema_rs", "rich", "ruamel", "urllib3", "requests", "asyncio")


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
            # `from dfgen.model import lock` may name a module, so that both are looked at.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


MODULES = {_module(path): path for path in sorted(ROOT.rglob("*.py"))}


def _part(module: str) -> str:
    words = module.split(".")
    return words[1] if len(words) > 1 and (words[1] in ALLOWED) else ""


def _is_wrong(module: str, imported: str) -> bool:
    part, other = _part(module), _part(imported)
    if imported.startswith(RENDER) and module.startswith(REVIEW):
        return False
    if part == other == "stages":
        return imported.split(".")[2:3] not in (module.split(".")[2:3], [])
    return part != other and other not in ALLOWED[part]


def _wrong_arrows(module: str, path: Path) -> list[str]:
    own = [(line, name) for line, name in _imports(path) if name.split(".")[0] == "dfgen"]
    return [f"{module}:{line} imports {name}" for line, name in own if _is_wrong(module, name)]


def test_imports_follow_the_one_direction() -> None:
    assert [arrow for module, path in MODULES.items() for arrow in _wrong_arrows(module, path)] == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("dfgen.oci.digest", "dfgen.catalog.lockfile.Lock"),
        ("dfgen.dockerfile.parser", "dfgen.catalog.yaml"),
        ("dfgen.templating.templates", "dfgen.catalog.model.Image"),
        ("dfgen.catalog.load", "dfgen.templating.Templates"),
        ("dfgen.catalog.load", "dfgen.filetree.files"),
        ("dfgen.catalog.load", "dfgen.catalog.context"),
        ("dfgen.filetree.git", "dfgen.dockerfile.parse"),
        ("dfgen.dockerfile.sources", "dfgen.filetree.Kind"),
        ("dfgen.catalog.context", "dfgen.commands.plan"),
        ("dfgen.commands.render", "dfgen.commands.lock.lock"),
        ("dfgen.commands.render", "dfgen.filetree.files"),
        ("dfgen.commands.render", "dfgen.cli.output"),
        ("dfgen.filetree.files", "dfgen.commands.lock"),
        ("dfgen.filetree.files", "dfgen.cli.output"),
        ("dfgen.oci.digest", "dfgen.__version__"),
    ],
)
def test_a_wrong_arrow_is_found(module: str, imported: str) -> None:
    assert _is_wrong(module, imported)


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_used_in_its_place_alone(library: str) -> None:
    users = {module for module, path in MODULES.items() for _, name in _imports(path) if _is(name, library)}
    assert users, f"nothing imports {library}"
    assert {module for module in users if not module.startswith(HOMES[library])} == set()


def _is(name: str, library: str) -> bool:
    return name == library or name.startswith(f"{library}.")


def test_the_walk_sees_every_module() -> None:
    assert {"dfgen.workspace", "dfgen.model", "dfgen.commands.render", "dfgen.oci.digest"} <= MODULES.keys()


def test_version_and_help_import_nothing_heavy() -> None:
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
