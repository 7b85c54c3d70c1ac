"""Plan and review agree: review lists an image exactly if its inputs in plan change."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.catalog.context import BuildInputs, ContextReader
from dfgen.catalog.lockfile import LOCK_FILE, Lock
from dfgen.cli.app import App
from dfgen.commands.review import review
from dfgen.filetree import Folder
from dfgen.workspace.snapshots import Snapshots
from tests.unit import repositories
from tests.unit.catalogs import FAMILY, write

PLATFORMS = ("amd64", "arm64")
FILES = (
    *(
        "a.conf",
        "b.conf",
        "A.CONF",
        "files/a.conf",
        "files/b.txt",
        "files/s/c.conf",
        "v1/a",
        "v2/a",
        "v2/d/e",
    ),
    *("sp ace", "x[1]", ".hidden", "1.0/note", "one/two/three"),
)
LINKS = {
    "current": "v2",
    "files/up": "../v1",
    "alias.conf": "a.conf",
    "chain": "current/d",
    "lost": "nowhere",
}
INSTRUCTIONS = (
    *("COPY a.conf /x/", "ADD b.conf /x/", "COPY files /x/", "COPY files/*.conf /x/", "COPY files/[^b]* /x/"),
    *("COPY */a /x/", 'COPY "a.conf" /x/', "COPY files/../a.conf ./b.conf /x/", "COPY current/ /x/"),
    *("COPY current/d/e /x/", "COPY c*n* /x/", "COPY chain /x/", "COPY --exclude=s files /x/", "COPY . /x/"),
    *('COPY ["sp ace", "x[[]1]", "/x/"]', "COPY *.CONF /x/", "COPY al*.conf /x/", "COPY gone*/x /x/"),
    *("RUN --mount=type=bind,source=files/a.conf,target=/a true", "RUN --mount=target=/src,source=v1 true"),
    *("RUN --mount=target=/src true", "RUN --mount=type=cache,target=/c true", "COPY --from=o a.conf /x/"),
    *("ARG D=files\nCOPY $D/s /x/", "COPY $UNKNOWN /x/", "COPY <<EOF /x/\na.conf\nEOF", "COPY one /x/"),
    *("ADD https://example.com/a.conf /x/", "COPY missing /x/", "RUN true", "COPY one*/tw? /x/"),
)
PATTERNS = (
    *("files", "*.conf", "!files/a.conf", "**/a", "v2/**", "!v2/d", "[^a]*", "A.*", "*", "!one", "# files"),
    *("/b.conf", "files/s/", "1.0", "current", "x\\[1\\]", ".*", "*/two"),
)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Two families: `app` is built on `onb`, whose triggers run in the builds of `app`."""

    own: list[str]
    triggers: list[str]
    ignored: list[str] | None
    beside: list[str] | None


def _lines(choices: tuple[str, ...], most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(choices), max_size=most)


CATALOGS = st.builds(
    Catalog,
    own=_lines(INSTRUCTIONS, 2),
    triggers=st.just([]) | _lines(INSTRUCTIONS, 1),
    ignored=st.none() | _lines(PATTERNS, 3),
    beside=st.none() | st.none() | _lines(PATTERNS, 3),
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of one file: `what` names it, and `path` is below the context."""

    what: str
    path: str

    def apply(self, root: Path) -> None:
        """Change the file; an empty folder is removed, as in git."""
        path = root / "bases/app" / self.path
        if self.what == "mode" and path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode ^ 0o111)
            return
        old = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        path.unlink(missing_ok=True)
        if self.what == "delete":
            while path.parent.is_dir() and not any(path.parent.iterdir()):
                path = path.parent
                path.rmdir()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.what == "link":
            path.symlink_to(os.path.relpath(root / "bases/app/b.conf", path.parent))
        else:
            path.write_bytes(old + b"# changed\n")


CHANGES = st.builds(
    Change,
    what=st.sampled_from(("edit", "edit", "edit", "mode", "delete", "link")),
    path=st.sampled_from(
        (
            *FILES,
            *LINKS,
            *("new", "files/new.conf", "one/new/deep", "1.0/Dockerfile_amd64.dockerignore", ".dockerignore"),
        )
    ),
) | st.builds(
    Change,
    what=st.just("edit"),
    path=st.sampled_from(("1.0/Dockerfile_arm64", "base.yaml", "1.0/Dockerfile_amd64.rego")),
)


def make(root: Path, catalog: Catalog) -> None:
    """Write a catalog and commit it."""
    parent = {name: repositories.pinned() for name in ("docker.io/library/busybox:1.36", "onb:1.0")}
    files = {
        "bases/catalog.yaml": "source_date_epoch: 0\n",
        "bases/onb/base.yaml": f"{FAMILY}context: ../app\n",
        "bases/app/base.yaml": FAMILY.replace("docker.io/library/busybox:1.36", "onb:1.0"),
        LOCK_FILE: Lock(parent).to_text(),
        **{f"bases/app/{name}": f"{name}\n" for name in FILES},
    }
    onbuild = "".join(f"ONBUILD {one}\n" for line in catalog.triggers for one in line.split("\n")[:1])
    for arch in PLATFORMS:
        files[f"bases/onb/1.0/Dockerfile_{arch}"] = f"FROM docker.io/library/busybox:1.36\n{onbuild}"
        files[f"bases/app/1.0/Dockerfile_{arch}"] = "\n".join(
            ("FROM busybox AS o", f"FROM localhost/onb:1.0@sha256:{64 * 'a'}", *catalog.own, "")
        )
    for path, lines in (
        (".dockerignore", catalog.ignored),
        ("1.0/Dockerfile_amd64.dockerignore", catalog.beside),
    ):
        if lines is not None:
            files[f"bases/app/{path}"] = "".join(f"{line}\n" for line in lines)
    write(root, files)
    for name, target in LINKS.items():
        (root / "bases/app" / name).symlink_to(target)
    repositories.git(root, "init", "-q", "--template=")
    repositories.commit(root)


def inputs(root: Path) -> dict[str, BuildInputs]:
    """Return the inputs that plan hashes, by image."""
    catalog = App(root=root, output="json").catalog
    reader = ContextReader(Folder(root), catalog.versions)
    return {image.name: reader.inputs(image) for image in catalog.images}


def expected(before: Mapping[str, BuildInputs], after: Mapping[str, BuildInputs]) -> set[str]:
    """Return the images to rebuild: their inputs changed, or their parent is rebuilt."""
    found = {
        name
        for name, now in after.items()
        if (now.dockerfile, now.files) != (before[name].dockerfile, before[name].files)
    }
    return found | {name.replace("onb", "app") for name in found}


def reviewed(root: Path) -> set[str]:
    """Return the images that a review of the working tree lists as rebuilt."""
    with tempfile.TemporaryDirectory() as scratch:
        before, after = Snapshots(App(root=root, output="json"), Path(scratch), ("HEAD", "")).read()
        return {one.image for one in review(before, after).impact.rebuilt}


@settings(max_examples=20, deadline=None)
@given(catalog=CATALOGS, changes=st.lists(CHANGES, min_size=1, max_size=3))
def test_review_and_plan_agree_on_rebuilt_images(catalog: Catalog, changes: list[Change]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        make(root, catalog)
        before = inputs(root)
        assert reviewed(root) == set()
        for change in changes:
            change.apply(root)
            assert reviewed(root) == expected(before, inputs(root)), change
            repositories.git(root, "clean", "-qfd")
            repositories.git(root, "checkout", "-q", "-f", ".")
