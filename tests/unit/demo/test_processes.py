"""A process is stopped only if it is the recorded one."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
from processes import Process


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = processes.start(["sleep", "60"], log=tmp_path / "log", environ=os.environ)
    yield process
    processes.stop(process, seconds=5)


def test_a_program_name_may_contain_blanks_and_parentheses() -> None:
    rest = "S 7 " + " ".join(str(number) for number in range(5, 23)) + " 23 24"
    assert processes.read_stat(f"42 (a) R 1 (b) {rest}") == ("S", 7, 22)


def test_the_current_process_is_recognized() -> None:
    process = processes.identify(os.getpid())
    assert process is not None
    assert processes.is_running(process)


@pytest.mark.parametrize("change", [{"start": 1}, {"boot": "another"}])
def test_another_process_with_the_same_pid_is_left_alone(sleeper: Process, change: dict[str, object]) -> None:
    other = dataclasses.replace(sleeper, **change)
    assert not processes.is_running(other)
    processes.stop(other, seconds=0)
    processes.send(other, signal.SIGKILL)
    assert processes.is_running(sleeper)


def test_a_process_that_is_gone_is_not_running() -> None:
    assert not processes.is_running(None)
    assert processes.identify(2**22 + 1) is None


def test_a_process_is_stopped(sleeper: Process) -> None:
    processes.stop(sleeper, seconds=5)
    assert not processes.is_running(sleeper)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    log = tmp_path / "log"
    process = processes.start([sys.executable, "-c", script], log=log, environ=os.environ)
    assert processes.wait_until(lambda: "on" in log.read_text(), 10)
    processes.stop(process, seconds=0.1)
    assert not processes.is_running(process)


def test_a_process_starts_in_its_own_session_and_writes_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import os; print(os.getsid(0) == os.getpid(), os.getcwd(), os.environ['A'])"
    processes.start([sys.executable, "-c", script], log=log, environ={"A": "b"})
    assert processes.wait_until(lambda: log.read_text() == "True / b\n", 10)


def test_helpers_are_found_by_program_and_folder(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "helper"
    program.parent.mkdir()
    program.write_bytes(Path("/usr/bin/sleep").read_bytes())
    program.chmod(0o755)
    process = processes.start([str(program), "60"], log=tmp_path / "log", environ=os.environ)
    assert processes.wait_until(lambda: processes.running_below(tmp_path, "helper") == [process], 10)
    program.rename(tmp_path / "kept")
    (tmp_path / "kept").unlink()
    assert processes.running_below(tmp_path, "kept") == [process], (
        "it is still running although its file is gone"
    )
    assert processes.running_below(tmp_path, "other") == []
    assert processes.running_below(tmp_path / "elsewhere", "kept") == []
    processes.stop(process, seconds=5)


def test_children_are_found(sleeper: Process) -> None:
    own = processes.identify(os.getpid())
    assert own is not None
    assert sleeper in processes.children_of(own)
    assert processes.children_of(sleeper) == []


def test_waiting_times_out() -> None:
    polled: list[int] = []
    assert not processes.wait_until(lambda: polled.append(1) is not None, 0.1)
    assert polled
