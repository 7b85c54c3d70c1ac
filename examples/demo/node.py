"""A second node: an engine beside the demo's own, which a docker context names, to build a platform there.

It has a network namespace of its own, since two engines in one would quarrel over the bridge docker0. There
is no way out of that namespace: a build on the node reaches the demo's registry, by a second server on the
same data, and nothing else.
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
    """The name, if it can be a folder, a namespace and a docker context at once."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,7}", name) or name == "default":
        raise DemoError(f"--node {name!r}: expected 1 to 8 of a-z, 0-9 and -, a letter first", 2)
    return name


def node_folder(home: Home, name: str) -> Path:
    """The folder with everything of a node."""
    return home.root / "nodes" / name


def node_names(state: State) -> list[str]:
    """The nodes of which something was started."""
    parts = (key.partition("-") for key in state.processes)
    return sorted({name for kind, _, name in parts if kind in ("node", "noderegistry") and name})


def _namespace(name: str) -> str:
    return f"dfgen-{name}"


def _run(home: Home, *command: str) -> None:
    path = f"{home.bin}:{dockerd.system_path()}"
    if not shutil.which(command[0], path=path):
        raise DemoError(f"{command[0]}: not found, expected it for --node; run: apt-get install iproute2")
    environ = {**os.environ, "PATH": path, "DOCKER_CONFIG": str(home.docker_config)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"{' '.join(command)}: {done.stderr.strip()}")


def make_namespace(home: Home, name: str) -> None:
    """Makes the node's network namespace with its loopback up, where there is none."""
    if not Path("/run/netns", _namespace(name)).exists():
        _run(home, "ip", "netns", "add", _namespace(name))
    _run(home, "ip", "-n", _namespace(name), "link", "set", "lo", "up")


def make_context(home: Home, name: str) -> None:
    """Makes the docker context that names the node, in the demo's Docker configuration."""
    host = f"host=unix://{node_folder(home, name) / 'docker.sock'}"
    try:
        _run(home, "docker", "context", "create", name, "--docker", host)
    except DemoError as error:
        if "already exists" not in str(error):
            raise


def up_node(home: Home, state: State, name: str) -> State:
    """Starts a node beside the demo's own engine; the context is named as the node."""
    if "engine" not in state.processes:
        raise DemoError("--node: the engine here is not the demo's own, expected one that `up` started")
    folder, key = node_folder(home, check_name(name)), f"node-{name}"
    if is_running(state.processes.get(key)):
        say(f"node {name}: runs already")
        return state
    left = state.processes.get(f"noderegistry-{name}")
    with step(f"node {name}, docker context {name}"):
        if left:
            stop(left, seconds=10)
        make_namespace(home, name)
        # Entered by nsenter: `ip netns exec` hides the control groups, and dockerd refuses to start.
        prefix = ("nsenter", f"--net=/run/netns/{_namespace(name)}")
        server = registry.start_registry(home, state.port, prefix)
        state = save_state(home, state.with_process(f"noderegistry-{name}", server))
        process = dockerd.start_engine(home, folder, prefix)
        state = save_state(home, state.with_process(key, process))
        dockerd.wait_for_engine(process, folder)
        make_context(home, name)
    return state


def down_node(home: Home, state: State, name: str) -> None:
    """Ends a node, and removes its namespace and its context."""
    with step(f"node {name} ends"):
        for process in (state.processes.get(f"noderegistry-{name}"), state.processes.get(f"node-{name}")):
            if process:
                stop(process, seconds=40)
        dockerd.clear_up(home, node_folder(home, name))
        if Path("/run/netns", _namespace(name)).exists():
            _run(home, "ip", "netns", "delete", _namespace(name))
        _run(home, "docker", "context", "rm", "--force", name)
