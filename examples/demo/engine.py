"""A Docker engine and a registry for the demo: `engine.py up [--node NAME] | down | status | env`.

`up` uses the engine that is there when it has buildx and the containerd image store. Else, on Debian as
root, it unpacks Debian's packages into the demo's folder and starts an engine there. `down` ends exactly
what `up` started. Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import dockerd
import emulation
import registry
from home import DemoError, Home, State, find_home, load_state, locked, run_main, save_state, say, step
from machine import ADVICE, find_engine, is_debian_as_root, make_apt, own_arch
from node import down_node, node_names, up_node
from packages import install
from processes import is_running, stop

SUITE = "testing"
BRIDGE = Path("/sys/class/net/docker0")
ARCHITECTURES = ("amd64", "arm64")


def bring_programs(home: Home) -> None:
    """Makes the programs of engine, registry and emulation available in the folder."""
    if not dockerd.has_programs(home):
        with step(f"Debian {SUITE}'s packages of engine, registry and emulation into {home.root}"):
            dockerd.unpack_programs(home, make_apt(home, SUITE, own_arch()))
    dockerd.link_programs(home)
    dockerd.configure_client(home)


def up_system(state: State) -> State:
    """Installs what the engine needs of the machine's own release."""
    missing = dockerd.missing_system_packages()
    if missing:
        with step(f"apt-get install {' '.join(missing)}"):
            install(missing)
        state = state.with_system(f"installed {' '.join(missing)}")
    return state


def up_emulation(home: Home, state: State) -> State:
    """Registers the folder's own emulators with the kernel."""
    if emulation.is_on(home):
        return state
    bring_programs(home)
    with step(f"emulation of {', '.join(emulation.foreign_architectures())}"):
        if emulation.mount():
            state = state.with_system(f"mounted binfmt_misc on {emulation.BINFMT}")
        emulation.turn_on(home)
    return state


def up_own_engine(home: Home, state: State) -> State:
    """Starts an engine of the demo's own."""
    bring_programs(home)
    if not BRIDGE.exists():
        state = state.with_system("made the bridge docker0 and its iptables rules (until the next boot)")
    state = up_emulation(home, up_system(state))
    with step("dockerd"):
        process = dockerd.start_engine(home, home.engine)
        # Remembered before it answers, so that `down` finds it however this ends.
        state = save_state(home, state.with_process("engine", process))
        dockerd.wait_for_engine(process, home.engine)
    return state


def up_engine(home: Home, state: State) -> State:
    """The engine: the demo's own that runs, or the one that is there already, or a new one."""
    own = state.processes.get("engine")
    if own and is_running(own):
        dockerd.wait_for_engine(own, home.engine)
        say(f"engine: runs already (pid {own.pid})")
        return up_emulation(home, state)
    found = find_engine()
    if found is None:
        if not is_debian_as_root():
            raise DemoError(f"no Docker engine with buildx and the containerd image store answers; {ADVICE}")
        return up_own_engine(home, state)
    say(f"engine: Docker {found.version} is here, with buildx and the containerd image store; used as it is")
    lacking = [arch for arch in ARCHITECTURES if not found.runs(arch)]
    if lacking and not is_debian_as_root():
        raise DemoError(
            f"engine: does not run linux/{lacking[0]}, expected emulation of it;"
            " install qemu-user-static and binfmt-support"
        )
    return (up_emulation(home, state) if lacking else state).without_process("engine")


def up_registry(home: Home, state: State) -> State:
    """The registry: the one that runs, or a new one on a free port."""
    if is_running(state.processes.get("registry")) and registry.answers(state.port):
        say(f"registry: runs already on 127.0.0.1:{state.port}")
        return state
    bring_programs(home)
    port = registry.choose_port(state.port)
    with step(f"docker-registry on 127.0.0.1:{port}"):
        process = registry.start_registry(home, port)
        state = dataclasses.replace(state.with_process("registry", process), port=port)
        save_state(home, state)
        registry.wait_for_registry(process, home, port)
    return state


