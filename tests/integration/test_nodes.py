"""Two engines on one machine share the builds; an engine that is killed is removed from the run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from dfgen.oci.layout import Layout
from tests.integration.conftest import Work, read_back, record, states

sys.path.append(str(Path(__file__).parents[2] / "examples" / "demo"))
import home as demo_home  # the demo brings the second engine, as docs/how-to/several-machines.md says

pytestmark = pytest.mark.integration

ENGINE = Path(demo_home.__file__).with_name("engine.py")
ROOT = Path(__file__).parents[2]
NODE = "spare"
SHARED = f"[{{context: {NODE}, jobs: 1}}, {{context: default, jobs: 1}}]"
CATALOG = {
    "bases/catalog.yaml": f"registry: localhost\nbuilders: {{amd64: {SHARED}}}\n",
    "templates/slow.j2": "FROM {{ parent }}\nRUN sleep {{ seconds }}; echo {{ version }} > /version\n",
    "bases/slow/base.yaml": (
        "template: slow.j2\nparent: PARENT\nplatforms: [amd64]\nvariables: {seconds: 2}\n"
        "versions: ['1', '2']\ntests:\n  - run: cat /version\n"
    ),
}
BOTH = {"slow:1@amd64", "slow:2@amd64"}


def bring_up() -> None:
    subprocess.run([sys.executable, ENGINE, "up", "--node", NODE], check=True, capture_output=True)


def host() -> str:
    """The address of the second engine."""
    done = subprocess.run(["docker", "context", "inspect", NODE], check=True, capture_output=True, text=True)
    return str(json.loads(done.stdout)[0]["Endpoints"]["docker"]["Host"])


@pytest.fixture
def node() -> Iterator[int]:
    """Start the second engine; yields its process id."""
    bring_up()
    home = demo_home.find_home()
    yield demo_home.load_state(home).processes[f"node-{NODE}"].pid
    bring_up()


def used(work: Work) -> dict[str, str]:
    return {image["name"]: image["node"] for image in record(work)["images"]}


def wait_for(stream: IO[str], begun: set[str]) -> list[str]:
    """Read the progress until every image has reached its RUN; returns the lines."""
    lines: list[str] = []
    waiting = set(begun)
    while waiting:
        lines.append(stream.readline())
        assert lines[-1], "".join(lines)
        waiting -= {name for name in waiting if lines[-1].startswith(f"{name}: [2/2] RUN")}
    return lines


def test_two_engines_share_the_images_of_a_platform(work: Work, node: int) -> None:
    work.prepare(CATALOG)
    work.run("build")
    assert states(work) == dict.fromkeys(BOTH, "built")
    assert set(used(work).values()) == {NODE, "default"}


def test_builds_of_a_killed_engine_move_to_the_other(work: Work, node: int) -> None:
    work.prepare(
        {
            **CATALOG,
            "bases/slow/base.yaml": CATALOG["bases/slow/base.yaml"].replace("seconds: 2", "seconds: 8"),
        }
    )
    with subprocess.Popen(
        work.command("build"), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as building:
        assert building.stderr
        wait_for(building.stderr, BOTH)
        os.kill(node, signal.SIGKILL)
        _, rest = building.communicate(timeout=240)
    assert building.returncode == 0, rest
    assert f"node {NODE} no longer responds; its builds move to other nodes\n" in rest
    assert states(work) == dict.fromkeys(BOTH, "built")
    assert set(used(work).values()) == {"default"}


def test_if_the_only_engine_is_killed_the_error_names_it_and_the_next_run_resumes(
    work: Work, node: int
) -> None:
    quick = {
        "templates/quick.j2": "FROM {{ parent }}\nRUN echo quick > /quick\n",
        "bases/quick/base.yaml": "template: quick.j2\nparent: PARENT\nversions: ['1']\nplatforms: [amd64]\n",
    }
    alone = {"bases/catalog.yaml": f"registry: localhost\nbuilders: {{amd64: {{context: {NODE}}}}}\n"}
    work.prepare({**CATALOG, **quick, **alone})
    work.run("build", "quick")
    slow = work.root / "bases/slow/base.yaml"
    slow.write_text(slow.read_text().replace("seconds: 2", "seconds: 9").replace("['1', '2']", "['1']"))
    work.run("render")
    with subprocess.Popen(
        work.command("build"), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as building:
        assert building.stderr
        wait_for(building.stderr, {"slow:1@amd64"})
        os.kill(node, signal.SIGKILL)
        _, rest = building.communicate(timeout=240)
    assert building.returncode == 3, rest
    assert "Traceback" not in rest
    error = f"slow:1@amd64: no node is left to build linux/amd64; lost: {NODE} ("
    assert error in rest
    assert states(work) == {"quick:1@amd64": "up to date", "slow:1@amd64": "failed"}
    layout = Layout(work.root / "dist")
    assert sorted(layout.entries()) == ["quick:1", "quick:1-x86_64"]
    assert all(layout.is_intact(entry, deep=True) for entry in layout.entries().values())
    assert work.run("build", code=3).stderr.splitlines()[-1] == (
        f"cannot connect to the Docker engine at {host()}; start it, or select another one"
        " with `builders` in bases/catalog.yaml"
    )
    bring_up()
    work.run("build")
    assert states(work) == {"quick:1@amd64": "up to date", "slow:1@amd64": "built"}
    read_back(work.root / "dist", "slow:1")


def test_the_guide_to_a_second_builder_works_as_written(work: Work) -> None:
    guide = (ROOT / "docs/how-to/several-machines.md").read_text()
    section = guide[guide.index("## Simulate a second builder on one machine") :]
    blocks = dict(re.findall(r"```(sh|yaml)\n(.*?)```", section, re.DOTALL)[:2])
    shown = subprocess.run(
        ["bash", "-ec", blocks["sh"]], cwd=ROOT, capture_output=True, text=True, check=True, timeout=240
    )
    assert [line.split()[0] for line in shown.stdout.splitlines() if line.startswith(("default", NODE))] == [
        "default",
        NODE,
    ]
    registry = f"registry: {os.environ['DFGEN_DEMO_REGISTRY']}/dfgen-test\n"  # which answers
    work.prepare({**CATALOG, "bases/catalog.yaml": f"{registry}{blocks['yaml']}"})
    doctor = json.loads(work.run("--format", "json", "doctor").stdout)
    (said,) = (one["said"] for one in doctor if one["what"] == "platform linux/amd64")
    assert re.fullmatch(rf"native on node 'default' \(\S+\), native on node '{NODE}' \(\S+\)", said)
    work.run("build", "--no-cache")
    assert set(used(work).values()) == {NODE, "default"}
