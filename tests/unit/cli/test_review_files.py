"""`dfgen review` of files whose form differs between the working tree and git: CRLF, links, modes, LFS."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dfgen.errors import printable
from tests.unit import repositories
from tests.unit.cli.run import dfgen
from tests.unit.repositories import commit, found, git

_DOCKERFILE = "bases/app/1.0/Dockerfile_amd64"


def test_ignored_files_are_skipped(repository: Path, catalog: Path) -> None:
    (repository / ".gitignore").write_text("*.pyc\n")
    commit(repository)
    (catalog / "bases/app/files/x.pyc").write_text("")
    assert found(catalog) == []
    assert found(catalog, "main", catalog) == found(catalog, catalog, "main") == []
    assert found(catalog, catalog, catalog) == []
    (catalog / "bases/app/files/x.py").write_text("")
    assert found(catalog) == ["context file bases/app/files/x.py"]
    (catalog / "bases/app/files/x.py").unlink()
    (catalog / "bases/app/files/app.conf").unlink()
    assert found(catalog) == [
        "COPY takes 'files/', which does not exist in the context bases/app; add it there, or copy it from a stage with --from (in 2 files)",
        "context file bases/app/files/app.conf",
    ]


def test_folder_outside_of_a_repository_and_a_revision(catalog: Path, tmp_path: Path) -> None:
    shutil.copytree(catalog, tmp_path / "copy")
    assert found(catalog, "main", tmp_path / "copy") == []
    (tmp_path / "copy/bases/app/files/app.conf").write_text("b\n")
    assert found(catalog, "main", tmp_path / "copy") == ["context file bases/app/files/app.conf"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a b", "a b"),
        ("Größe ☃".encode(), "Größe ☃"),
        (b'"q" *?[x]', '"q" *?[x]'),
        (b"a\nb\x1b[31m", "a\nb\x1b[31m"),
        (b":(top)x", ":(top)x"),
    ],
)
def test_names_of_files(repository: Path, catalog: Path, name: bytes, shown: str) -> None:
    folder = os.fsencode(catalog / "bases/app/files")
    with open(folder + b"/" + name, "w") as file:  # noqa: PTH123 (a name of bytes)
        file.write("a")
    commit(repository)
    assert found(catalog, "HEAD") == []
    assert found(catalog) == [f"context file bases/app/files/{shown}"]
    for output in ("table", "markdown"):
        done = dfgen("-C", catalog, "--format", output, "review", "main", "topic")
        assert (done.status, printable(shown) in done.out) == (0, True)


def test_name_that_buildkit_cannot_read(repository: Path, catalog: Path) -> None:
    Path(os.fsdecode(os.fsencode(catalog / "bases/app/files/caf") + b"\xe9")).write_text("a")
    commit(repository)
    assert found(catalog, "HEAD") == []
    assert found(catalog) == [
        r"COPY takes files/caf\udce9, whose name or link target is not UTF-8, which BuildKit"
        " cannot read; rename it, or exclude it in .dockerignore (in 2 files)",
        "context file bases/app/files/caf\ufffd",
    ]


def test_executable_file(repository: Path, catalog: Path) -> None:
    path = catalog / "bases/app/files/app.conf"
    path.chmod(0o755)
    assert found(catalog) == ["context file bases/app/files/app.conf"]
    commit(repository)
    assert found(catalog, "HEAD") == []
    path.chmod(0o611)  # git stores only the executable bit of the owner
    assert found(catalog, "HEAD") == ["context file bases/app/files/app.conf"]


@pytest.mark.parametrize("attributes", ["", "* text=auto eol=crlf\n", "* text\n* -text diff\n"])
def test_checkout_with_crlf(repository: Path, catalog: Path, attributes: str) -> None:
    (repository / ".gitattributes").write_text(attributes)
    commit(repository)
    git(repository, "config", "core.autocrlf", "" if attributes else "true")
    for path in (
        path for name in ("bases", "templates") for path in (catalog / name).rglob("*") if path.is_file()
    ):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    if "-text" in attributes:  # then git did not write the CRLF
        assert set(found(catalog)) >= {_DOCKERFILE, "template templates/t.j2"}
        return
    assert found(catalog) == []
    (catalog / "bases/app/files/app.conf").write_bytes(b"b\r\n")
    assert found(catalog) == ["context file bases/app/files/app.conf"]
    git(repository, "add", "-A")  # git normalizes the line ends
    git(repository, "commit", "-qm", "more")
    assert found(catalog, "main", "topic") == ["context file bases/app/files/app.conf"]


def test_unreadable_file(catalog: Path) -> None:
    (catalog / _DOCKERFILE).unlink()
    (catalog / _DOCKERFILE).symlink_to("Dockerfile_amd64")
    done = dfgen("-C", catalog, "review")
    expected = f"{_DOCKERFILE}: cannot be read: Too many levels of symbolic links"
    assert (done.status, done.lines, done.out) == (3, [expected], "")


def test_committed_crlf_is_not_a_change(repository: Path, catalog: Path) -> None:
    (catalog / "bases/app/files/app.conf").write_bytes(b"a\r\n")
    commit(repository)
    git(repository, "config", "core.autocrlf", "true")
    assert found(catalog, "HEAD") == []
    assert found(catalog, "HEAD", "topic") == []


def test_git_lfs_file_is_compared_by_its_pointer(repository: Path, catalog: Path) -> None:
    path = catalog / "bases/app/files/app.conf"
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"  # of "a"
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 1\n")
    commit(repository)
    assert found(catalog, "HEAD") == []
    path.write_text("a")  # as checked out by git-lfs
    assert found(catalog, "HEAD") == []
    path.write_text("b")
    assert found(catalog, "HEAD") == ["context file bases/app/files/app.conf"]


def test_submodule_is_compared_by_its_commit(repository: Path, catalog: Path, tmp_path: Path) -> None:
    other = repositories.repository(tmp_path / "other", folder=".")
    git(repository, "submodule", "--quiet", "add", str(other), "images/bases/app/files/vendor")
    vendor = "bases/app/files/vendor"
    assert (catalog / vendor / "bases").is_dir()
    assert found(catalog) == [f"context file {vendor}"]
    commit(repository)
    assert found(catalog, "main", "topic") == [f"context file {vendor}"]
    assert found(catalog, "HEAD") == []
    git(tmp_path, "clone", "-q", str(repository), "clone")
    assert found(tmp_path / "clone/images", "HEAD") == []  # the submodule is not checked out
    (catalog / vendor / "new").write_text("")
    assert found(catalog, "HEAD") == []  # not committed in the submodule
    commit(catalog / vendor)
    assert found(catalog, "HEAD") == [f"context file {vendor}"]
    commit(repository)
    assert found(catalog, "HEAD~1", "HEAD") == [f"context file {vendor}"]


def test_catalog_in_a_submodule(repository: Path, catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    git(tmp_path / "outer", "init", "-q")
    git(tmp_path / "outer", "submodule", "--quiet", "add", str(repository), "inner")
    inner = tmp_path / "outer/inner/images"
    (inner / "bases/app/files/app.conf").write_text("b\n")
    assert found(inner, "HEAD") == ["context file bases/app/files/app.conf"]


@pytest.mark.parametrize(
    ("name", "to"),
    [
        (_DOCKERFILE, "{absolute}"),
        (_DOCKERFILE, "{up}../../secret"),
        (_DOCKERFILE, "{up}../.git/config"),
        ("bases/app/base.yaml", "{absolute}"),
        ("bases/lock.json", "{up}../../secret"),
        ("bases/catalog.yaml", "{up}../.git/config"),
    ],
)
def test_link_out_of_the_catalog_is_not_read(
    repository: Path, catalog: Path, tmp_path: Path, name: str, to: str
) -> None:
    (tmp_path / "secret").write_text("hunter2: [\n")
    git(repository, "config", "user.hunter2", "x")
    path = catalog / name
    path.unlink(missing_ok=True)
    path.symlink_to(to.format(absolute=tmp_path / "secret", up="../" * name.count("/")))
    commit(repository)
    assert "hunter2" in path.read_text()
    stray = "is a link to a file outside of the catalog's folder; replace it with the file"
    assert f"{name}: error: {stray}" in dfgen("-C", catalog, "review").out
    assert found(catalog)[0] == stray
    for words in (("main",), ("main", "topic"), ("topic", "main")):
        done = dfgen("-C", catalog, "--format", "markdown", "review", *words)
        assert "hunter2" not in done.out + done.err


def test_link_within_the_catalog_is_followed(repository: Path, catalog: Path) -> None:
    (catalog / "bases/app/base.yaml").rename(catalog / "bases/app/real.yaml")
    (catalog / "bases/app/base.yaml").symlink_to("real.yaml")
    (catalog / "templates/t.j2").rename(catalog / "templates/real.j2")
    (catalog / "templates/t.j2").symlink_to("../templates/real.j2")
    commit(repository)
    assert found(catalog, "HEAD") == []
    assert found(catalog, "HEAD", "topic") == []
    assert dfgen("-C", catalog, "review", "main", "topic").status == 0


def test_link_in_a_context_is_compared_by_its_target(repository: Path, catalog: Path) -> None:
    link = catalog / "bases/app/files/app.conf"
    link.unlink()
    link.symlink_to("/etc/passwd")
    assert found(catalog) == ["context file bases/app/files/app.conf"]
    commit(repository)
    assert found(catalog, "HEAD") == []