def up(home: Home, node: str = "") -> int:
    """Brings up what is not up yet; with `node`, a second engine of that name too."""
    with locked(home):
        state = save_state(home, up_engine(home, load_state(home)))
        state = save_state(home, up_registry(home, state))
        if node:
            state = save_state(home, up_node(home, state, node))
    for change in state.system:
        say(f"changed on this system: {change}")
    return 0


def down(home: Home) -> int:
    """Ends what `up` started, and nothing else."""
    with locked(home):
        state = load_state(home)
        for name in node_names(state):
            down_node(home, state, name)
        if "engine" in state.processes:
            with step("engine ends, with its containers"):
                stop(state.processes["engine"], seconds=40)
                dockerd.clear_up(home, home.engine)
        if "registry" in state.processes:
            with step("registry ends"):
                stop(state.processes["registry"], seconds=10)
        handlers = emulation.turn_off(home)
        if handlers:
            say(f"emulation is off: {' '.join(handlers)}")
        save_state(home, dataclasses.replace(state, processes={}))
    for change in state.system:
        say(f"stays on this system: {change}")
    say(f"stays for the next time: {home.root}")
    return 0


def status(home: Home) -> int:
    """Says what runs; exit code 1 when the engine or the registry does not."""
    state = load_state(home)
    own = state.processes.get("engine")
    found = None if own else find_engine()
    if own:
        has_engine = is_running(own) and dockerd.answers(home.socket)
        say(f"engine: pid {own.pid}, {home.socket}: {'answers' if has_engine else 'does not answer'}")
    else:
        has_engine = found is not None
        say(f"engine: Docker {found.version}, not the demo's" if found else "engine: none")
    for name in node_names(state):
        runs = is_running(state.processes.get(f"node-{name}"))
        say(f"node {name}: {'runs' if runs else 'does not run'}")
    has_registry = is_running(state.processes.get("registry")) and registry.answers(state.port)
    say(f"registry: 127.0.0.1:{state.port}: {'answers' if has_registry else 'does not answer'}")
    say(f"emulation: {'on' if emulation.is_on(home) else 'not by the demo'}")
    for change in state.system:
        say(f"changed on this system: {change}")
    return 0 if has_engine and has_registry else 1


def engine_variables(home: Home, state: State) -> dict[str, str]:
    """What docker and buildx need in the environment: nothing for an engine that is not the demo's."""
    if "engine" not in state.processes:
        return {}
    path = f"{home.bin}:{os.environ.get('PATH', os.defpath)}"
    return {"DOCKER_HOST": f"unix://{home.socket}", "DOCKER_CONFIG": str(home.docker_config), "PATH": path}


def environment(home: Home, state: State) -> str:
    """The shell lines that point docker, buildx and the tests at the demo's engine and registry."""
    variables = {**engine_variables(home, state), "DFGEN_DEMO_REGISTRY": f"127.0.0.1:{state.port}"}
    variables.pop("PATH", None)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f'export PATH={shlex.quote(str(home.bin))}:"$PATH"'])


def env(home: Home) -> int:
    """Prints what `eval "$(engine.py env)"` takes over."""
    state = load_state(home)
    if not is_running(state.processes.get("registry")):
        raise DemoError("the demo's engine and registry do not run; run: python3 examples/demo/engine.py up")
    print(environment(home, state))
    return 0


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    commands = {"up": up, "down": down, "status": status, "env": env}
    parser = argparse.ArgumentParser(prog="engine.py", description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=commands)
    parser.add_argument("--node", metavar="NAME", default="", help="up: start a second engine of this name")
    given = parser.parse_args(arguments)
    if given.node and given.command != "up":
        parser.error("--node belongs to up")
    return up(find_home(), given.node) if given.node else commands[given.command](find_home())


if __name__ == "__main__":
    run_main(main)
