"""The command line: each command parses, calls a stage and prints; what it does is in the stage."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, that of the process unless arguments are given, and exit with its status.

    Every error that a user can cause is one line an entry on standard error, never a traceback.
    """
    import click

    from dfgen.cli.main import dfgen, usage
    from dfgen.errors import DfgenError, ExitCode, visible

    # A CI system ends a job by SIGTERM: clean up as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = dfgen.main(arguments, prog_name="dfgen", standalone_mode=False)
        sys.stdout.flush()  # here, where a reader that went away is still noticed
    except click.exceptions.Abort:
        with suppress(OSError):  # what was printed until now is not lost
            sys.stdout.flush()
        print("interrupted", file=sys.stderr, flush=True)
        os._exit(130)  # at once: an ordinary exit waits for the threads that wait for a registry
    except click.ClickException as error:
        print(usage(error), file=sys.stderr)
        status = ExitCode.BAD_INPUT
    except DfgenError as error:
        print(visible(str(error)), file=sys.stderr)
        status = error.exit_code
    except BrokenPipeError:
        # The reader went away (`dfgen list | head`): leave quietly, without a second error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = ExitCode.SUCCESS
    sys.exit(int(status or 0))
