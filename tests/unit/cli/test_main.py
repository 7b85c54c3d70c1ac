"""The command line: help, version, and usage errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dfgen import __version__
from dfgen.cli.group import COMMANDS
from tests.unit.catalogs import FAMILY, write
from tests.unit.cli.run import dfgen


def test_version() -> None:
    done = dfgen("--version")
    assert (done.status, done.out, done.err) == (0, f"dfgen {__version__}\n", "")


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command_in_order(option: str) -> None:
    done = dfgen(option)
    assert (done.status, done.err) == (0, "")
    listed = [line.split()[0] for line in done.out.partition("Commands:\n")[2].splitlines()]
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(command: str) -> None:
    done = dfgen(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"Usage: dfgen {command} [OPTIONS]")


def test_without_a_command_the_help_is_printed() -> None:
    done = dfgen()
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("Usage: dfgen [OPTIONS] COMMAND [ARGS]...")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rendr"], "dfgen: unknown command 'rendr' (did you mean 'render'?); see `dfgen --help`"),
        (["zzz"], f"dfgen: unknown command 'zzz'; supported: {', '.join(COMMANDS)}; see `dfgen --help`"),
        (["--fromat", "json"], "dfgen: No such option '--fromat'. Did you mean '--format'?; see `dfgen --help`"),
        (["--format", "xml", "list"], "dfgen: Invalid value for '--format': 'xml' is not one of 'table', 'json', 'markdown'; see `dfgen --help`"),
        (["render", "--chek"], "dfgen render: No such option '--chek'. (Did you mean one of: '--check', '--force', '--help'?); see `dfgen render --help`"),
        (["lint", "--format", "xml"], "dfgen lint: Invalid value for '--format': 'xml' is not one of 'table', 'json', 'markdown'; see `dfgen lint --help`"),
        (["lock", "--min-age", "3d"], "dfgen lock: --min-age requires --upgrade; parents without a pin are pinned immediately; see `dfgen lock --help`"),
        (["lock", "--upgrade", "--min-age", "3h"], "dfgen lock: Invalid value for '--min-age': '3h' is not an age; use days or weeks, for example 3d or 2w; see `dfgen lock --help`"),
        (["lock", "busybox"], "dfgen lock: PARENT requires --upgrade; see `dfgen lock --help`"),
        (["lock", "--check", "--upgrade"], "dfgen lock: --check cannot be combined with --upgrade or --dry-run; see `dfgen lock --help`"),
        (["lock", "--deadline", "soon"], "dfgen lock: Invalid value for '--deadline': 'soon' is not a valid float; see `dfgen lock --help`"),
    ],
)  # fmt: skip
def test_a_usage_error_is_one_line(words: list[str], message: str) -> None:
    done = dfgen(*words)
    assert (done.status, done.out) == (2, "")
    assert done.lines == [message]


@pytest.mark.parametrize("command", ["list", "render", "lock"])
def test_a_folder_that_does_not_exist(tmp_path: Path, command: str) -> None:
    done = dfgen("-C", tmp_path / "nowhere", command)
    assert (done.status, done.out) == (2, "")
    assert done.lines == [f"{tmp_path}/nowhere: is not a folder; set the catalog's folder with -C"]


@pytest.mark.parametrize("command", ["list", "render", "lock"])
def test_a_folder_without_a_catalog(tmp_path: Path, command: str) -> None:
    done = dfgen("-C", tmp_path, command)
    assert (done.status, done.out) == (2, "")
    assert done.lines == [f"bases/: no catalog in {tmp_path}; run `dfgen init`, or pass its folder with -C"]


@pytest.mark.parametrize("command", ["list", "render", "lock"])
def test_every_problem_of_a_catalog_is_one_line(tmp_path: Path, command: str) -> None:
    write(tmp_path, {"bases/app/base.yaml": FAMILY + "packges: []\nimmutable: 7\n"})
    done = dfgen("-C", tmp_path, command)
    assert (done.status, done.out) == (2, "")
    assert done.lines == [
        "bases/app/base.yaml:4:1: unknown key 'packges' (did you mean 'packages'?)",
        "bases/app/base.yaml:5:12: expected true or false, found 7",
    ]


@pytest.mark.parametrize("command", ["list", "render"])
def test_a_selection_that_matches_nothing(tmp_path: Path, command: str) -> None:
    write(tmp_path, {"bases/app/base.yaml": FAMILY})
    done = dfgen("-C", tmp_path, command, "apq")
    assert (done.status, done.out) == (2, "")
    assert done.lines == [
        "no image matches 'apq' (did you mean 'app'?); use FAMILY, FAMILY:VERSION or FAMILY:VERSION@ARCH"
    ]


def test_a_closed_pipe_causes_no_traceback(tmp_path: Path) -> None:
    versions = ", ".join(f"'{number}'" for number in range(400))
    write(tmp_path, {"bases/app/base.yaml": FAMILY.replace('["1.0"]', f"[{versions}]")})
    command = [sys.executable, "-m", "dfgen", "-C", str(tmp_path), "--format", "json", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(10)
        running.stdout.close()
        assert running.stderr.read() == b""


def test_the_module_runs_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dfgen", "rendr"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dfgen: unknown command 'rendr' (did you mean 'render'?); see `dfgen --help`\n"


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("plan", "review")])
def test_global_options_can_follow_the_command(command: str) -> None:
    text = dfgen(command, "--help").out
    assert "-C DIR" in text
    assert "--format [table|json|markdown]" in text


def test_the_last_folder_and_format_count(tmp_path: Path) -> None:
    write(tmp_path, {"bases/app/base.yaml": FAMILY})
    listed = dfgen("-C", tmp_path, "--format", "json", "list")
    assert json.loads(listed.out)[0]["family"] == "app"
    assert dfgen("list", "-C", tmp_path, "--format", "json") == listed
    assert (
        dfgen("-C", tmp_path / "x", "--format", "markdown", "list", "--format", "json", "-C", tmp_path)
        == listed
    )


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        (".", ["bases/app/1.0/Dockerfile_arm64"]),
        ("bases", ["app/1.0/Dockerfile_arm64"]),
        ("bases", ["app@arm64"]),
        ("bases/app", ["1.0/Dockerfile_arm64"]),
        ("bases/app/1.0", ["Dockerfile_arm64"]),
        ("templates", ["../bases/app/1.0/Dockerfile_arm64"]),
    ],
)
def test_the_catalog_is_found_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, words: list[str]
) -> None:
    files = {f"bases/app/1.0/Dockerfile_{arch}": "FROM a\n" for arch in ("amd64", "arm64")}
    write(tmp_path, {"bases/app/base.yaml": FAMILY, **files})
    monkeypatch.chdir(tmp_path / folder)
    (row,) = json.loads(dfgen("list", "--format", "json", *words).out)
    assert row["dockerfile"] == "bases/app/1.0/Dockerfile_arm64"


def test_a_catalog_outside_the_repository_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"bases/app/base.yaml": FAMILY, "project/.git/HEAD": "", "project/sub/a": ""})
    monkeypatch.chdir(tmp_path / "project/sub")
    done = dfgen("list")
    assert (done.status, done.out) == (2, "")
    assert done.lines == ["bases/: no catalog in .; run `dfgen init`, or pass its folder with -C"]


def test_init_creates_a_catalog_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"bases/app/base.yaml": FAMILY, "sub/a": ""})
    monkeypatch.chdir(tmp_path / "sub")
    assert dfgen("init").status == 0
    assert (tmp_path / "sub/bases/catalog.yaml").is_file()
