"""The command line: each module parses arguments, calls dfgen.commands, and prints the result."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default with the arguments of the process, and exit with its status.

    Errors that a user can cause are printed to stderr, one line per problem, without a traceback.
    """
    import click

    from dfgen.cli.group import dfgen, usage
    from dfgen.errors import DfgenError, ExitCode, visible

    # CI systems cancel a job with SIGTERM: clean up as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = dfgen.main(arguments, prog_name="dfgen", standalone_mode=False)
        sys.stdout.flush()  # raises BrokenPipeError here, where it is handled, instead of at exit
    except click.exceptions.Abort:
        with suppress(OSError):  # os._exit would discard buffered output
            sys.stdout.flush()
        print("interrupted", file=sys.stderr, flush=True)
        os._exit(130)  # a normal exit would wait for threads that are blocked on a registry
    except click.ClickException as error:
        print(usage(error), file=sys.stderr)
        status = ExitCode.BAD_INPUT
    except DfgenError as error:
        print(visible(str(error)), file=sys.stderr)
        status = error.exit_code
    except BrokenPipeError:
        # The reader has closed the pipe (`dfgen list | head`). Python flushes stdout again at exit, and that
        # must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = ExitCode.SUCCESS
    sys.exit(int(status or 0))
