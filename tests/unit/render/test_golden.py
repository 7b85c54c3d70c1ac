"""Golden catalogs: their committed Dockerfiles equal the rendered ones, byte for byte.

After an intended change, update them with `dfgen -C tests/unit/render/golden/NAME render`.
"""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from dfgen.catalog import load as loading
from dfgen.catalog import lockfile as locks
from dfgen.catalog.model import Image
from dfgen.commands.render import Change, Rendering, is_intact, render
from dfgen.filetree.files import all_dockerfiles
from dfgen.templating import TemplateOptions, Templates
from tests.unit.dockerfile.oracle import running_oracle

GOLDEN = Path(__file__).parent / "golden"
CATALOGS = sorted(path.name for path in GOLDEN.iterdir())


def _rendered(root: Path) -> Rendering:
    def templates_for(image: Image) -> Templates:
        options = image.family.jinja
        given = TemplateOptions(
            trim_blocks=options.trim_blocks,
            lstrip_blocks=options.lstrip_blocks,
            keep_trailing_newline=options.keep_trailing_newline,
        )
        return Templates(root / "templates", "templates", given, image.family.snippets)

    catalog = loading.load(root, Templates(root / "templates", "templates"))
    return render(catalog, catalog.images, locks.read(root), templates_for, all_dockerfiles(root, "bases"))


@pytest.mark.parametrize("name", CATALOGS)
def test_committed_dockerfiles_equal_rendered_ones(name: str) -> None:
    rendering = _rendered(GOLDEN / name)
    assert {file.path: file.new for file in rendering.files} == all_dockerfiles(GOLDEN / name, "bases")
    assert rendering.files
    assert {file.change for file in rendering.files} == {Change.NONE}
    assert rendering.waiting == ()


@pytest.mark.parametrize("name", CATALOGS)
def test_two_renders_are_byte_identical(name: str) -> None:
    one, other = _rendered(GOLDEN / name), _rendered(GOLDEN / name)
    assert [file.new for file in one.files] == [file.new for file in other.files]


@pytest.mark.parametrize("name", CATALOGS)
def test_a_golden_lock_has_the_format_that_dfgen_writes(name: str) -> None:
    path = GOLDEN / name / "bases" / "lock.json"
    assert locks.read(GOLDEN / name).to_text() == path.read_text(encoding="utf-8")


def test_buildkit_parses_every_golden_dockerfile_and_every_from_is_pinned() -> None:
    texts = {
        f"{name}/{path}": text
        for name in CATALOGS
        for path, text in all_dockerfiles(GOLDEN / name, "bases").items()
    }
    with running_oracle() as oracle:
        answers = oracle.parse_all(texts.values())
    for path, found in zip(texts, answers, strict=True):
        assert isinstance(found, list), f"{path}: {found}"
        assert found[0].keyword == "FROM", path
        for instruction in (one for one in found if one.keyword == "FROM"):
            assert "@sha256:" in instruction.words[0], path
            assert instruction.flags[0].startswith("--platform=linux/"), path


@pytest.mark.parametrize("version", ["3", "3-debug"])
def test_a_template_of_another_project_renders_as_with_plain_jinja(version: str) -> None:
    """Only its FROM line was adapted; Jinja2 without dfgen renders the same body."""
    root = GOLDEN / "plain-jinja"
    catalog = loading.load(root, Templates(root / "templates", "templates"))
    image = next(one for one in catalog.images if one.version == version)
    text = all_dockerfiles(root, "bases")[str(image.dockerfile)]
    assert is_intact(text)
    body = text[text.index("FROM ") :]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root / "templates"), keep_trailing_newline=True
    )
    parent = body.partition("\n")[0].removeprefix("FROM ")
    plain = environment.get_template(image.template).render(parent=parent, arch="amd64", **image.variables)
    assert plain == body
