"""The command line: each module parses arguments, calls dfgen.commands, and prints the result."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default with the arguments of the process, and exit with its status.

    Errors that a user can cause are printed to stderr, one line per problem, without a traceback.
    """
    # CI systems cancel a job with SIGTERM: clean up as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _open_streams()
        status = _run(arguments)
    except KeyboardInterrupt:
        _interrupted()
    sys.exit(status)


def _run(arguments: Sequence[str] | None) -> int:
    import click

    from dfgen.cli.group import dfgen, usage
    from dfgen.errors import DfgenError, ExitCode, masked, visible

    try:
        status = dfgen.main(arguments, prog_name="dfgen", standalone_mode=False)
        sys.stdout.flush()  # raises ExternalError here, where it is handled, instead of at exit
    except click.exceptions.Abort:
        _interrupted()
    except click.ClickException as error:
        print(masked(usage(error)), file=sys.stderr)
        return ExitCode.BAD_INPUT
    except DfgenError as error:
        with suppress(DfgenError):  # what was printed before the error comes first
            sys.stdout.flush()
        print(visible(str(error)), file=sys.stderr)
        return error.exit_code
    return int(status or 0)


def _interrupted() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cause a traceback
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from dfgen.errors import DfgenError

    with suppress(DfgenError):  # os._exit would discard buffered output
        sys.stdout.flush()
    print("interrupted", file=sys.stderr, flush=True)
    os._exit(130)  # a normal exit would wait for threads that are blocked on a registry


def _open_streams() -> None:
    """Replace the standard streams by ones that report a failure once, in one line."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # A file that is opened later would get the number of the closed stream, and its output.
            os.open(os.devnull, os.O_RDONLY if number else os.O_RDWR)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(1, sys.__stdout__, "strict")
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(2, sys.__stderr__, "backslashreplace")


def _stream(number: int, old: TextIO | None, errors: str) -> TextIO:
    raw = _Stream(number)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=old.encoding if old else "utf-8",
        errors=(old.errors if old else None) or errors,
        line_buffering=number == 2 or raw.isatty(),
    )


class _Stream(io.FileIO):
    """Standard output or standard error.

    If nobody reads a pipe any more (`dfgen lint | head`), the rest is discarded and the command goes on to
    its own exit code: a closed pipe must not hide that a check failed. Any other failure of standard output
    is an ExternalError; one of standard error is ignored, because there is no place left to report it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self._number = number
        self._is_lost = False

    def write(self, data: Any, /) -> int:
        """Write data, or discard it after a failure. Raises ExternalError for the first one."""
        if not self._is_lost:
            try:
                return super().write(data)
            except BrokenPipeError:
                self._is_lost = True
            except OSError as error:
                self._is_lost = True
                if self._number == 1:
                    raise _unwritable(error) from None
        return memoryview(data).nbytes


def _unwritable(error: OSError) -> Exception:
    from dfgen.errors import ExternalError

    advice = "free up space, or redirect the output to another file"
    return ExternalError(f"standard output: cannot be written: {error.strerror}; {advice}")
