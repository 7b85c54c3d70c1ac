"""Two engines on one machine: they share the work, and one that is killed in the middle is taken out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.integration.conftest import Work, record, states

sys.path.append(str(Path(__file__).parents[2] / "examples" / "demo"))
import home as demo_home  # the demo brings the second engine, as the README says

pytestmark = pytest.mark.integration

ENGINE = Path(demo_home.__file__).with_name("engine.py")
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


@pytest.fixture
def node() -> Iterator[int]:
    """Bring up the second engine; gives its process id."""
    subprocess.run([sys.executable, ENGINE, "up", "--node", NODE], check=True, capture_output=True)
    home = demo_home.find_home()
    yield demo_home.load_state(home).processes[f"node-{NODE}"].pid
    subprocess.run([sys.executable, ENGINE, "up", "--node", NODE], check=True, capture_output=True)


def used(work: Work) -> dict[str, str]:
    return {image["name"]: image["node"] for image in record(work)["images"]}


def wait_for(stream: IO[str], begun: set[str]) -> list[str]:
    """Read the progress until every image is at its RUN; gives the lines."""
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


def test_an_engine_that_is_killed_in_the_middle_is_taken_out_and_its_work_done_elsewhere(
    work: Work, node: int
) -> None:
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
    assert f"the node {NODE} does not answer any more: its work goes elsewhere\n" in rest
    assert states(work) == dict.fromkeys(BOTH, "built")
    assert set(used(work).values()) == {"default"}
