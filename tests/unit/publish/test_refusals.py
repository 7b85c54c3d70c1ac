"""Publish refuses tags of other writers, immutable versions and versions that are incomplete in the layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.commands.publish import Publishing, check, plan, publish
from dfgen.commands.publish.ledger import Ledger
from dfgen.errors import CheckError, ExitCode
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import OCI_INDEX
from tests.fakes.images import AMD64, image, index_of
from tests.fakes.registry import FakeRegistry
from tests.unit.pairs import catalog_image, pair
from tests.unit.publish.conftest import Build, How, built, put, tags, writes

NAME = "team/java-base"
IMAGES = pair()


def foreign(fake: FakeRegistry, tag: str = "1.0") -> Digest:
    """Publish under a tag as another writer would."""
    made = image(AMD64, [b"another writer's"])
    fake.add_image(NAME, made)
    raw = index_of([made.descriptor])
    fake.add_manifest(NAME, raw, OCI_INDEX, tag)
    return Digest.of(raw)


def test_a_foreign_tag_is_not_overwritten_without_force(
    fake: FakeRegistry, build: Build, how: How, layout: Layout
) -> None:
    theirs = foreign(fake)
    build(IMAGES)
    options = how(IMAGES)
    releases = plan(IMAGES, options)
    with pytest.raises(CheckError) as caught:
        publish(releases, options)
    ours = tags(layout)["1.0"]
    target = f"{fake.address}/{NAME}:1.0"
    assert str(caught.value) == (
        f"{target}: not overwritten with {ours}: it has {theirs}, which dfgen did not publish;"
        f" check it with `dfgen inspect {target}`, and use --force to overwrite it"
    )
    assert caught.value.exit_code == ExitCode.CHECK_FAILED
    assert writes(fake) == []
    forced = how(IMAGES, force=True)
    publish(plan(IMAGES, forced), forced)
    assert fake.tags[NAME] == tags(layout)


def test_a_tag_that_another_writer_moved_is_refused(
    fake: FakeRegistry, build: Build, how: How, layout: Layout
) -> None:
    build(IMAGES)
    options = how(IMAGES)
    publish(plan(IMAGES, options), options)
    last = tags(layout)["1.0"]
    build(IMAGES, "new")
    theirs = foreign(fake)
    with pytest.raises(CheckError) as caught:
        check(plan(IMAGES, options))
    assert f"it has {theirs}, but dfgen last saw {last}; check it" in str(caught.value)


def test_without_a_ledger_the_annotation_identifies_own_images(
    fake: FakeRegistry, build: Build, how: How, layout: Layout, tmp_path: Path
) -> None:
    build(IMAGES)
    options = how(IMAGES)
    publish(plan(IMAGES, options), options)
    build(IMAGES, "new")
    fresh = how(IMAGES, ledger=Ledger(tmp_path / "another machine"))
    publish(plan(IMAGES, fresh), fresh)
    assert fake.tags[NAME] == tags(layout)


def test_the_ledger_takes_precedence_over_the_annotation(
    fake: FakeRegistry, build: Build, how: How, layout: Layout, tmp_path: Path
) -> None:
    build(IMAGES)
    options = how(IMAGES)
    publish(plan(IMAGES, options), options)
    last = tags(layout)["1.0"]
    build(IMAGES, "another machine's")
    other = how(IMAGES, ledger=Ledger(tmp_path / "another machine"))
    publish(plan(IMAGES, other), other)
    build(IMAGES, "new")
    with pytest.raises(CheckError, match=f"dfgen last saw {last}"):
        check(plan(IMAGES, options))


def test_own_tags_move(fake: FakeRegistry, build: Build, how: How, layout: Layout) -> None:
    build(IMAGES)
    options = how(IMAGES)
    publish(plan(IMAGES, options), options)
    build(IMAGES, "new")
    publish(plan(IMAGES, options), options)
    assert fake.tags[NAME] == tags(layout)


def test_an_immutable_version_never_moves(fake: FakeRegistry, build: Build, how: How, layout: Layout) -> None:
    images = pair(immutable=True)
    build(images)
    options = how(images, force=True)
    publish(plan(images, options), options)
    fake.forget()
    publish(plan(images, options), options)
    assert writes(fake) == []
    before = dict(fake.tags[NAME])
    build(images, "new")
    with pytest.raises(CheckError) as caught:
        publish(plan(images, options), options)
    assert str(caught.value).splitlines() == [
        f"{fake.address}/{NAME}:{tag}: not overwritten with {tags(layout)[tag]}: it has {before[tag]}"
        " and its version is immutable; publish under a new version"
        for tag in ("1.0-x86_64", "1.0-aarch64", "1.0")
    ]
    assert fake.tags[NAME] == before


def test_a_tag_that_moves_during_the_upload_is_not_overwritten(
    fake: FakeRegistry, build: Build, how: How, layout: Layout
) -> None:
    build(IMAGES)
    moved: list[Digest] = []

    def meanwhile(_total: int) -> None:
        moved.append(foreign(fake))

    options = how(IMAGES, total=meanwhile)
    published = publish(plan(IMAGES, options), options)
    assert published.done == ()
    assert str(published.failed) == (
        f"{fake.address}/{NAME}:1.0: not overwritten with {tags(layout)['1.0']}: the tag changed during"
        f" the upload (before: none, now: {moved[0]}); publish again"
    )
    assert fake.tags[NAME] == {"1.0": str(moved[0])}


def refused(images: object, options: Publishing) -> str:
    with pytest.raises(CheckError) as caught:
        plan(images, options)  # type: ignore[arg-type]
    return str(caught.value)


def test_only_complete_versions_are_published(
    fake: FakeRegistry, build: Build, how: How, layout: Layout
) -> None:
    options = how(IMAGES)
    fix = "; run `dfgen build java-base:1.0`"
    not_published = "java-base:1.0: not published: "
    assert refused(IMAGES, options) == f"{not_published}it is not merged in the layout{fix}"
    build(IMAGES)
    put(layout, built(IMAGES[1:], "new"))
    assert refused(IMAGES, options) == (
        f"{not_published}its index does not contain the latest build of java-base:1.0-aarch64{fix}"
    )
    more = [*IMAGES, catalog_image(type(AMD64).parse("s390x"))]
    assert refused(more, how(more)) == (
        f"{not_published}its index contains linux/amd64 and linux/arm64,"
        f" expected linux/amd64, linux/arm64 and linux/s390x{fix}"
    )
    layer = built(IMAGES)["java-base:1.0-x86_64"].manifest.layers[1]
    layout.blob_path(layer.digest).unlink()
    assert refused(IMAGES, options) == (
        f"{not_published}a part of it is missing or damaged in the layout{fix}"
    )
    layout.tag({"java-base:1.0": built(IMAGES)["java-base:1.0-aarch64"].descriptor})
    assert refused(IMAGES, options) == (
        f"{not_published}it is a single image in the layout, expected an index{fix}"
    )
    assert fake.count() == 0
