"""A second engine (node) beside the demo's own, with a docker context, to build a platform on it.

The node has its own network namespace, because two engines in one would both manage the bridge docker0. The
namespace is isolated: a build on the node reaches only the demo's registry, through a second registry process
that serves the same data.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import dockerd
import registry
from home import DemoError, Home, State, save_state, say, step
from processes import is_running, stop


def check_name(name: str) -> str:
    """Return the name; raises DemoError unless a folder, a namespace and a docker context can have it."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,7}", name) or name == "default":
        raise DemoError(
            f"--node {name!r}: not a valid name; use 1 to 8 of a-z, 0-9 and -, starting with a letter,"
            " except 'default'",
            code=2,
        )
    return name


def node_folder(home: Home, name: str) -> Path:
    """Return the folder of a node."""
    return home.root / "nodes" / name


def node_names(state: State) -> list[str]:
    """Return the names of the nodes that have a recorded process."""
    parts = (key.partition("-") for key in state.processes)
    return sorted({name for kind, _, name in parts if kind in ("node", "noderegistry") and name})


def _namespace(name: str) -> str:
    return f"dfgen-{name}"


def _run(home: Home, *command: str) -> None:
    path = f"{home.bin}:{dockerd.system_path()}"
    if not shutil.which(command[0], path=path):
        raise DemoError(f"{command[0]}: not found, but --node needs it; run: apt-get install iproute2")
    environ = {**os.environ, "PATH": path, "DOCKER_CONFIG": str(home.docker_config)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"{' '.join(command)}: {done.stderr.strip()}")


def make_namespace(home: Home, name: str) -> None:
    """Create the node's network namespace if it does not exist, and activate its loopback."""
    if not Path("/run/netns", _namespace(name)).exists():
        _run(home, "ip", "netns", "add", _namespace(name))
    _run(home, "ip", "-n", _namespace(name), "link", "set", "lo", "up")


def make_context(home: Home, name: str) -> None:
    """Create the node's docker context in the demo's Docker configuration, if it does not exist."""
    host = f"host=unix://{node_folder(home, name) / 'docker.sock'}"
    try:
        _run(home, "docker", "context", "create", name, "--docker", host)
    except DemoError as error:
        if "already exists" not in str(error):
            raise


def up_node(home: Home, state: State, name: str) -> State:
    """Start a node beside the demo's own engine; its docker context has the node's name."""
    if "engine" not in state.processes:
        raise DemoError("--node: needs the demo's own engine, but `up` uses the engine of this machine")
    folder, key = node_folder(home, check_name(name)), f"node-{name}"
    if is_running(state.processes.get(key)):
        say(f"node {name}: already running")
        return state
    old_registry = state.processes.get(f"noderegistry-{name}")
    with step(f"node {name}, docker context {name}"):
        if old_registry:
            stop(old_registry, seconds=10)
        make_namespace(home, name)
        # Not `ip netns exec`: it hides the control groups, without which dockerd refuses to start.
        prefix = ("nsenter", f"--net=/run/netns/{_namespace(name)}")
        server = registry.start_registry(home, state.port, prefix)
        state = save_state(home, state.with_process(f"noderegistry-{name}", server))
        process = dockerd.start_engine(home, folder, prefix)
        state = save_state(home, state.with_process(key, process))
        dockerd.wait_for_engine(process, folder)
        make_context(home, name)
    return state


def down_node(home: Home, state: State, name: str) -> None:
    """Stop a node, and remove its namespace and its docker context."""
    with step(f"stopping node {name}"):
        for process in (state.processes.get(f"noderegistry-{name}"), state.processes.get(f"node-{name}")):
            if process:
                stop(process, seconds=40)
        dockerd.clean_up(home, node_folder(home, name))
        if Path("/run/netns", _namespace(name)).exists():
            _run(home, "ip", "netns", "delete", _namespace(name))
        _run(home, "docker", "context", "rm", "--force", name)
