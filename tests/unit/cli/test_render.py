"""`dfgen render` on files: what it writes, keeps and removes, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from tests.unit.catalogs import FAMILY, loaded, locked, write
from tests.unit.cli.run import dfgen

AMD64, ARM64 = (f"bases/app/1.0/Dockerfile_{arch}" for arch in ("amd64", "arm64"))
NEXT = {"templates/t.j2": "FROM {{ parent }}\nRUN next\n"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a catalog that is locked and not yet rendered."""
    catalog = loaded(tmp_path, FAMILY)
    return write(tmp_path, {LOCK_FILE: locked(catalog).to_text()})


@pytest.fixture
def rendered(root: Path) -> Path:
    assert dfgen("-C", root, "render").status == 0
    return root


def _state(root: Path) -> dict[str, tuple[int, int, bytes]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in files
    }


def test_the_files_are_written_and_named(root: Path) -> None:
    done = dfgen("-C", root, "render")
    assert (done.status, done.out) == (0, "")
    assert done.lines == [f"{AMD64}: new", f"{ARM64}: new", "2 of 2 Dockerfiles written, 0 unchanged"]
    assert (
        "\nFROM --platform=linux/arm64 docker.io/library/busybox:1.36@sha256:" in (root / ARM64).read_text()
    )


def test_what_is_unchanged_is_not_written(rendered: Path) -> None:
    before = _state(rendered)
    done = dfgen("-C", rendered, "render")
    assert (done.status, done.lines) == (0, ["0 of 2 Dockerfiles written, 2 unchanged"])
    assert _state(rendered) == before


def test_only_files_that_change_are_written(rendered: Path) -> None:
    write(rendered, {"templates/t.j2": "FROM {{ parent }}\n{% if arch == 'arm64' %}\nRUN x\n{% endif %}\n"})
    before = _state(rendered)
    done = dfgen("-C", rendered, "render")
    assert (done.status, done.lines) == (0, [f"{ARM64}: changed", "1 of 2 Dockerfiles written, 1 unchanged"])
    assert _state(rendered)[AMD64] == before[AMD64]


def test_only_what_is_selected_is_written(root: Path) -> None:
    done = dfgen("-C", root, "render", "app@aarch64")
    assert (done.status, done.lines) == (0, [f"{ARM64}: new", "1 of 1 Dockerfiles written, 0 unchanged"])
    assert not (root / AMD64).exists()


def test_a_selection_removes_nothing(rendered: Path) -> None:
    write(rendered, {"bases/app/0.9/Dockerfile_amd64": (rendered / AMD64).read_text()})
    assert dfgen("-C", rendered, "render", "app").lines == ["0 of 2 Dockerfiles written, 2 unchanged"]
    assert (rendered / "bases/app/0.9/Dockerfile_amd64").exists()


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_looking_writes_nothing_and_fails_on_any_difference(root: Path, option: str) -> None:
    before = _state(root)
    done = dfgen("-C", root, "render", option)
    assert done.status == 1
    assert done.lines == [
        f"{AMD64}: is missing; `dfgen render` writes it",
        f"{ARM64}: is missing; `dfgen render` writes it",
    ]
    assert _state(root) == before


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_looking_at_what_is_as_it_should_be(rendered: Path, option: str) -> None:
    done = dfgen("-C", rendered, "render", option)
    assert (done.status, done.out, done.err) == (0, "", "")


def test_one_changed_template_line_is_shown(rendered: Path) -> None:
    write(rendered, NEXT)
    done = dfgen("-C", rendered, "render", "--diff", "app@amd64")
    assert (done.status, done.lines) == (
        1,
        [f"{AMD64}: is not what the catalog renders; `dfgen render` writes it"],
    )
    diff = done.out.splitlines()
    assert diff[:2] == [f"--- a/{AMD64}", f"+++ b/{AMD64}"]
    assert [line for line in diff[2:] if line.startswith(("+", "-")) and "sha256" not in line] == [
        "+RUN next"
    ]


def test_check_shows_no_diff(rendered: Path) -> None:
    write(rendered, NEXT)
    assert dfgen("-C", rendered, "render", "--check").out == ""


def test_a_hand_edit_is_kept_and_told(rendered: Path) -> None:
    edited = (rendered / AMD64).read_text() + "RUN by hand\n"
    write(rendered, {AMD64: edited, **NEXT})
    done = dfgen("-C", rendered, "render")
    assert done.status == 1
    assert done.lines == [
        f"{ARM64}: changed",
        "1 of 2 Dockerfiles written, 0 unchanged",
        f"{AMD64}: was edited by hand; move the change to the template, then `dfgen render --force`",
    ]
    assert (rendered / AMD64).read_text() == edited


def test_a_foreign_file_is_kept_and_told(root: Path) -> None:
    write(root, {AMD64: "FROM mine\n"})
    done = dfgen("-C", root, "render")
    assert (done.status, done.lines[-1]) == (
        1,
        f"{AMD64}: stands where a generated file belongs, and dfgen did not write it;"
        " move the change to the template, then `dfgen render --force`",
    )
    assert (root / AMD64).read_text() == "FROM mine\n"


