"""Programs that succeed, fail, hang, or are ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dfgen.engine.process import CommandError, Processes
from dfgen.errors import ExitCode

WAIT = 20.0


def test_read_returns_stdout_only() -> None:
    assert Processes().read(["sh", "-c", "echo out; echo err >&2"]) == "out\n"


def test_an_error_has_the_command_the_exit_code_and_the_output() -> None:
    with pytest.raises(CommandError) as caught:
        Processes().read(["sh", "-c", "echo out; echo 'went wrong' >&2; exit 7"])
    error = caught.value
    assert error.command == ("sh", "-c", "echo out; echo 'went wrong' >&2; exit 7")
    assert (error.code, error.output.split("\n")) == (7, ["out", "", "went wrong"])
    shown = """`sh -c 'echo out; echo '"'"'went wrong'"'"' >&2; exit 7'`"""
    assert str(error) == f"{shown} failed (exit code 7): went wrong"
    assert error.exit_code == ExitCode.ENVIRONMENT


def test_a_failure_without_output() -> None:
    with pytest.raises(CommandError, match=r"^`false` failed \(exit code 1\): no output$"):
        Processes().read(["false"])


def test_a_missing_program() -> None:
    with pytest.raises(CommandError) as caught:
        Processes().read(["no-such-program", "x"])
    reason = "no-such-program: No such file or directory"
    assert str(caught.value) == f"`no-such-program x` failed (no exit code): {reason}"
    assert caught.value.code is None


def test_a_program_that_times_out_is_killed() -> None:
    with pytest.raises(CommandError) as caught:
        Processes().read(["sleep", "1000"], timeout=0.1)
    assert str(caught.value) == "`sleep 1000` failed (no exit code): timed out after 0.1 s"


def test_follow_reports_lines_of_both_streams() -> None:
    lines: list[str] = []
    Processes().follow(["sh", "-c", "echo one; echo $X >&2; printf three"], lines.append, {"X": "two"})
    assert lines == ["one", "two", "three"]


def test_follow_keeps_the_last_lines_for_the_error() -> None:
    lines: list[str] = []
    with pytest.raises(CommandError) as caught:
        Processes().follow(["sh", "-c", "seq 1 1500; exit 3"], lines.append, {})
    assert len(lines) == 1500
    assert caught.value.output.splitlines() == [str(n) for n in range(501, 1501)]
    assert str(caught.value) == "`sh -c 'seq 1 1500; exit 3'` failed (exit code 3): 1500"


def test_invalid_utf8_in_the_output_is_replaced() -> None:
    assert Processes().read(["printf", r"a\377b"]) == "a\N{REPLACEMENT CHARACTER}b"


def is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def follow_in_a_thread(
    processes: Processes, command: list[str]
) -> tuple[threading.Thread, list[str], list[str]]:
    lines: list[str] = []
    errors: list[str] = []
    ready = threading.Event()

    def on_line(line: str) -> None:
        lines.append(line)
        ready.set()

    def work() -> None:
        try:
            processes.follow(command, on_line, {})
        except CommandError as error:
            errors.append(str(error.code))

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(WAIT)
    return thread, lines, errors


def test_stop_ends_programs_and_their_children() -> None:
    processes = Processes()
    command = ["sh", "-c", "sleep 1000 & echo $!; wait"]
    thread, lines, errors = follow_in_a_thread(processes, command)
    processes.stop()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert errors == ["-15"]
    assert not is_alive(int(lines[0]))


def test_stop_kills_a_program_that_ignores_sigterm() -> None:
    processes = Processes(grace=0.1)
    program = (
        "import os, signal, time; signal.signal(15, signal.SIG_IGN);"
        "print(os.getpid(), flush=True); time.sleep(1000)"
    )
    thread, lines, errors = follow_in_a_thread(processes, [sys.executable, "-c", program])
    processes.stop()
    thread.join(WAIT)
    assert errors == ["-9"]
    assert not is_alive(int(lines[0]))


def test_a_program_ends_when_dfgen_is_killed() -> None:
    program = (
        "from dfgen.engine.process import Processes\n"
        "command = ['sh', '-c', 'echo $$; exec sleep 1000']\n"
        "Processes().follow(command, lambda line: print(line, flush=True), {})"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        pid = int(killed.stdout.readline())
        killed.kill()
    deadline = time.monotonic() + WAIT
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_program_starts_after_stop() -> None:
    processes = Processes()
    processes.stop()
    with pytest.raises(CommandError, match="not started, because dfgen is stopping"):
        processes.read(["true"])


def test_an_error_in_on_line_kills_the_program() -> None:
    pids: list[int] = []

    def on_line(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Processes().follow(["sh", "-c", "echo $$; sleep 1000"], on_line, {})
    assert not is_alive(pids[0])


def test_a_program_runs_in_its_own_process_group() -> None:
    own = os.getpgid(0)
    group = Processes().read([sys.executable, "-c", "import os; print(os.getpgid(0))"])
    assert int(group) != own
