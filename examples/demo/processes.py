"""Start long-running processes, recognize them in a later run, and stop exactly those."""

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
    """The identity of a process. A pid alone is not enough, because the kernel reuses pids."""

    pid: int
    start: int
    """Start time in clock ticks after boot: /proc/PID/stat, field 22."""
    boot: str
    """The ID of that boot: /proc/sys/kernel/random/boot_id."""


def read_stat(text: str) -> tuple[str, int, int]:
    """Return state, parent pid and start time from the text of /proc/PID/stat.

    The second field is the program's name in parentheses; the name may contain blanks and parentheses.
    """
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[19])


def boot_id() -> str:
    """Return the ID of the current boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Process | None:
    """Return the running process with this pid; None if there is none or it is a zombie."""
    try:
        state, _, start = read_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else Process(pid=pid, start=start, boot=boot_id())


def is_running(process: Process | None) -> bool:
    """Return whether exactly this process is running, not another one with the same pid."""
    return process is not None and identify(process.pid) == process


def start(argv: Sequence[str], *, log: Path, environ: Mapping[str, str]) -> Process:
    """Start a long-running program in its own session; append its output to `log`."""
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
    # The child outlives this command on purpose; without this, Popen would issue a ResourceWarning.
    child.returncode = 0
    process = identify(child.pid)
    return process or Process(pid=child.pid, start=-1, boot=boot_id())


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` every 50 ms; return False if it does not hold within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal to exactly this process; do nothing if it is gone."""
    if is_running(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def stop(process: Process, *, seconds: float) -> None:
    """Stop a process with SIGTERM, or with SIGKILL if it is still running after `seconds`."""
    send(process, signal.SIGTERM)
    if not wait_until(lambda: not is_running(process), seconds):
        send(process, signal.SIGKILL)
        wait_until(lambda: not is_running(process), 5)


def all_pids() -> Iterator[int]:
    """Return the pids of all processes."""
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def program_of(pid: int) -> Path | None:
    """Return the executable of a process; None for a kernel thread or a process that is gone."""
    try:
        # The kernel appends this suffix when the file was replaced or deleted.
        return Path(str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)"))
    except OSError:
        return None


def running_below(folder: Path, name: str) -> list[Process]:
    """Return the processes whose executable is `name` below `folder`: helpers that an engine left behind."""
    found = []
    for pid in all_pids():
        program = program_of(pid)
        if program and program.name == name and program.is_relative_to(folder):
            found.append(identify(pid))
    return [process for process in found if process]


def children_of(parent: Process) -> list[Process]:
    """Return the running child processes of `parent`."""
    found = []
    for pid in all_pids():
        try:
            owner = read_stat(Path(f"/proc/{pid}/stat").read_text())[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if owner == parent.pid:
            found.append(identify(pid))
    return [process for process in found if process]
