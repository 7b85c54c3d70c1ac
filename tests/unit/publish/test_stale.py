"""Versions built from an older state of the catalog are refused unless --as-built is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dfgen.catalog.lockfile import LOCK_FILE
from dfgen.cli.app import App
from dfgen.commands import plan as planning
from dfgen.commands.merge import merge_layout
from dfgen.commands.plan.inputs import TESTS
from dfgen.errors import ExitCode
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import INPUTS, Descriptor
from tests.fakes.images import image
from tests.fakes.registry import FakeRegistry
from tests.unit.catalogs import write
from tests.unit.cli.run import Done, dfgen
from tests.unit.pairs import PARENT, pinned

NAME = "team/app"
BASE = f"template: t.j2\nparent: {PARENT}\nversions: ['1.0', '2.0']\n"
DOCKERFILE = "bases/app/1.0/Dockerfile_arm64"
REFUSED = "app:1.0: not published: it was built from an older state of the catalog"
FIX = "run `dfgen build app:1.0`, or publish it unchanged with --as-built"


@pytest.fixture
def root(tmp_path: Path, fake: FakeRegistry) -> Path:
    """A rendered catalog with an up-to-date layout."""
    settings = f"registry: {fake.address}/team\nplatforms: [amd64, arm64]\n"
    files = {"bases/catalog.yaml": settings, "bases/app/base.yaml": BASE, LOCK_FILE: pinned().to_text()}
    write(tmp_path, files)
    assert dfgen("-C", tmp_path, "render").status == ExitCode.SUCCESS
    app = App(root=tmp_path, output="table")
    layout = Layout(tmp_path / "dist")
    entries: dict[str, Descriptor | None] = {}
    for step in planning.plan(app.catalog.images, app.lock, app.planning).steps:
        assert step.inputs
        annotations = {INPUTS: str(step.inputs.digest)}
        made = image(step.image.platform, [step.image.name.encode()], annotations=annotations)
        entries[step.image.layout_name] = replace(made.put_into(layout), annotations=annotations)
    layout.tag(entries)
    assert merge_layout(layout, app.lock, app.catalog.versions).failed is None
    return tmp_path


def publish(root: Path, *words: str) -> Done:
    return dfgen("-C", root, "publish", *words)


def change(root: Path) -> None:
    path = root / DOCKERFILE
    path.write_text(path.read_text() + "RUN true\n")


def test_up_to_date_versions_are_published(root: Path, fake: FakeRegistry) -> None:
    done = publish(root)
    assert (done.status, done.lines) == (ExitCode.SUCCESS, ["2 of 2 versions changed"])
    assert set(fake.tags[NAME]) == {
        f"{ver}{arch}" for ver in ("1.0", "2.0") for arch in ("", "-x86_64", "-aarch64")
    }


def test_a_version_with_changed_inputs_is_refused_before_anything_is_written(
    root: Path, fake: FakeRegistry
) -> None:
    settings = root / "bases/catalog.yaml"
    settings.write_text(settings.read_text() + "source_date_epoch: 1\n")
    done = publish(root, "app:1.0@amd64")
    why = "; ".join(f"app:1.0@{arch}: inputs changed" for arch in ("amd64", "arm64"))
    assert done.status == ExitCode.CHECK_FAILED
    assert done.lines == [f"{REFUSED} ({why}); {FIX}"]
    assert fake.count("PUT") == 0


def test_a_version_with_a_changed_template_is_refused(root: Path, fake: FakeRegistry) -> None:
    template = root / "templates/t.j2"
    template.write_text(template.read_text() + "RUN true\n")
    done = publish(root, "app:1.0")
    why = "; ".join(f"app:1.0@{arch}: its Dockerfile is out of date" for arch in ("amd64", "arm64"))
    assert done.lines == [f"{REFUSED} ({why}); {FIX}"]
    assert fake.count("PUT") == 0


def test_a_version_that_did_not_pass_its_tests_is_refused(root: Path, fake: FakeRegistry) -> None:
    write(root, {"bases/app/base.yaml": f"{BASE}tests: [{{run: [java, -version]}}]\n"})
    done = publish(root, "app:1.0")
    assert done.status == ExitCode.CHECK_FAILED
    why = "app:1.0@amd64: not tested yet; app:1.0@arm64: not tested yet"
    assert done.lines == [f"{REFUSED} ({why}); {FIX}"]
    assert fake.tags == {}
    layout = Layout(root / "dist")
    layout.tag(
        {
            name: replace(entry, annotations={**entry.annotations, TESTS: str(Digest.of(b"others"))})
            for name, entry in layout.entries().items()
        }
    )
    assert publish(root, "app:1.0").lines == [
        f"{REFUSED} ({why.replace('not tested yet', 'smoke tests changed')}); {FIX}"
    ]


def test_a_dry_run_shows_the_tags_and_the_refusal(root: Path, fake: FakeRegistry) -> None:
    change(root)
    done = publish(root, "--dry-run")
    assert done.status == ExitCode.CHECK_FAILED
    assert len(done.out.splitlines()) == 7
    assert done.lines == [f"{REFUSED} (app:1.0@arm64: its Dockerfile is out of date); {FIX}"]
    assert publish(root, "--dry-run", "app:2.0").status == ExitCode.SUCCESS


def test_as_built_publishes_a_stale_version(root: Path, fake: FakeRegistry) -> None:
    change(root)
    done = publish(root, "--as-built", "app:1.0")
    assert (done.status, done.lines) == (ExitCode.SUCCESS, ["1 of 1 version changed"])
    assert set(fake.tags[NAME]) == {"1.0", "1.0-x86_64", "1.0-aarch64"}


def test_several_registries_give_one_refusal_per_version(root: Path, fake: FakeRegistry) -> None:
    change(root)
    done = publish(root, "app:1.0", *(f"--registry={fake.address}/{name}" for name in ("a", "b")))
    assert len(done.lines) == 1
