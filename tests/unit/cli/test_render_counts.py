"""The cost of a render, in counts, since times depend on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.catalog import PLATFORMS, make
from tests.unit.cli.run import dfgen
from tests.unit.counts import calls, count

VERSIONS = 20
FILES = VERSIONS * len(PLATFORMS)
ALWAYS = len(("base.yaml", "lock.json", "base.j2"))
SHARED = len(("FROM", "RUN", "USER", "CMD"))  # FROM is parsed once more, as written in the template


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    make(folder, VERSIONS)
    assert dfgen("-C", folder, "render").status == 0
    return folder


@pytest.fixture
def without_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.usefixtures("without_cache")
def test_a_check_opens_each_file_once_and_parses_each_instruction_once(root: Path) -> None:
    assert count(root, "render", "--check") == {
        "files opened": FILES + 3 * ALWAYS,  # hashed before and after the render
        "instructions read": FILES + SHARED,  # every FROM has another digest
        "templates compiled": 1,
    }


def test_a_cached_check_parses_no_instruction_and_no_template(root: Path) -> None:
    assert count(root, "render", "--check") == {"files opened": FILES + ALWAYS, "instructions read": 0}


def test_a_selection_opens_only_its_own_dockerfiles(root: Path) -> None:
    assert count(root, "render", "--check", "family-0:7.0")["files opened"] == len(PLATFORMS) + ALWAYS


def test_a_render_of_an_unchanged_catalog_opens_no_file_for_writing(root: Path) -> None:
    assert count(root, "render") == count(root, "render", "--check")


def test_function_calls_per_dockerfile(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    for folder, versions in ((small, VERSIONS), (large, 3 * VERSIONS)):
        make(folder, versions)
    more = (calls(large, "render") - calls(small, "render")) / (2 * FILES)
    assert 500 < more < 1000, "the cost per Dockerfile has changed a lot; see docs/benchmarks.md"
