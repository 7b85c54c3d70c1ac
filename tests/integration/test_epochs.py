"""`source_date_epoch: commit`: the commit alone decides the time in an image, and so its digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfgen.outside.layout import Layout
from dfgen.values.manifest import Manifest
from tests.integration.conftest import Work, digests
from tests.unit.repositories import commit, git

pytestmark = pytest.mark.integration

FAMILY = {
    "bases/catalog.yaml": "registry: localhost\nplatforms: [amd64]\nsource_date_epoch: commit\n",
    "templates/base.j2": "FROM {{ parent }}\nRUN echo 1 > /one\n",
    "bases/base/base.yaml": "template: base.j2\nparent: PARENT\nversions: ['1']\n",
}


def created(work: Work) -> str:
    layout = Layout(work.root / "dist")
    manifest = layout.manifest(layout.entries()["base:1-x86_64"])
    assert isinstance(manifest, Manifest)
    return str(json.loads(layout.read(manifest.config))["created"])


def test_two_clones_of_a_commit_give_one_digest(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "@1000000000 +0000")
    work.prepare(FAMILY)
    git(work.root, "init", "-q", "--template=")
    commit(work.root)
    clones = [Work(tmp_path / name, work.parent) for name in ("one", "two")]
    for clone in clones:
        git(tmp_path, "clone", "-q", str(work.root), str(clone.root))
        clone.run("build", "--locked", "--no-cache")
    one, two = clones
    assert digests(one) == digests(two)
    assert created(one) == "2001-09-09T01:46:40Z"

    monkeypatch.setenv("GIT_COMMITTER_DATE", "@1000000001 +0000")
    one.write({"bases/base/NOTES": "1\n"})
    git(one.root, "add", "bases/base/NOTES")
    git(one.root, "commit", "-qm", "m")
    (step,) = json.loads(one.run("plan", "--format", "json").stdout)
    assert step["reason"] == "inputs changed: source_date_epoch"
    one.run("build", "--locked")
    assert created(one) == "2001-09-09T01:46:41Z"
    assert digests(one) != digests(two)
