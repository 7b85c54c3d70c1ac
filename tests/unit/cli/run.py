"""Run dfgen in this process and capture its output."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from dfgen.cli import main


@dataclass(frozen=True, slots=True)
class Done:
    """The exit status of a command, its stdout and its stderr."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stderr: notes and errors."""
        return self.err.splitlines()


def dfgen(*words: str | Path) -> Done:
    """Run `dfgen WORDS…`; a traceback anywhere fails the test."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    done = Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())
    assert "Traceback" not in done.out + done.err
    return done
