"""Start and stop a Docker engine and a registry: `engine.py up [--node NAME] | down | status | env`.

`up` uses the machine's engine if that has buildx and the containerd image store. Otherwise, on Debian as
root, it unpacks Debian packages into the demo's folder and starts an engine from there. `down` stops exactly
what `up` started. The script needs only the standard library.
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


def ensure_programs(home: Home) -> None:
    """Unpack the programs of engine, registry and emulation if needed, and configure the client."""
    if not dockerd.has_programs(home):
        with step(f"unpacking engine, registry and emulation from Debian {SUITE} into {home.root}"):
            dockerd.unpack_programs(home, make_apt(home, SUITE, own_arch()))
    dockerd.link_programs(home)
    dockerd.configure_client(home)


def up_system(state: State) -> State:
    """Install the packages that the engine needs from the machine's own release."""
    missing = dockerd.missing_system_packages()
    if missing:
        with step(f"apt-get install {' '.join(missing)}"):
            install(missing)
        state = state.with_system(f"installed {' '.join(missing)}")
    return state


def up_emulation(home: Home, state: State) -> State:
    """Register the demo's emulators with the kernel."""
    if emulation.is_on(home):
        return state
    ensure_programs(home)
    with step(f"emulation of {', '.join(emulation.foreign_architectures())}"):
        if emulation.mount():
            state = state.with_system(f"mounted binfmt_misc on {emulation.BINFMT}")
        emulation.turn_on(home)
    return state


def up_own_engine(home: Home, state: State) -> State:
    """Start the demo's own engine."""
    ensure_programs(home)
    if not BRIDGE.exists():
        state = state.with_system("created the bridge docker0 and its iptables rules (until the next boot)")
    state = up_emulation(home, up_system(state))
    with step("dockerd"):
        process = dockerd.start_engine(home, home.engine)
        # Saved before the engine answers, so that `down` stops it even if the start fails or is interrupted.
        state = save_state(home, state.with_process("engine", process))
        dockerd.wait_for_engine(process, home.engine)
    return state


def up_engine(home: Home, state: State) -> State:
    """Use the demo's running engine or the machine's engine, or start a new one."""
    own = state.processes.get("engine")
    if own and is_running(own):
        dockerd.wait_for_engine(own, home.engine)
        say(f"engine: already running (pid {own.pid})")
        return up_emulation(home, state)
    found = find_engine()
    if found is None:
        if not is_debian_as_root():
            raise DemoError(f"no Docker engine with buildx and the containerd image store answers; {ADVICE}")
        return up_own_engine(home, state)
    say(f"engine: using Docker {found.version} of this machine, with buildx and the containerd image store")
    missing = [arch for arch in ARCHITECTURES if not found.runs(arch)]
    if missing and not is_debian_as_root():
        raise DemoError(f"engine: cannot run linux/{missing[0]}; install qemu-user-static and binfmt-support")
    return (up_emulation(home, state) if missing else state).without_process("engine")


def up_registry(home: Home, state: State) -> State:
    """Use the running registry, or start one on a free port."""
    if is_running(state.processes.get("registry")) and registry.answers(state.port):
        say(f"registry: already running on 127.0.0.1:{state.port}")
        return state
    ensure_programs(home)
    port = registry.choose_port(state.port)
    with step(f"docker-registry on 127.0.0.1:{port}"):
        process = registry.start_registry(home, port)
        state = dataclasses.replace(state.with_process("registry", process), port=port)
        save_state(home, state)
        registry.wait_for_registry(process, home, port)
    return state


def up(home: Home, node: str = "") -> int:
    """Start everything that is not running; with `node`, also a second engine of that name."""
    with locked(home):
        state = save_state(home, up_engine(home, load_state(home)))
        state = save_state(home, up_registry(home, state))
        if node:
            state = save_state(home, up_node(home, state, node))
    for change in state.system:
        say(f"changed on this system: {change}")
    return 0


def down(home: Home) -> int:
    """Stop what `up` started, and nothing else."""
    with locked(home):
        state = load_state(home)
        for name in node_names(state):
            down_node(home, state, name)
        if "engine" in state.processes:
            with step("stopping the engine and its containers"):
                stop(state.processes["engine"], seconds=40)
                dockerd.clean_up(home, home.engine)
        if "registry" in state.processes:
            with step("stopping the registry"):
                stop(state.processes["registry"], seconds=10)
        handlers = emulation.turn_off(home)
        if handlers:
            say(f"emulation removed: {' '.join(handlers)}")
        save_state(home, dataclasses.replace(state, processes={}))
    for change in state.system:
        say(f"not undone on this system: {change}")
    say(f"kept for the next run: {home.root}")
    return 0


def status(home: Home) -> int:
    """Print what is running; return exit code 1 if the engine or the registry is not."""
    state = load_state(home)
    own = state.processes.get("engine")
    found = None if own else find_engine()
    if own:
        has_engine = is_running(own) and dockerd.answers(home.socket)
        say(f"engine: pid {own.pid}, {home.socket}: {'answers' if has_engine else 'does not answer'}")
    else:
        has_engine = found is not None
        say(f"engine: Docker {found.version} of this machine" if found else "engine: not running")
    for name in node_names(state):
        runs = is_running(state.processes.get(f"node-{name}"))
        say(f"node {name}: {'running' if runs else 'not running'}")
    has_registry = is_running(state.processes.get("registry")) and registry.answers(state.port)
    say(f"registry: 127.0.0.1:{state.port}: {'answers' if has_registry else 'does not answer'}")
    say(f"emulation: {'on' if emulation.is_on(home) else 'not registered by the demo'}")
    for change in state.system:
        say(f"changed on this system: {change}")
    return 0 if has_engine and has_registry else 1


def engine_variables(home: Home, state: State) -> dict[str, str]:
    """Return the environment variables for docker and buildx; empty if the engine is the machine's."""
    if "engine" not in state.processes:
        return {}
    path = f"{home.bin}:{os.environ.get('PATH', os.defpath)}"
    return {"DOCKER_HOST": f"unix://{home.socket}", "DOCKER_CONFIG": str(home.docker_config), "PATH": path}


def environment(home: Home, state: State) -> str:
    """Return shell lines that point docker, buildx and the tests at the demo's engine and registry."""
    variables = {**engine_variables(home, state), "DFGEN_DEMO_REGISTRY": f"127.0.0.1:{state.port}"}
    variables.pop("PATH", None)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f'export PATH={shlex.quote(str(home.bin))}:"$PATH"'])


def env(home: Home) -> int:
    """Print the shell lines for `eval "$(engine.py env)"`."""
    state = load_state(home)
    if not is_running(state.processes.get("registry")):
        raise DemoError(
            "the demo's engine and registry are not running; run: python3 examples/demo/engine.py up"
        )
    print(environment(home, state))
    return 0


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run the command."""
    commands = {"up": up, "down": down, "status": status, "env": env}
    parser = argparse.ArgumentParser(prog="engine.py", description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=commands)
    parser.add_argument(
        "--node", metavar="NAME", default="", help="with up: also start a second engine of this name"
    )
    given = parser.parse_args(arguments)
    if given.node and given.command != "up":
        parser.error("--node only applies to up")
    return up(find_home(), given.node) if given.node else commands[given.command](find_home())


if __name__ == "__main__":
    run_main(main)
