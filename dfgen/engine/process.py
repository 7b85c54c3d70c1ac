"""Run external programs: read or stream their output, raise failures as errors, stop all of them at once."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from dfgen.errors import ExternalError

_TAIL = 1000  # last lines of output that an error keeps
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL


class CommandError(ExternalError):
    """A program failed, could not be started or timed out; `code` is None if it has no exit code."""

    def __init__(self, command: Sequence[str], code: int | None, output: str) -> None:
        """Keep the command, its exit code and output; the message shows the last line of the output."""
        self.command, self.code, self.output = tuple(command), code, output
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "no output")
        status = f"exit code {code}" if code is not None else "no exit code"
        super().__init__(f"`{shlex.join(command)}` failed ({status}): {last.strip()}")


class Processes:
    """Runs each program in its own process group, so that `stop` also ends its child processes."""

    def __init__(self, grace: float = _GRACE) -> None:
        """Set `grace`, the seconds between SIGTERM and SIGKILL."""
        self._grace = grace
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def read(self, command: Sequence[str], timeout: float = 60.0) -> str:
        """Run a program and return its stdout; `timeout` is in seconds.

        Raises CommandError if the program fails, cannot be started or times out.
        """
        process = self._start(command, subprocess.PIPE, {})
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.communicate()  # reaps the process and closes its pipes
            raise CommandError(command, None, f"timed out after {timeout:g} s") from None
        finally:
            self._forget(process)
        if process.returncode:
            raise CommandError(command, process.returncode, f"{output}\n{errors}".strip())
        return output

    def follow(
        self, command: Sequence[str], on_line: Callable[[str], None], environment: Mapping[str, str]
    ) -> None:
        """Run a program and call `on_line` with each line of stdout and stderr.

        Raises CommandError if the program fails or cannot be started.
        """
        process = self._start(command, subprocess.STDOUT, environment, prefix=_death_signal())
        tail: deque[str] = deque(maxlen=_TAIL)
        try:
            for line in process.stdout or ():
                tail.append(line.rstrip("\n"))
                on_line(tail[-1])
            process.wait()
        except BaseException:  # Ctrl-C, or an error in on_line: the program must not outlive this call
            _signal(process, signal.SIGKILL)
            raise
        finally:
            if process.stdout:
                process.stdout.close()
            process.wait()
            self._forget(process)
        if process.returncode:
            raise CommandError(command, process.returncode, "\n".join(tail))

    def stop(self) -> None:
        """End all running programs and their child processes; no program can be started afterwards."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _signal(process, signal.SIGTERM)
        for process in running:
            try:
                process.wait(self._grace)
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)

    def _start(
        self, command: Sequence[str], errors: int, environment: Mapping[str, str], prefix: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        # Starting and registering under one lock: `stop` either sees the program or prevents its start.
        with self._lock:
            if self._stopped:
                raise CommandError(command, None, "not started, because dfgen is stopping")
            try:
                process = subprocess.Popen(
                    [*prefix, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env={**os.environ, **environment},
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    # Its own session: Ctrl-C in the terminal reaches dfgen only, which then calls `stop`.
                    start_new_session=True,
                )
            except OSError as error:
                raise CommandError(command, None, f"{command[0]}: {error.strerror}") from error
            self._running.add(process)
            return process

    def _forget(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._running.discard(process)


def _death_signal() -> tuple[str, ...]:
    """Command prefix that ends the child when dfgen is killed (PR_SET_PDEATHSIG, Linux only).

    A killed dfgen cannot call `stop`. Empty if `setpriv` is not installed.
    """
    return ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    # A reaped process no longer has a process group; its id may belong to another process.
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
