"""`dfgen init` and `dfgen new`: files are created, and existing ones are never overwritten."""

from __future__ import annotations

from pathlib import Path

from tests.unit.catalogs import FAMILY, write
from tests.unit.cli.run import dfgen

NEW = ["bases/web/base.yaml", "templates/web.Dockerfile.j2"]


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_init_creates_a_catalog_and_a_gitignore(tmp_path: Path) -> None:
    done = dfgen("-C", tmp_path, "init")
    count = len(_files(tmp_path))
    message = f"{count} files written; next: `dfgen list`, then `dfgen build` (needs Docker)"
    assert (done.status, done.out, done.lines) == (0, "", [message])
    assert (tmp_path / ".gitignore").read_text() == "dist/\n.*.dfgen-tmp\n"
    assert dfgen("-C", tmp_path, "render", "--check").status == 0


def test_init_creates_a_catalog_in_another_folder(tmp_path: Path) -> None:
    done = dfgen("-C", tmp_path, "init", "base images")
    count = len(_files(tmp_path / "base images"))
    message = f"{count} files written; next: `cd 'base images'`, then `dfgen list`, then `dfgen build` (needs Docker)"
    assert (done.status, done.out, done.lines) == (0, "", [message])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base images"]
    assert dfgen("-C", tmp_path / "base images", "render", "--check").status == 0


def test_init_keeps_an_existing_gitignore(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    assert dfgen("-C", tmp_path, "init").status == 0
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_init_rejects_a_folder_with_a_catalog(tmp_path: Path) -> None:
    write(tmp_path, {"bases/app/base.yaml": FAMILY})
    before = _files(tmp_path)
    done = dfgen("-C", tmp_path, "init")
    assert (done.status, done.lines) == (
        2,
        [
            "bases/: already contains a catalog; run `dfgen init` in another folder, or add a family with `dfgen new`"
        ],
    )
    assert _files(tmp_path) == before


def test_init_does_not_overwrite_a_template(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/common.j2").write_text("mine\n")
    done = dfgen("-C", tmp_path, "init")
    assert (done.status, done.lines) == (2, ["templates/common.j2: already exists; nothing was written"])
    assert _files(tmp_path) == {"templates/common.j2": b"mine\n"}


def test_new_adds_a_family_that_loads(tmp_path: Path) -> None:
    done = dfgen("-C", tmp_path, "new", "web", "--parent", "docker.io/library/alpine:3")
    assert done.status == 0
    assert done.lines == [
        *(f"{path}: new" for path in NEW),
        "next: edit both files, then run `dfgen lock` and `dfgen render`",
    ]
    assert sorted(_files(tmp_path)) == NEW
    assert "web" in dfgen("-C", tmp_path, "list").out


def test_new_does_not_overwrite_a_family(tmp_path: Path) -> None:
    assert dfgen("-C", tmp_path, "new", "web").status == 0
    before = _files(tmp_path)
    done = dfgen("-C", tmp_path, "new", "web")
    assert (done.status, done.lines) == (2, [f"{path}: already exists; nothing was written" for path in NEW])
    assert _files(tmp_path) == before
