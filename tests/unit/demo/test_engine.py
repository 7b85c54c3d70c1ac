"""Engine, registry, emulation and nodes: everything that can be tested without running them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import dockerd
import emulation
import engine
import machine
import node
import pytest
import registry
from home import DemoError, Home, State, load_state, save_state
from processes import Process, identify

from .serving import serving

GONE = Process(pid=1, start=-1, boot="another")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(root=tmp_path / "a demo's $HOME")


def own_process() -> Process:
    process = identify(os.getpid())
    assert process is not None
    return process


def shell(lines: str, name: str) -> str:
    """Return the value of a variable in a shell that ran these lines."""
    script = f'{lines}\nprintf %s "${name}"'
    return subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout


def test_the_environment_survives_the_shell(home: Home) -> None:
    lines = engine.environment(home, State(processes={"engine": GONE}, port=5003))
    assert shell(lines, "DOCKER_HOST") == f"unix://{home.root}/engine/docker.sock"
    assert shell(lines, "DOCKER_CONFIG") == f"{home.root}/docker-config"
    assert shell(lines, "DFGEN_DEMO_REGISTRY") == "127.0.0.1:5003"
    assert shell(lines, "PATH") == f"{home.root}/bin:{os.environ['PATH']}"


def test_the_environment_does_not_redirect_the_machines_own_engine(home: Home) -> None:
    lines = engine.environment(home, State(port=5000))
    assert lines.splitlines()[0] == "export DFGEN_DEMO_REGISTRY=127.0.0.1:5000"
    assert "DOCKER" not in lines
    assert engine.engine_variables(home, State(port=5000)) == {}


def test_the_environment_is_printed_while_the_registry_runs(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    state = save_state(home, State(processes={"registry": own_process()}, port=5000))
    assert engine.env(home) == 0
    assert capsys.readouterr().out == engine.environment(home, state) + "\n"


def test_env_fails_without_a_running_registry(home: Home) -> None:
    with pytest.raises(DemoError) as caught:
        engine.env(home)
    assert str(caught.value) == (
        "the demo's engine and registry are not running; run: python3 examples/demo/engine.py up"
    )
    assert caught.value.code == 3


def test_down_without_processes_stops_nothing(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    save_state(home, State(system=("installed x",)))
    assert engine.down(home) == 0
    assert capsys.readouterr().out == (
        f"demo: not undone on this system: installed x\ndemo: kept for the next run: {home.root}\n"
    )


def test_down_spares_another_process_with_a_reused_pid(home: Home) -> None:
    own = own_process()
    stranger = Process(pid=own.pid, start=own.start - 1, boot=own.boot)
    save_state(home, State(processes={"registry": stranger, "engine": stranger}, port=5004))
    assert engine.down(home) == 0
    assert load_state(home) == State(port=5004)


def test_status_reports_processes_that_are_not_running(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    processes = {"engine": GONE, "node-arm": GONE}
    save_state(home, State(processes=processes, port=5000, system=("installed x",)))
    assert engine.status(home) == 1
    assert capsys.readouterr().out == (
        f"demo: engine: pid 1, {home.socket}: does not answer\n"
        "demo: node arm: not running\n"
        "demo: registry: 127.0.0.1:5000: does not answer\n"
        "demo: emulation: not registered by the demo\n"
        "demo: changed on this system: installed x\n"
    )


def test_node_only_applies_to_up(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        engine.main(["down", "--node", "arm"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("error: --node only applies to up\n")


@pytest.mark.parametrize("name", ["Arm", "1a", "-a", "default", "a" * 9, "a/b", ""])
def test_an_invalid_node_name_is_rejected(name: str) -> None:
    with pytest.raises(DemoError) as caught:
        node.check_name(name)
    assert str(caught.value) == (
        f"--node {name!r}: not a valid name; use 1 to 8 of a-z, 0-9 and -, starting with a letter,"
        " except 'default'"
    )


def test_a_node_needs_the_demos_own_engine(home: Home) -> None:
    with pytest.raises(DemoError) as caught:
        node.up_node(home, State(), "arm")
    assert str(caught.value) == (
        "--node: needs the demo's own engine, but `up` uses the engine of this machine"
    )


def test_nodes_are_named_by_their_recorded_processes() -> None:
    names = ("engine", "registry", "node-b", "noderegistry-a", "noderegistry-b", "node-my-arm")
    assert node.node_names(State(processes=dict.fromkeys(names, GONE))) == ["a", "b", "my-arm"]


@pytest.mark.parametrize(
    ("arch", "runs"), [("amd64", True), ("arm64", True), ("arm", False), ("riscv64", False)]
)
def test_the_platforms_of_an_engine(arch: str, *, runs: bool) -> None:
    found = machine.Engine(version="28", platforms=" linux/amd64*, linux/amd64/v2, linux/arm64,linux/arm/v7")
    assert found.runs(arch) is runs


def test_mounts_below_a_folder_are_listed_deepest_first() -> None:
    mounts = (
        "overlay /x/demo/data overlay rw 0 0\n"
        "nsfs /x/demo/data/net/1 nsfs rw 0 0\n"
        "tmpfs /x/demo-other tmpfs rw 0 0\n"
        "tmpfs /x/demo/a\\040b tmpfs rw 0 0\n"
        "nsfs /run/netns/demo nsfs rw 0 0\n"
    )
    assert dockerd.mounts_below(Path("/x/demo"), mounts) == [
        "/x/demo/data/net/1",
        "/x/demo/data",
        "/x/demo/a b",
    ]


def test_proxies_of_the_environment_are_configured_for_builds(home: Home) -> None:
    home.docker_config.mkdir(parents=True)
    path = home.docker_config / "config.json"
    path.write_text('{"auths": {}}')
    dockerd.configure_client(home, {"http_proxy": "http://proxy.example:3128", "NO_PROXY": "127.0.0.1"})
    assert json.loads(path.read_text()) == {
        "auths": {},
        "proxies": {"default": {"httpProxy": "http://proxy.example:3128", "noProxy": "127.0.0.1"}},
    }
    dockerd.configure_client(home, {})
    assert json.loads(path.read_text()) == {"auths": {}, "proxies": {"default": {}}}


def test_no_client_configuration_is_written_without_proxies(home: Home) -> None:
    dockerd.configure_client(home, {})
    assert not (home.docker_config / "config.json").exists()


def test_programs_are_linked_into_the_folder(home: Home) -> None:
    dockerd.link_programs(home)
    dockerd.link_programs(home)
    assert (home.bin / "docker-init").readlink() == home.unpacked / "usr/bin/tini-static"
    assert (home.docker_config / "cli-plugins/docker-buildx").is_symlink()
    assert not dockerd.has_programs(home), "nothing is unpacked yet"


def test_an_engine_that_exits_immediately_is_reported_with_its_log(home: Home) -> None:
    home.bin.mkdir(parents=True)
    program = home.bin / "dockerd"
    program.write_text("#!/bin/sh\necho first\necho cannot >&2\nexit 1\n")
    program.chmod(0o755)
    process = dockerd.start_engine(home, home.engine)
    with pytest.raises(DemoError) as caught:
        dockerd.wait_for_engine(process, home.engine)
    assert str(caught.value) == (
        f"dockerd: no answer on {home.socket}; the log {home.engine}/dockerd.log ends with: first | cannot"
    )
    assert json.loads((home.engine / "daemon.json").read_text()) == dockerd.CONFIG


def test_an_engine_is_detected_by_its_response(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not dockerd.answers(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")

        thread = threading.Thread(target=answer)
        thread.start()
        assert dockerd.answers(path)
        thread.join()


def test_a_handler_gets_another_name_and_interpreter() -> None:
    line = r":qemu-arm:M::\x7fELF\x01:\xff\xff:/usr/bin/qemu-arm:OPF" + "\n"
    made = emulation.registration(line, "dfgen-arm-1", Path("/demo/qemu-arm"))
    assert made == r":dfgen-arm-1:M::\x7fELF\x01:\xff\xff:/demo/qemu-arm:OPF"


def test_handler_names_depend_on_the_folder(home: Home) -> None:
    assert emulation.entry_name(home, "arm") != emulation.entry_name(Home(root=Path("/x")), "arm")
    assert emulation.entry_name(home, "arm").startswith("dfgen-arm-")


def test_the_machines_own_architecture_is_not_emulated() -> None:
    assert os.uname().machine not in emulation.foreign_architectures()
    assert {"aarch64", "x86_64"} & set(emulation.foreign_architectures())


@pytest.fixture
def served() -> Iterator[int]:
    with serving({"/v2/": "{}", "/v2/x": '{"here": true}', "/v2/broken": "not JSON"}) as port:
        yield port


def test_registry_requests_ignore_proxies(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert registry.answers(served)
    assert registry.get(served, "/v2/x") == {"here": True}
    assert registry.get(served, "/v2/missing") is None
    assert registry.get(served, "/v2/broken") is None


def test_a_port_in_use_is_not_chosen(served: int) -> None:
    assert not registry.is_free(served)
    assert registry.choose_port(served) in range(5000, 5100)


def test_the_previous_port_is_kept_if_it_is_free() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert registry.choose_port(port) == port


def test_a_registry_that_exits_immediately_is_reported(home: Home) -> None:
    home.bin.mkdir(parents=True)
    (home.bin / "docker-registry").symlink_to("/bin/false")
    process = registry.start_registry(home, 1)
    with pytest.raises(DemoError) as caught:
        registry.wait_for_registry(process, home, 1)
    assert str(caught.value) == (
        f"docker-registry: no answer on 127.0.0.1:1; see its log {home.registry}/registry.log"
    )
