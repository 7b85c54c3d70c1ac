"""What smoke tests have in engines is on record for as long as it is there, whoever ends in between."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dfgen.engine.cleanup import Trace, Traces, sweep
from dfgen.engine.nodes import Nodes
from tests.unit.outside.scripted import ScriptedProcesses

NAME = "localhost/dfgen-test:abc"
HOST = "unix:///nowhere/docker.sock"


def nodes(host: str = HOST) -> Nodes:
    context = [{"Name": "default", "Endpoints": {"docker": {"Host": host}}, "Storage": {"TLSPath": ""}}]
    return Nodes({}, ScriptedProcesses({"docker context inspect": json.dumps(context)}))


def orphans(root: Path) -> list[Trace]:
    with Traces(root).orphans() as found:
        return list(found)


def killed(root: Path) -> None:
    """Leave what a process leaves that was killed while an image was in an engine."""
    program = (
        "import os, sys; from pathlib import Path; from dfgen.engine.cleanup import Traces\n"
        f"with Traces(Path(sys.argv[1])).begun({NAME!r}, '', {HOST!r}): os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(root)], check=False)
    assert done.returncode == -9


def test_without_any_there_is_nothing_to_sweep_and_nothing_is_asked(tmp_path: Path) -> None:
    found = nodes()
    assert sweep(tmp_path, found).told() == ""
    assert isinstance(found.processes, ScriptedProcesses)
    assert found.processes.commands == []
    assert list(tmp_path.iterdir()) == []


def test_what_has_a_living_owner_is_no_orphan_and_what_ended_is_gone(tmp_path: Path) -> None:
    with Traces(tmp_path).begun(NAME, "", HOST) as trace:
        assert orphans(tmp_path) == []
        trace.end()
    assert list((tmp_path / ".tests").iterdir()) == []


def test_what_could_not_be_ended_or_whose_owner_was_killed_is_an_orphan(tmp_path: Path) -> None:
    with Traces(tmp_path).begun("localhost/dfgen-test:x", "node", "tcp://x") as unended:
        pass
    killed(tmp_path)
    path = tmp_path / ".tests" / "abc"
    assert orphans(tmp_path) == [Trace(path, NAME, "", HOST), unended]


def test_an_orphan_is_found_by_one_at_a_time(tmp_path: Path) -> None:
    killed(tmp_path)
    with Traces(tmp_path).orphans() as found:
        assert len(found) == 1
        assert orphans(tmp_path) == []
    assert len(orphans(tmp_path)) == 1


def test_one_that_was_killed_before_it_said_anything_had_begun_nothing(tmp_path: Path) -> None:
    (tmp_path / ".tests").mkdir()
    (tmp_path / ".tests" / "abc").write_text('{"name": "loc')
    assert orphans(tmp_path) == []
    assert list((tmp_path / ".tests").iterdir()) == []


def test_what_is_in_an_engine_that_cannot_be_asked_is_swept_another_time(tmp_path: Path) -> None:
    with Traces(tmp_path).begun(NAME, "spare", HOST):
        pass
    swept = sweep(tmp_path, Nodes({}, ScriptedProcesses({"docker": (1, "context not found")})))
    assert swept.told() == ""
    assert [str(problem) for problem in swept.problems] == [
        f"{NAME} is not removed: builders: there is no docker context 'spare'; `docker context ls` lists them,"
        " `docker context create` makes one"
    ]
    assert len(orphans(tmp_path)) == 1


def test_another_engine_under_the_same_name_is_left_alone(tmp_path: Path) -> None:
    killed(tmp_path)
    (problem,) = sweep(tmp_path, nodes("unix:///other.sock")).problems
    assert str(problem) == (
        f"{NAME} is not removed: it is in the engine at {HOST}, and default is now the one at unix:///other.sock"
    )
    assert len(orphans(tmp_path)) == 1
