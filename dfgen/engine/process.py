"""Programs that dfgen runs: their output line by line, their failure as an error, one end for all."""

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

from dfgen.errors import OutsideError

_KEPT = 100  # lines of output that an error keeps
_GRACE = 5.0  # seconds between the request to end and the order


class CommandError(OutsideError):
    """A program that failed, could not be started or did not answer; `code` is None where it has none."""

    def __init__(self, command: Sequence[str], code: int | None, output: str) -> None:
        """Keep the command, its exit code and its output; the message has the last line of it."""
        self.command, self.code, self.output = tuple(command), code, output
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "no output")
        status = f"exit code {code}" if code is not None else "it did not end by itself"
        super().__init__(f"`{shlex.join(command)}` failed ({status}): {last.strip()}")


class Processes:
    """Runs programs, each in a process group of its own, so that `stop` ends them with their children."""

    def __init__(self, grace: float = _GRACE) -> None:
        """Take the seconds between the request to end and the order."""
        self._grace = grace
        self._guard = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def read(self, command: Sequence[str], timeout: float = 60.0) -> str:
        """Run a program and return its standard output. Errors: CommandError; `timeout` is in seconds."""
        process = self._start(command, subprocess.PIPE, {})
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(process, signal.SIGKILL)
            process.communicate()
            raise CommandError(command, None, f"no answer within {timeout:g} s") from None
        finally:
            self._forget(process)
        if process.returncode:
            raise CommandError(command, process.returncode, f"{output}\n{errors}".strip())
        return output

    def follow(
        self, command: Sequence[str], on_line: Callable[[str], None], environment: Mapping[str, str]
    ) -> None:
        """Run a program and hand over each line of both its streams. Errors: CommandError."""
        process = self._start(command, subprocess.STDOUT, environment, leash=_leash())
        kept: deque[str] = deque(maxlen=_KEPT)
        try:
            for line in process.stdout or ():
                kept.append(line.rstrip("\n"))
                on_line(kept[-1])
            process.wait()
        except BaseException:  # Ctrl-C, and whatever the one who listens raises
            _end(process, signal.SIGKILL)
            raise
        finally:
            if process.stdout:
                process.stdout.close()
            process.wait()
            self._forget(process)
        if process.returncode:
            raise CommandError(command, process.returncode, "\n".join(kept))

    def stop(self) -> None:
        """End everything that runs, with all that it started; nothing can be started afterwards."""
        with self._guard:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _end(process, signal.SIGTERM)
        for process in running:
            try:
                process.wait(self._grace)
            except subprocess.TimeoutExpired:
                _end(process, signal.SIGKILL)

    def _start(
        self, command: Sequence[str], errors: int, environment: Mapping[str, str], leash: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        with self._guard:
            if self._stopped:
                raise CommandError(command, None, "stopped before it began")
            try:
                process = subprocess.Popen(
                    [*leash, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env={**os.environ, **environment},
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
            except OSError as error:
                raise CommandError(command, None, f"{command[0]}: {error.strerror}") from error
            self._running.add(process)
            return process

    def _forget(self, process: subprocess.Popen[str]) -> None:
        with self._guard:
            self._running.discard(process)


def _leash() -> tuple[str, ...]:
    """What makes a program end when dfgen is killed, which leaves it no time for `stop`; Linux has it."""
    return ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()


def _end(process: subprocess.Popen[str], how: signal.Signals) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
