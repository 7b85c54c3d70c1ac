"""What rendering does to each file, and what it refuses to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog
from dfgen.commands.render import Change, Rendering, render
from dfgen.errors import InputError
from dfgen.oci.digest import Digest
from dfgen.templating import Templates
from tests.unit.catalogs import FAMILY, loaded, locked

DIGEST = f"sha256:{'a' * 64}"
AMD64 = FAMILY + "platforms: [amd64]\n"
PATH = "bases/app/1.0/Dockerfile_amd64"
STAGES = "parents:\n  tool: docker.io/library/alpine:3\n  cross: {image: 'docker.io/library/golang:1', platform: arm64}\n"


def _render(catalog: Catalog, existing: dict[str, str] | None = None, lock: Lock | None = None) -> Rendering:
    templates = Templates(catalog.root / "templates", "templates")
    pins = locked(catalog) if lock is None else lock
    return render(catalog, catalog.images, pins, lambda _: templates, existing or {})


def _refused(root: Path, template: str, base: str = AMD64) -> list[str]:
    with pytest.raises(InputError) as caught:
        _render(loaded(root, base, **{"templates/t.j2": template}))
    return str(caught.value).splitlines()


def test_a_missing_file_is_new(tmp_path: Path) -> None:
    (file,) = _render(loaded(tmp_path, AMD64)).files
    assert (file.path, file.change, file.old) == (PATH, Change.NEW, None)
    assert str(file.problem) == f"{PATH}: is missing; `dfgen render` writes it"


@pytest.fixture
def generated(tmp_path: Path) -> str:
    return _render(loaded(tmp_path, AMD64)).files[0].new or ""


def test_a_file_as_it_should_be_is_unchanged(tmp_path: Path, generated: str) -> None:
    rendering = _render(loaded(tmp_path, AMD64), {PATH: generated})
    assert [file.change for file in rendering.files] == [Change.NONE]
    assert (rendering.differing, rendering.writable(force=True)) == ((), ())


@pytest.mark.parametrize(
    ("edit", "change", "problem"),
    [
        (lambda text: text, Change.CHANGED, "is not what the catalog renders; `dfgen render` writes it"),
        (
            lambda text: text + "RUN x\n",
            Change.EDITED,
            "was edited by hand; move the change to the template, then `dfgen render --force`",
        ),
        (
            lambda _: "FROM x\n",
            Change.FOREIGN,
            "stands where a generated file belongs, and dfgen did not write it; move the change to the template, then"
            " `dfgen render --force`",
        ),
    ],
)
def test_a_file_that_differs(
    tmp_path: Path, generated: str, edit: object, change: Change, problem: str
) -> None:
    old = edit(generated)  # type: ignore[operator]
    catalog = loaded(tmp_path, AMD64, **{"templates/t.j2": "FROM {{ parent }}\nRUN new\n"})
    rendering = _render(catalog, {PATH: old})
    (file,) = rendering.differing
    assert (file.change, str(file.problem)) == (change, f"{PATH}: {problem}")
    assert rendering.writable(force=True) == (file,)
    assert rendering.writable(force=False) == ((file,) if change is Change.CHANGED else ())


def test_a_hand_edit_that_is_what_is_rendered_now_is_no_difference(tmp_path: Path) -> None:
    catalog = loaded(tmp_path, AMD64, **{"templates/t.j2": "FROM {{ parent }}\nRUN new\n"})
    now = _render(catalog).files[0].new or ""
    assert _render(catalog, {PATH: now}).differing == ()


def test_files_of_versions_that_are_gone(tmp_path: Path, generated: str) -> None:
    existing = {
        PATH: generated,
        "bases/app/0.9/Dockerfile_amd64": generated,
        "bases/app/0.9/Dockerfile_arm64": generated + "# edited\n",
        "bases/app/0.9/Dockerfile_mine": "FROM x\n",
        "bases/gone/1/Dockerfile_amd64": generated,
    }
    rendering = _render(loaded(tmp_path, AMD64), existing)
    assert [(file.path, file.change, file.new) for file in rendering.differing] == [
        ("bases/app/0.9/Dockerfile_amd64", Change.REMOVED, None),
        ("bases/app/0.9/Dockerfile_arm64", Change.EDITED, None),
        ("bases/gone/1/Dockerfile_amd64", Change.REMOVED, None),
    ]
    assert str(rendering.differing[0].problem) == (
        "bases/app/0.9/Dockerfile_amd64: belongs to no version any more; `dfgen render` removes it"
    )
    assert [file.path for file in rendering.writable(force=False)] == [
        "bases/app/0.9/Dockerfile_amd64",
        "bases/gone/1/Dockerfile_amd64",
    ]


def test_the_difference_is_a_unified_diff(tmp_path: Path, generated: str) -> None:
    catalog = loaded(tmp_path, AMD64, **{"templates/t.j2": "FROM {{ parent }}\nRUN new\n"})
    diff = list(_render(catalog, {PATH: generated}).files[0].diff())
    assert diff[:2] == [f"--- a/{PATH}", f"+++ b/{PATH}"]
    assert diff[-1] == "+RUN new"
    new = list(_render(catalog).files[0].diff())
    assert new[:2] == ["--- /dev/null", f"+++ b/{PATH}"]
    gone = list(_render(catalog, {"bases/x/1/Dockerfile_amd64": generated}).files[-1].diff())
    assert gone[:2] == ["--- a/bases/x/1/Dockerfile_amd64", "+++ /dev/null"]


def test_a_parent_without_a_pin(tmp_path: Path) -> None:
    catalog = loaded(tmp_path, FAMILY + STAGES)
    lock = locked(catalog, "docker.io/library/busybox:1.36", "docker.io/library/golang:1")
    with pytest.raises(InputError) as caught:
        _render(catalog, lock=lock)
    mend = "in bases/lock.json; run `dfgen lock`"
    assert str(caught.value).splitlines() == [
        f"bases/app/base.yaml:2:9: parent docker.io/library/busybox:1.36 has no pin for linux/amd64 {mend}",
        f"bases/app/base.yaml:6:10: parent docker.io/library/golang:1 has no pin for linux/arm64 {mend}",
        f"bases/app/base.yaml:2:9: parent docker.io/library/busybox:1.36 has no pin for linux/arm64 {mend}",
    ]


def test_an_image_waits_for_a_family_that_is_not_built(tmp_path: Path) -> None:
    child = "template: t.j2\nparent: app:1.0\nversions: ['2']\nplatforms: [amd64]\n"
    catalog = loaded(tmp_path, AMD64, child=child)
    there = {"bases/child/2/Dockerfile_amd64": "FROM x\n"}
    rendering = _render(catalog, there, locked(catalog, "app:1.0"))
    assert [file.path for file in rendering.files] == [PATH]
    assert [image.name for image in rendering.waiting] == ["child:2@amd64"]


DECLARE = "which is not pinned; declare it in bases/app/base.yaml and write"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("FROM busybox:1.36", f"FROM takes 'busybox:1.36' (line 7 of Dockerfile_amd64), {DECLARE} {{{{ parent }}}}"),
        ("FROM docker.io/library/busybox:1.36", f"FROM takes 'docker.io/library/busybox:1.36' (line 7 of Dockerfile_amd64), {DECLARE} {{{{ parent }}}}"),
        (f"FROM busybox@{DIGEST}", f"FROM takes 'busybox@{DIGEST}' (line 7 of Dockerfile_amd64), {DECLARE} {{{{ parent }}}}"),
        ("FROM $BASE", f"FROM takes '$BASE' (line 7 of Dockerfile_amd64), {DECLARE} {{{{ parent }}}}"),
        ("FROM later AS now\nFROM {{ parent }} AS later", f"FROM takes 'later' (line 7 of Dockerfile_amd64), {DECLARE} {{{{ parent }}}}"),
        ("COPY --from=busybox /a /b", f"COPY takes 'busybox' (line 7 of Dockerfile_amd64), {DECLARE} {{{{ parent.reference }}}}"),
        ("COPY --from=7 /a /b", f"COPY takes '7' (line 7 of Dockerfile_amd64), {DECLARE} {{{{ parent.reference }}}}"),
        ("RUN --mount=type=bind,from=busybox:1,target=/x y", f"RUN takes 'busybox:1' (line 7 of Dockerfile_amd64), {DECLARE} {{{{ parent.reference }}}}"),
        ("ONBUILD COPY --from=busybox /a /b", f"COPY takes 'busybox' (line 7 of Dockerfile_amd64), {DECLARE} {{{{ parent.reference }}}}"),
        ("FROM {{ parent.reference }}", "FROM docker.io/library/busybox:1.36@sha256:<pin> lacks --platform=linux/amd64; write FROM {{ parent }}"),
        ("FROM --platform=$BUILDPLATFORM {{ parent.reference }}", "FROM docker.io/library/busybox:1.36@sha256:<pin> lacks --platform=linux/amd64; write FROM {{ parent }}"),
    ],
)  # fmt: skip
def test_an_image_that_is_not_pinned_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (found,) = _refused(tmp_path, f"FROM {{{{ parent }}}} AS first\n{line}\n")
    pin = Digest.of(b"docker.io/library/busybox:1.36 linux/amd64")
    assert found.replace(str(pin), "sha256:<pin>") == f"templates/t.j2: {message}"


def test_every_stage_that_may_be_written_is_named(tmp_path: Path) -> None:
    template = "FROM x\nCOPY --from=y /a /b\nFROM {{ parents.cross.reference }}\nFROM {{ parent }}\n"
    (start, copy, platform) = _refused(tmp_path, template, AMD64 + STAGES)
    assert start.endswith("write {{ parent }}, {{ parents.tool }} and {{ parents.cross }}")
    assert copy.endswith(
        "write {{ parent.reference }}, {{ parents.tool.reference }} and {{ parents.cross.reference }}"
    )
    assert platform.endswith(" lacks --platform=linux/arm64; write FROM {{ parents.cross }}")


@pytest.mark.parametrize(
    "template",
    [
        "FROM {{ parent }} AS a\nFROM a\nFROM A AS b\nCOPY --from=a /x /y\nCOPY --from=0 /x /y\n",
        "FROM scratch\nCOPY --from={{ parent.reference }} /x /y\n",
        "FROM {{ parent }}\nRUN --mount=type=bind,from={{ parents.tool.reference }},target=/t true\n",
        "FROM {{ parents.cross }} AS cross\nFROM {{ parent }}\nCOPY --from=cross /x /y\n",
        "FROM {{ parent }}\nRUN --mount=type=cache,target=/t true\nCOPY . .\n",
    ],
)
def test_stages_and_pinned_images_are_fine(tmp_path: Path, template: str) -> None:
    catalog = loaded(tmp_path, AMD64 + STAGES, **{"templates/t.j2": template})
    assert [file.change for file in _render(catalog).files] == [Change.NEW]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("# nothing\n", f"{PATH}: has no instructions; a Dockerfile begins with FROM"),
        ("", f"{PATH}: has no instructions; a Dockerfile begins with FROM"),
        ("FROM {{ parent }}\nRUN {{ no }}\n", "templates/t.j2:2: 'no' is not defined"),
        ("FROM {{ parent }}\n{% if %}\n", "templates/t.j2:2: Expected an expression, got 'end of statement block'"),
    ],
)  # fmt: skip
def test_what_a_template_gets_wrong(tmp_path: Path, template: str, message: str) -> None:
    assert _refused(tmp_path, template) == [message]


def test_a_line_that_buildkit_does_not_read(tmp_path: Path) -> None:
    longest = 65_535 - len("RUN é") - 1  # bytes, and é has two
    catalog = loaded(tmp_path, AMD64, **{"templates/t.j2": f"FROM {{{{ parent }}}}\nRUN é{'x' * longest}\n"})
    assert _render(catalog).files[0].change is Change.NEW
    assert _refused(tmp_path, f"FROM {{{{ parent }}}}\n# é{'x' * (longest + 3)}\n") == [
        f"{PATH}:7: the line has 65,536 bytes; BuildKit reads 65,535 at most"
    ]


def test_the_problems_of_all_images_are_told_at_once(tmp_path: Path) -> None:
    found = _refused(tmp_path, "FROM {{ parent }}\nFROM x{{ arch }}\n", FAMILY)
    assert [line.partition(" (")[0] for line in found] == [
        "templates/t.j2: FROM takes 'xamd64'",
        "templates/t.j2: FROM takes 'xarm64'",
    ]