def test_a_file_that_is_no_text_is_a_foreign_file(root: Path) -> None:
    write(root, {AMD64: ""})
    (root / AMD64).write_bytes(b"FROM \xff\x00\n")
    done = dfgen("-C", root, "render", "--diff")
    assert done.status == 1
    assert "-FROM \ufffd\x00" in done.out.splitlines()
    assert dfgen("-C", root, "render").status == 1
    assert (root / AMD64).read_bytes() == b"FROM \xff\x00\n"


@pytest.mark.parametrize("text", ["FROM mine\n", None])
def test_force_overwrites(rendered: Path, text: str | None) -> None:
    now = (rendered / AMD64).read_text()
    write(rendered, {AMD64: text or now + "RUN by hand\n"})
    done = dfgen("-C", rendered, "render", "--force")
    assert (done.status, done.lines[-1]) == (0, "1 of 2 Dockerfiles written, 1 unchanged")
    assert (rendered / AMD64).read_text() == now


def test_files_of_versions_that_are_gone_are_removed_with_their_folder(rendered: Path) -> None:
    write(rendered, {"bases/app/base.yaml": FAMILY.replace("1.0", "2.0"), "bases/app/1.0/notes": "mine"})
    (rendered / "bases/app/1.0/notes").unlink()
    done = dfgen("-C", rendered, "render")
    assert done.status == 0
    assert done.lines[2:] == [
        f"{AMD64}: removed",
        f"{ARM64}: removed",
        "4 of 4 Dockerfiles written, 0 unchanged",
    ]
    assert not (rendered / "bases/app/1.0").exists()


def test_what_a_person_put_there_stays(rendered: Path) -> None:
    edited = (rendered / ARM64).read_text() + "RUN by hand\n"
    mine = {"bases/app/1.0/notes": "mine", "bases/app/1.0/Dockerfile_mine": "FROM mine\n", ARM64: edited}
    write(rendered, {"bases/app/base.yaml": FAMILY.replace("1.0", "2.0"), **mine})
    done = dfgen("-C", rendered, "render")
    assert done.status == 1
    assert not (rendered / AMD64).exists()
    assert {name: (rendered / name).read_text() for name in mine} == mine


def test_an_unpinned_parent_writes_nothing(root: Path) -> None:
    (root / LOCK_FILE).unlink()
    before = _state(root)
    done = dfgen("-C", root, "render")
    assert (done.status, done.lines[0]) == (
        2,
        "bases/app/base.yaml:2:9: parent docker.io/library/busybox:1.36 has no pin for linux/amd64 in"
        " bases/lock.json; run `dfgen lock`",
    )
    assert _state(root) == before


def test_a_broken_lock(root: Path) -> None:
    write(root, {LOCK_FILE: "<<<<<<< ours\n"})
    done = dfgen("-C", root, "render")
    assert (done.status, done.lines) == (
        2,
        [
            "bases/lock.json:1:1: invalid JSON (a merge conflict?): Expecting value; keep one side and run `dfgen lock`"
        ],
    )


def test_an_image_that_waits_for_a_family_is_named(root: Path) -> None:
    child = "template: t.j2\nparent: app:1.0\nversions: ['2']\nplatforms: [amd64]\n"
    write(root, {"bases/child/base.yaml": child})
    done = dfgen("-C", root, "render")
    assert (done.status, done.lines[-1]) == (
        0,
        "bases/child/2/Dockerfile_amd64: waits for app:1.0 to be built; `dfgen build` pins and renders it",
    )
    assert dfgen("-C", root, "render", "--check").status == 0


def test_a_place_where_nothing_can_be_written(root: Path) -> None:
    write(root, {"bases/app/1.0": "a file"})
    done = dfgen("-C", root, "render")
    assert (done.status, done.lines) == (3, [f"{root}/{AMD64}: cannot be written: Not a directory"])


def test_a_folder_where_a_file_belongs(root: Path) -> None:
    (root / AMD64).mkdir(parents=True)
    done = dfgen("-C", root, "render")
    assert (done.status, done.lines) == (3, [f"{root}/{AMD64}: cannot be read: Is a directory"])


def test_a_family_by_name_does_not_work_out_the_others(rendered: Path) -> None:
    other = FAMILY.replace("1.36", "{{ nothing }}")
    write(rendered, {"bases/other/base.yaml": other})
    assert dfgen("-C", rendered, "render", "app").lines == ["0 of 2 Dockerfiles written, 2 unchanged"]
    assert dfgen("-C", rendered, "render").status == 2
    write(rendered, {"bases/other/base.yaml": "versions: 1\n"})
    assert "bases/other/base.yaml:1" in dfgen("-C", rendered, "render", "app").err


def test_a_parent_that_the_catalog_does_not_have_is_told_for_a_family_by_name(rendered: Path) -> None:
    child = 'template: t.j2\nparent: "app:9"\nversions:\n  "1.0": {}\n'
    write(rendered, {"bases/child/base.yaml": child})
    done = dfgen("-C", rendered, "render", "child")
    assert (done.status, done.lines) == (2, dfgen("-C", rendered, "render").lines)
    assert "bases/child/base.yaml:2:9: " in done.err
