"""The catalog's own files are read as regular files only, whatever git brought in their place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dfgen.catalog import lockfile
from dfgen.catalog.reading import read_text
from dfgen.commands.render import Dockerfiles, render
from dfgen.errors import InputError
from dfgen.templating import Templates
from tests.unit.catalogs import FAMILY, loaded, locked, problems

LINK = "is a link that leads out of the catalog's folder, or to nothing; put the file itself there"
FOLDER = "is a link; dfgen does not write through links; put the folder itself there"
NO_FILE = "is not a regular file; put a file there"


def _outside(path: Path) -> None:
    secret = next(one for one in path.parents if one.name == "deep") / "outside"
    secret.write_text("secret")
    path.symlink_to(secret)


SMUGGLED: list[tuple[Callable[[Path], None], str]] = [
    (_outside, LINK),
    (lambda path: path.symlink_to("/dev/zero"), LINK),
    (lambda path: path.symlink_to("missing"), LINK),
    (os.mkfifo, NO_FILE),
    (Path.mkdir, NO_FILE),
]


@pytest.mark.parametrize(("make", "message"), SMUGGLED)
@pytest.mark.parametrize("file", ["catalog.yaml", "lock.json", "app/base.yaml"])
def test_only_regular_files_are_read(
    file: str, make: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    root = tmp_path / "deep" / "catalog"
    loaded(root, FAMILY)
    path = root / "bases" / file
    path.unlink(missing_ok=True)
    make(path)
    with pytest.raises(InputError) as error:
        read_text(root, f"bases/{file}")
    assert str(error.value) == f"bases/{file}: {message}"
    if file == "lock.json":
        with pytest.raises(InputError, match=message):
            lockfile.read(root)


def test_a_folder_that_is_a_link_out_of_the_catalog_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    loaded(root, FAMILY)
    (root / "bases" / "app").rename(tmp_path / "elsewhere")
    (root / "bases" / "app").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError) as error:
        read_text(root, "bases/app/base.yaml")
    assert str(error.value) == f"bases/app/base.yaml: {LINK}"


def test_the_catalog_itself_may_be_a_link(tmp_path: Path) -> None:
    loaded(tmp_path / "a", FAMILY)
    (tmp_path / "b").symlink_to("a")
    assert read_text(tmp_path / "b", "bases/app/base.yaml") == FAMILY


def test_nothing_of_a_linked_file_is_in_the_message(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    (root / "bases").mkdir(parents=True)
    (tmp_path / "secret").write_text("ghp_s3cr3t")
    (root / "bases" / "catalog.yaml").symlink_to(tmp_path / "secret")
    assert problems(root, FAMILY) == [f"bases/catalog.yaml: {LINK}"]


def test_a_version_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    catalog = loaded(tmp_path / "mine", FAMILY)
    (tmp_path / "other").mkdir()
    (tmp_path / "mine" / "bases" / "app" / "1.0").symlink_to(tmp_path / "other")
    templates = Templates(tmp_path / "mine" / "templates", "templates")
    with pytest.raises(InputError) as error:
        render(catalog, catalog.images, locked(catalog), lambda _image: templates, {})
    assert str(error.value) == f"bases/app/1.0: {FOLDER}"
    dockerfiles = Dockerfiles(catalog, lambda _image: templates)
    with pytest.raises(InputError) as error:
        dockerfiles.rerender(catalog.images[0], locked(catalog))
    assert str(error.value) == f"bases/app/1.0: {FOLDER}"
    assert not list((tmp_path / "other").iterdir())
