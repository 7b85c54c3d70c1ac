"""The demo's folder, its saved state and its progress output."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import home
import pytest
from home import DemoError, Home, State
from processes import Process

PROCESS = Process(pid=1, start=2, boot="b")


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/x/home")
    assert home.find_home({"DFGEN_DEMO_HOME": "/x/demo"}).root == Path("/x/demo")
    assert home.find_home({}).root == Path("/x/home/.cache/dfgen-demo")


def test_a_path_too_long_for_sockets_is_rejected() -> None:
    deep = "/" + "x" * 80
    with pytest.raises(DemoError) as caught:
        home.find_home({"DFGEN_DEMO_HOME": deep})
    assert str(caught.value) == (
        f"DFGEN_DEMO_HOME: '{deep}' is 27 bytes too long for the engine's sockets; use a shorter path"
    )
    assert caught.value.code == 2


def test_the_state_is_saved_and_loaded(tmp_path: Path) -> None:
    place = Home(root=tmp_path / "demo")
    assert home.load_state(place) == State()
    state = dataclasses.replace(State().with_process("engine", PROCESS), port=5001).with_system("installed x")
    assert home.save_state(place, state) == state
    assert home.load_state(place) == state
    assert [path.name for path in place.root.iterdir()] == ["state.json"], "no temporary file is left"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"processes": {"engine": {}}, "port": 1, "system": []}'])
def test_a_damaged_state_file_loads_as_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert home.load_state(Home(root=tmp_path)) == State()


def test_a_change_to_the_system_is_listed_once() -> None:
    assert State().with_system("a", "b").with_system("a", "c").system == ("a", "b", "c")


def test_a_process_is_removed_from_the_state() -> None:
    state = State().with_process("a", PROCESS).with_process("b", PROCESS)
    assert state.without_process("a").processes == {"b": PROCESS}


def test_a_step_prints_one_line_with_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with home.step("does it"):
        pass
    assert re.fullmatch(r"demo: does it \.\.\. \d+\.\d s\n", capsys.readouterr().out)


def test_a_failed_step_prints_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DemoError), home.step("does it"):
        raise DemoError("no")
    assert capsys.readouterr().out == "demo: does it ... failed\n"


def fail(_arguments: object) -> int:
    raise DemoError("program: not found; install it", 2)


def interrupt(_arguments: object) -> int:
    raise KeyboardInterrupt


def test_an_error_is_printed_as_one_line_with_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        home.run_main(fail)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "demo: program: not found; install it\n"


def test_an_interrupted_run_says_how_to_continue(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        home.run_main(interrupt)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "demo: interrupted; run it again to continue\n"


def test_the_lock_can_be_taken_again(tmp_path: Path) -> None:
    place = Home(root=tmp_path / "new")
    with home.locked(place):
        pass
    with home.locked(place):
        assert (place.root / "lock").exists()
