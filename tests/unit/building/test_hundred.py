"""A catalog of 100 versions: changing a template rebuilds exactly the images that use it, and their children."""

from __future__ import annotations

from pathlib import Path

from dfgen.catalog.lockfile import LOCK_FILE
from dfgen.commands.building import build, plan_build
from dfgen.engine.nodes import Slots
from dfgen.workspace import Workspace
from tests.fakes.engine import ScriptedEngine
from tests.unit.catalogs import loaded, locked, write
from tests.unit.cli.run import dfgen
from tests.unit.models import AMD64, LOCAL

ONE, OTHER, LOWER = 50, 45, 5  # versions of each family


def versions(count: int) -> str:
    return ", ".join(f"'{number}'" for number in range(count))


FILES = {
    "bases/catalog.yaml": "registry: localhost\nplatforms: [amd64]\n",
    "templates/macros.j2": "{% macro clean() %}RUN true{% endmacro %}\n",
    "templates/one.j2": '{% from "macros.j2" import clean %}\nFROM {{ parent }}\n{{ clean() }}\n',
    "templates/other.j2": "FROM {{ parent }}\n",
    "bases/one/base.yaml": f"template: one.j2\nparent: docker.io/library/x:1\nversions: [{versions(ONE)}]\n",
    "bases/other/base.yaml": f"template: other.j2\nparent: docker.io/library/x:1\nversions: [{versions(OTHER)}]\n",
    # These alternate between the two families as parents.
    "bases/lower/base.yaml": "template: other.j2\nparent: one:7\nversions:\n"
    + "".join(f"  '{at}': {{parent: '{'one' if at % 2 else 'other'}:{at}'}}\n" for at in range(LOWER)),
}


def built(root: Path) -> dict[str, str]:
    """Build the catalog; returns each image that was built, with its reason in the plan."""
    workspace = Workspace(root)
    builder = workspace.engine = ScriptedEngine(workspace.layout)
    for name, path in ((one.name, root / one.path) for one in workspace.catalog.images):
        builder.content[name] = path.read_text() if path.exists() else ""
    plan, _ = plan_build(
        workspace.catalog.images, workspace.lock, workspace.planning, workspace.dockerfiles, locked=False
    )
    how = workspace.building(Slots({AMD64: (LOCAL,)}, {LOCAL: 2}), lambda _: None)
    run = build(plan, workspace.lock, how)
    assert run.exit_code == 0
    assert sorted(builder.built) == sorted(set(builder.built))
    return {name: step.why for step in plan.steps for name in builder.built if step.image.name == name}


def test_a_changed_template_rebuilds_the_images_that_use_it_and_their_children(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    catalog = loaded(tmp_path)
    families = [f"{name}:{at}" for name in ("one", "other") for at in range(ONE)]
    write(tmp_path, {LOCK_FILE: locked(catalog, *families).to_text()})
    assert dfgen("-C", tmp_path, "render").status == 0
    assert len(built(tmp_path)) == ONE + OTHER + LOWER == 100
    assert built(tmp_path) == {}

    macros = FILES["templates/macros.j2"].replace("RUN true", "RUN true && true")
    write(tmp_path, {"templates/macros.j2": macros})
    assert dfgen("-C", tmp_path, "render").status == 0
    assert built(tmp_path) == {
        **{f"one:{at}@amd64": "template changed: macros.j2" for at in range(ONE)},
        **{f"lower:{at}@amd64": f"parent rebuilt: one:{at}" for at in range(LOWER) if at % 2},
    }
    assert built(tmp_path) == {}
