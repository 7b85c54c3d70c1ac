"""The demo's folder: its paths, the state that is kept between runs, and progress output.

Everything that the demo stores is below one folder (`DFGEN_DEMO_HOME`, by default `~/.cache/dfgen-demo`),
so that it can be found, stopped and deleted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from processes import Process

# The longest socket path that the engine creates below the folder, and the kernel's limit for a socket path:
# sun_path has 108 bytes, one of them for the terminating zero.
LONGEST_SOCKET = "nodes/12345678/exec/containerd/containerd-debug.sock"
SOCKET_LIMIT = 107


class DemoError(Exception):
    """An error that the user sees as one line; `code` is the exit code (2 usage, 3 environment)."""

    def __init__(self, message: str, code: int = 3) -> None:
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The paths below the demo's folder `root`."""

    root: Path

    @property
    def bin(self) -> Path:
        """Links to the programs in `unpacked`; the first folder of PATH."""
        return self.root / "bin"

    @property
    def unpacked(self) -> Path:
        """The files of the engine's Debian packages."""
        return self.root / "unpacked"

    @property
    def docker_config(self) -> Path:
        """The value of DOCKER_CONFIG: contexts and the buildx plugin."""
        return self.root / "docker-config"

    @property
    def engine(self) -> Path:
        """The engine's socket, data, configuration and log."""
        return self.root / "engine"

    @property
    def socket(self) -> Path:
        """The engine's API socket."""
        return self.engine / "docker.sock"

    @property
    def registry(self) -> Path:
        """The registry's data, configuration and log."""
        return self.root / "registry"

    @property
    def parents(self) -> Path:
        """The cached root file systems of the stand-in parents."""
        return self.root / "parents"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What `up` records for `down`, `env` and the next `up`."""

    processes: Mapping[str, Process] = dataclasses.field(default_factory=dict)
    port: int = 0
    """The registry's port on 127.0.0.1; 0 before the first start."""
    system: tuple[str, ...] = ()
    """The changes outside the folder, in words."""

    def with_process(self, name: str, process: Process) -> State:
        """Return the state with `name` recorded as `process`."""
        return dataclasses.replace(self, processes={**self.processes, name: process})

    def without_process(self, name: str) -> State:
        """Return the state without the process `name`."""
        left = {key: value for key, value in self.processes.items() if key != name}
        return dataclasses.replace(self, processes=left)

    def with_system(self, *changes: str) -> State:
        """Return the state with more changes to the system, each listed once."""
        return dataclasses.replace(self, system=tuple(dict.fromkeys((*self.system, *changes))))


def find_home(environ: Mapping[str, str] = os.environ) -> Home:
    """Return the demo's folder; raises DemoError if its path is too long for the engine's sockets."""
    named = environ.get("DFGEN_DEMO_HOME")
    root = Path(named).absolute() if named else Path.home() / ".cache" / "dfgen-demo"
    spare = SOCKET_LIMIT - len(os.fsencode(root / LONGEST_SOCKET))
    if spare < 0:
        raise DemoError(
            f"DFGEN_DEMO_HOME: {str(root)!r} is {-spare} bytes too long for the engine's sockets;"
            " use a shorter path",
            code=2,
        )
    return Home(root=root)


def load_state(home: Home) -> State:
    """Return the saved state; an empty one before the first `up` or if the file is damaged."""
    try:
        data = json.loads((home.root / "state.json").read_text())
        processes = {name: Process(**fields) for name, fields in data["processes"].items()}
        return State(processes=processes, port=data["port"], system=tuple(data["system"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return State()


def write_file(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file through a temporary file and a rename, so that nobody reads a half-written one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(mode)
    temporary.rename(path)


def save_state(home: Home, state: State) -> State:
    """Save the state and return it."""
    write_file(home.root / "state.json", json.dumps(dataclasses.asdict(state), indent=2) + "\n")
    return state


@contextlib.contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold an exclusive lock on the folder for the block; a second command waits."""
    home.root.mkdir(parents=True, exist_ok=True)
    with (home.root / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """Print one line of progress, unbuffered."""
    print(f"demo: {text}", flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Print one line for a step; complete it with the seconds that the step took."""
    print(f"demo: {text} ...", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - start:.1f} s", flush=True)


def run_main(main: Callable[[Sequence[str]], int]) -> None:
    """Run a command's main function; print a DemoError as one line and exit with its code."""
    try:
        sys.exit(main(sys.argv[1:]))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        print("demo: interrupted; run it again to continue", file=sys.stderr)
        sys.exit(130)
