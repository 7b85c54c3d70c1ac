"""Rendered files that a checkout has changed: line ends, and links in their place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.unit.catalogs import FAMILY, loaded, locked, write
from tests.unit.cli.run import dfgen

AMD64 = "bases/app/1.0/Dockerfile_amd64"


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    catalog = loaded(tmp_path, FAMILY)
    write(tmp_path, {LOCK_FILE: locked(catalog).to_text()})
    assert dfgen("-C", tmp_path, "render").status == 0
    return tmp_path


def to_crlf(path: Path) -> bytes:
    text = path.read_bytes()
    path.write_bytes(text.replace(b"\n", b"\r\n"))
    return text


def test_windows_line_ends_are_no_edit(rendered: Path) -> None:
    text = to_crlf(rendered / AMD64)
    done = dfgen("-C", rendered, "render", "--check")
    assert (done.status, done.lines) == (
        1,
        [
            f"{AMD64}: has Windows line ends (CRLF); `dfgen render` writes it, and `* -text` in"
            " bases/.gitattributes keeps git from it"
        ],
    )
    done = dfgen("-C", rendered, "render")
    assert done.lines == [f"{AMD64}: given other line ends", "1 of 2 Dockerfiles written, 1 unchanged"]
    assert (rendered / AMD64).read_bytes() == text


def test_an_edit_is_one_with_windows_line_ends_too(rendered: Path) -> None:
    to_crlf(rendered / AMD64)
    with (rendered / AMD64).open("ab") as file:
        file.write(b"USER root\r\n")
    done = dfgen("-C", rendered, "render", "--check")
    assert (done.status, len(done.lines)) == (1, 1)
    assert done.lines[0].startswith(f"{AMD64}: was edited by hand; move the change to the template")


def test_files_of_a_version_that_is_gone_are_removed_whatever_their_line_ends(rendered: Path) -> None:
    shutil.copytree(rendered / "bases/app/1.0", rendered / "bases/app/0.9")
    to_crlf(rendered / "bases/app/0.9/Dockerfile_amd64")
    assert dfgen("-C", rendered, "render").status == 0
    assert not (rendered / "bases/app/0.9").exists()


def test_where_a_link_leads_is_not_read(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_text("hidden\n")
    (rendered / AMD64).unlink()
    (rendered / AMD64).symlink_to(secret)
    done = dfgen("-C", rendered, "render", "--diff")
    assert done.status == 1
    assert f"-a link to {secret}" in done.out
    assert "hidden" not in done.out + done.err
    assert done.lines == [
        f"{AMD64}: stands where a generated file belongs, and dfgen did not write it; move the change to the"
        " template, then `dfgen render --force`"
    ]
    assert dfgen("-C", rendered, "render", "--force").status == 0
    assert (secret.read_text(), (rendered / AMD64).is_symlink()) == ("hidden\n", False)


def test_a_link_to_a_name_that_is_no_text_is_told(rendered: Path) -> None:
    (rendered / AMD64).unlink()
    (rendered / AMD64).symlink_to(os.fsdecode(b"\xff"))
    done = dfgen("-C", rendered, "render", "--diff")
    assert (done.status, "-a link to \ufffd" in done.out) == (1, True)
