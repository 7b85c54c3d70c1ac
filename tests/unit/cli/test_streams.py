"""Standard output or error that is full, closed, or a pipe that nobody reads: one line, the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfgen.cli.group import COMMANDS

FULL = "standard output: cannot be written: No space left on device; free up space, or redirect the output to another file\n"
CLOSED = FULL.replace("No space left on device", "Bad file descriptor")
FILE = "bases/app/1.0/Dockerfile_amd64"
# Commands that print to standard output here, with their exit code.
PRINTING = {
    "--help": 0,
    "--version": 0,
    "list": 0,
    "--format json list": 0,
    "--format markdown list": 0,
    f"explain {FILE}": 0,
    f"--format json explain {FILE}:5": 0,
    "--format json lint": 0,
    "plan": 0,
    "--format json plan": 0,
    "plan --format bake": 0,
    "plan --format github": 0,
    "plan --format gitlab": 0,
    "--format json doctor": 1,
    "new --help": 0,
}  # fmt: skip


def run(catalog: Path, words: str, redirection: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell that redirects its output."""
    command = f'"$0" -m dfgen -C "$1" {words} {redirection}'
    shell = ("bash", "-o", "pipefail", "-c", command, sys.executable, str(catalog))
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere"}
    return subprocess.run(shell, capture_output=True, text=True, check=False, env=environment, timeout=60)


@pytest.fixture
def edited(catalog: Path) -> Path:
    """The catalog with a change for `review` and `render --diff`."""
    path = catalog / "templates/t.j2"
    path.write_text(path.read_text() + "LABEL a=b\n")
    return catalog


@pytest.mark.parametrize(("words", "status"), PRINTING.items())
def test_output_that_cannot_be_written(words: str, status: int, catalog: Path) -> None:
    full, pipe = run(catalog, words, ">/dev/full"), run(catalog, words, "| true")
    assert (full.returncode, full.stderr.splitlines(keepends=True)[-1]) == (3, FULL)
    assert pipe.returncode == status
    for done in (full, pipe):
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        assert done.stderr.count("\n") <= 3


@pytest.mark.parametrize("words", ["--help", "--format json list", f"explain {FILE}"])
def test_output_that_is_closed(words: str, catalog: Path) -> None:
    done = run(catalog, words, ">&-")
    assert (done.returncode, done.stderr) == (3, CLOSED)


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_messages_that_cannot_be_written_do_not_change_the_exit_code(redirection: str, edited: Path) -> None:
    done = run(edited, "render --check", redirection)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_the_help_of_every_command_reports_a_full_disk(tmp_path: Path) -> None:
    for command in COMMANDS:
        done = run(tmp_path, f"{command} --help", ">/dev/full")
        assert (command, done.returncode, done.stderr) == (command, 3, FULL)


@pytest.mark.parametrize(
    "words", ["review", "--format markdown review", "--format json review", "render --diff"]
)
def test_a_closed_pipe_does_not_hide_that_a_check_failed(words: str, edited: Path) -> None:
    status = run(edited, words, ">/dev/null").returncode
    assert run(edited, words, "| true").returncode == status
    assert run(edited, words, ">/dev/full").returncode == 3


def test_messages_never_go_to_standard_output(tmp_path: Path) -> None:
    done = run(tmp_path, "list", "2>&-")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_file_that_is_written(redirection: str, catalog: Path) -> None:
    (catalog / FILE).unlink()
    assert run(catalog, "render", redirection).returncode == 0
    assert (catalog / FILE).read_text().startswith("# check=skip")
    assert run(catalog, "render --check", "").returncode == 0
