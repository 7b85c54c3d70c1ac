"""Records of test images survive a killed process, and a later sweep finds them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dfgen.engine.cleanup import ImageRecord, ImageRecords, sweep
from dfgen.engine.nodes import Nodes
from tests.unit.engine.scripted import ScriptedProcesses

NAME = "localhost/dfgen-test:abc"
HOST = "unix:///nowhere/docker.sock"


def nodes(host: str = HOST) -> Nodes:
    context = [{"Name": "default", "Endpoints": {"docker": {"Host": host}}, "Storage": {"TLSPath": ""}}]
    return Nodes({}, ScriptedProcesses({"docker context inspect": json.dumps(context)}))


def orphans(root: Path) -> list[ImageRecord]:
    with ImageRecords(root).orphans() as found:
        return list(found)


def leave_orphan(root: Path) -> None:
    """Leave the record of a process that was killed while its image was in an engine."""
    program = (
        "import os, sys; from pathlib import Path; from dfgen.engine.cleanup import ImageRecords\n"
        f"with ImageRecords(Path(sys.argv[1])).create({NAME!r}, '', {HOST!r}): os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(root)], check=False)
    assert done.returncode == -9


def test_without_records_sweep_runs_no_command(tmp_path: Path) -> None:
    found = nodes()
    assert sweep(tmp_path, found).summary() == ""
    assert isinstance(found.processes, ScriptedProcesses)
    assert found.processes.commands == []
    assert list(tmp_path.iterdir()) == []


def test_a_record_with_a_running_owner_is_not_an_orphan(tmp_path: Path) -> None:
    with ImageRecords(tmp_path).create(NAME, "", HOST) as record:
        assert orphans(tmp_path) == []
        record.delete()
    assert list((tmp_path / ".tests").iterdir()) == []


def test_records_that_were_not_deleted_are_orphans(tmp_path: Path) -> None:
    with ImageRecords(tmp_path).create("localhost/dfgen-test:x", "node", "tcp://x") as undeleted:
        pass
    leave_orphan(tmp_path)
    path = tmp_path / ".tests" / "abc"
    assert orphans(tmp_path) == [ImageRecord(path, NAME, "", HOST), undeleted]


def test_only_one_process_at_a_time_gets_an_orphan(tmp_path: Path) -> None:
    leave_orphan(tmp_path)
    with ImageRecords(tmp_path).orphans() as found:
        assert len(found) == 1
        assert orphans(tmp_path) == []
    assert len(orphans(tmp_path)) == 1


def test_an_incomplete_record_is_deleted(tmp_path: Path) -> None:
    (tmp_path / ".tests").mkdir()
    (tmp_path / ".tests" / "abc").write_text('{"name": "loc')
    assert orphans(tmp_path) == []
    assert list((tmp_path / ".tests").iterdir()) == []


def test_a_record_stays_if_its_engine_is_unavailable(tmp_path: Path) -> None:
    with ImageRecords(tmp_path).create(NAME, "spare", HOST):
        pass
    swept = sweep(tmp_path, Nodes({}, ScriptedProcesses({"docker": (1, "context not found")})))
    assert swept.summary() == ""
    assert [str(problem) for problem in swept.problems] == [
        f"cannot remove {NAME}: builders: docker context 'spare' does not exist; list contexts with"
        " `docker context ls`, or create one with `docker context create`"
    ]
    assert len(orphans(tmp_path)) == 1


def test_another_engine_with_the_same_context_name_is_not_touched(tmp_path: Path) -> None:
    leave_orphan(tmp_path)
    (problem,) = sweep(tmp_path, nodes("unix:///other.sock")).problems
    assert str(problem) == (
        f"cannot remove {NAME}: it is in the engine at {HOST}, but node 'default' is now at unix:///other.sock"
    )
    assert len(orphans(tmp_path)) == 1
