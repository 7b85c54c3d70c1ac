"""Processes that the demo started: starting them, knowing them again, and ending exactly them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that is known again: the same pid, started at the same tick of the same boot."""

    pid: int
    start: int
    """Clock ticks between the machine's boot and the process's start: /proc/PID/stat, field 22."""
    boot: str
    """The boot that `start` counts from: /proc/sys/kernel/random/boot_id."""


def read_stat(text: str) -> tuple[str, int, int]:
    """The state, parent pid and start time of a /proc/PID/stat line.

    The second field is the program's name in parentheses, which may itself hold blanks and parentheses.
    """
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[19])


def boot_id() -> str:
    """The identity of the machine's present boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Process | None:
    """The running process with that pid; None when there is none, or only a zombie of it."""
    try:
        state, _, start = read_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else Process(pid=pid, start=start, boot=boot_id())


def is_running(process: Process | None) -> bool:
    """Whether exactly this process still runs, not another one that was given its pid."""
    return process is not None and identify(process.pid) == process


def start(argv: Sequence[str], *, log: Path, environ: Mapping[str, str]) -> Process:
    """Starts a long-lived program in a session of its own, with its output appended to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environ),
            cwd="/",
            start_new_session=True,
        )
    # The child is meant to outlive this command; without this, its end would be warned about.
    child.returncode = 0
    process = identify(child.pid)
    return process or Process(pid=child.pid, start=-1, boot=boot_id())


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Asks `true` every 50 ms until it says so; False when it does not within `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def send(process: Process, number: signal.Signals) -> None:
    """Sends a signal to exactly this process; does nothing when it is gone."""
    if is_running(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def stop(process: Process, *, seconds: float) -> None:
    """Ends a process: asks it first, and kills it when it is still there after `seconds`."""
    send(process, signal.SIGTERM)
    if not wait_until(lambda: not is_running(process), seconds):
        send(process, signal.SIGKILL)
        wait_until(lambda: not is_running(process), 5)


def all_pids() -> Iterator[int]:
    """The pids of the machine's processes."""
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def program_of(pid: int) -> Path | None:
    """The program file that a process runs; None for a kernel thread or a process that is gone."""
    try:
        # The suffix: its file was replaced since.
        return Path(str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)"))
    except OSError:
        return None


def running_below(folder: Path, name: str) -> list[Process]:
    """The processes that run the program `name` of `folder`: the helpers that an engine left behind."""
    found = []
    for pid in all_pids():
        program = program_of(pid)
        if program and program.name == name and program.is_relative_to(folder):
            found.append(identify(pid))
    return [process for process in found if process]


def children_of(parent: Process) -> list[Process]:
    """The processes that `parent` started and that still are its children."""
    found = []
    for pid in all_pids():
        try:
            owner = read_stat(Path(f"/proc/{pid}/stat").read_text())[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if owner == parent.pid:
            found.append(identify(pid))
    return [process for process in found if process]
