"""The cost of a plan and of a build of nothing, as counts, since times depend on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import built
from tests.bench.catalog import PLATFORMS
from tests.unit.counts import count

VERSIONS = 20
IMAGES = VERSIONS * len(PLATFORMS)
ALWAYS = len(("catalog.yaml", "base.yaml", "lock.json", "index.json"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    built.make(folder, VERSIONS, 10)
    return folder


def test_a_plan_opens_few_files_for_each_image_and_runs_no_program(root: Path) -> None:
    counted = count(root, "plan")
    files = len(("Dockerfile", "manifest for its blobs", "manifest for its configuration", "configuration"))
    assert counted["files opened"] == IMAGES * files + ALWAYS + len(("base.j2",))
    assert counted["templates compiled"] == 1
    assert "programs run" not in counted


def test_a_build_of_nothing_grows_only_with_the_images_and_runs_no_program(root: Path) -> None:
    dockerfile = len(("planned", "compared with what would be rendered"))
    manifest = len(("planned", "its configuration planned", "size read", "merge of its version checked"))
    configuration = 1
    index = len(("intact", "compared with a merge", "Dockerfile of the first image, for its base"))
    more = len(("base.j2", "index.json again", "build.json before", "build.json after"))
    counted = count(root, "build")
    assert (
        counted["files opened"]
        == IMAGES * (dockerfile + manifest + configuration) + VERSIONS * index + ALWAYS + more
    )
    assert "programs run" not in counted
