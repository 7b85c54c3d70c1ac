"""The command line itself: help, versions, and what cannot be meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dfgen import __version__
from dfgen.cli.main import COMMANDS
from tests.unit.catalogs import FAMILY, write
from tests.unit.cli.run import dfgen


def test_version() -> None:
    done = dfgen("--version")
    assert (done.status, done.out, done.err) == (0, f"dfgen {__version__}\n", "")


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_command_in_the_order_of_the_work(option: str) -> None:
    done = dfgen(option)
    assert (done.status, done.err) == (0, "")
    listed = [line.split()[0] for line in done.out.partition("Commands:\n")[2].splitlines()]
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(command: str) -> None:
    done = dfgen(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"Usage: dfgen {command} [OPTIONS]")


def test_without_a_command_there_is_help_and_nothing_was_done() -> None:
    done = dfgen()
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("Usage: dfgen [OPTIONS] COMMAND [ARGS]...")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rendr"], "dfgen: no command 'rendr' (did you mean 'render'?); see `dfgen --help`"),
        (["zzz"], f"dfgen: no command 'zzz'; the commands are {', '.join(COMMANDS)}; see `dfgen --help`"),
        (["--fromat", "json"], "dfgen: No such option '--fromat'. Did you mean '--format'?; see `dfgen --help`"),
        (["--format", "xml", "list"], "dfgen: Invalid value for '--format': 'xml' is not one of 'table', 'json', 'markdown'; see `dfgen --help`"),
        (["render", "--chek"], "dfgen render: No such option '--chek'. (Did you mean one of: '--check', '--force', '--help'?); see `dfgen render --help`"),
        (["lint", "--format", "json"], "dfgen lint: --format stands before the command: `dfgen --format … lint`; see `dfgen lint --help`"),
        (["render", "-C", "x"], "dfgen render: -C stands before the command: `dfgen -C … render`; see `dfgen render --help`"),
        (["lock", "--min-age", "3d"], "dfgen lock: --min-age goes with --upgrade: a parent without a pin is pinned at once; see `dfgen lock --help`"),
        (["lock", "--upgrade", "--min-age", "3h"], "dfgen lock: Invalid value for '--min-age': '3h' is not an age; expected days or weeks such as 3d or 2w; see `dfgen lock --help`"),
        (["lock", "busybox"], "dfgen lock: PARENT goes with --upgrade; see `dfgen lock --help`"),
        (["lock", "--check", "--upgrade"], "dfgen lock: --check changes nothing; it goes without --upgrade and --dry-run; see `dfgen lock --help`"),
        (["lock", "--deadline", "soon"], "dfgen lock: Invalid value for '--deadline': 'soon' is not a valid float; see `dfgen lock --help`"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line(words: list[str], message: str) -> None:
    done = dfgen(*words)
    assert (done.status, done.out) == (2, "")
    assert done.lines == [message]


@pytest.mark.parametrize("command", ["list", "render", "lock"])
def test_a_folder_that_is_not_there(tmp_path: Path, command: str) -> None:
    done = dfgen("-C", tmp_path / "nowhere", command)
    assert (done.status, done.out) == (2, "")
    assert done.lines == [f"{tmp_path}/nowhere: is not a folder; pass the folder of a catalog with -C"]


@pytest.mark.parametrize("command", ["list", "render", "lock"])
def test_a_folder_without_a_catalog(tmp_path: Path, command: str) -> None:
    done = dfgen("-C", tmp_path, command)
    assert (done.status, done.out) == (2, "")
    assert done.lines == [f"bases/: no catalog in {tmp_path}; run `dfgen init`, or pass its folder with -C"]


@pytest.mark.parametrize("command", ["list", "render", "lock"])
def test_every_problem_of_a_catalog_is_a_line(tmp_path: Path, command: str) -> None:
    write(tmp_path, {"bases/app/base.yaml": FAMILY + "packges: []\nimmutable: 7\n"})
    done = dfgen("-C", tmp_path, command)
    assert (done.status, done.out) == (2, "")
    assert done.lines == [
        "bases/app/base.yaml:4:1: unknown key 'packges' (did you mean 'packages'?)",
        "bases/app/base.yaml:5:12: expected true or false, found 7",
    ]


@pytest.mark.parametrize("command", ["list", "render"])
def test_a_selection_of_nothing(tmp_path: Path, command: str) -> None:
    write(tmp_path, {"bases/app/base.yaml": FAMILY})
    done = dfgen("-C", tmp_path, command, "apq")
    assert (done.status, done.out) == (2, "")
    assert done.lines == [
        "no image matches 'apq' (did you mean 'app'?); use FAMILY, FAMILY:VERSION or FAMILY:VERSION@ARCH"
    ]


def test_a_reader_that_went_away_is_no_traceback(tmp_path: Path) -> None:
    versions = ", ".join(f"'{number}'" for number in range(400))
    write(tmp_path, {"bases/app/base.yaml": FAMILY.replace('["1.0"]', f"[{versions}]")})
    command = [sys.executable, "-m", "dfgen", "-C", str(tmp_path), "--format", "json", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(10)
        running.stdout.close()
        assert running.stderr.read() == b""


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dfgen", "rendr"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dfgen: no command 'rendr' (did you mean 'render'?); see `dfgen --help`\n"
