"""The lock file that `make` installs from: complete, pinned by hash, and independent of a package index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / ".ci/requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WANTED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
ENTRIES = re.findall(r"^\S.*(?:\n .*)*", LOCK, re.MULTILINE)
VERSIONS = {
    canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE)
}


@pytest.mark.parametrize("text", WANTED)
def test_the_lock_file_satisfies_the_requirements(text: str) -> None:
    wanted = Requirement(text)
    assert wanted.specifier.contains(VERSIONS[canonicalize_name(wanted.name)])


def test_every_entry_has_a_version_and_hashes() -> None:
    assert len(ENTRIES) == len(VERSIONS)
    assert [entry for entry in ENTRIES if "--hash=sha256:" not in entry] == []


def test_the_lock_file_names_no_index() -> None:
    assert [line for line in LOCK.splitlines() if "//" in line or line.startswith("-")] == []


def test_no_compiler_is_installed() -> None:
    assert {"ziglang", "setuptools-zig", "ruamel-yaml-clib", "ruamel-yaml-clibz"}.isdisjoint(VERSIONS)
