"""The whole of dfgen on a bare machine: `demo.py` brings an engine, a registry and parents, and goes the way.

It works in a folder of its own with a copy of the catalog, whose parents are read from the local registry
through `mirrors`. Every command that it runs is printed, so that it can be typed again.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import engine
import parents
from home import DemoError, Home, find_home, load_state, locked, run_main, say
from standins import split_reference

REPOSITORY = Path(__file__).resolve().parents[2]
DFGEN = Path(sys.executable).with_name("dfgen")
PLATFORMS = ("linux/amd64", "linux/arm64")
# What each family's merged tag is run with at the end.
COMMANDS: Mapping[str, Sequence[str]] = {
    "java-base": ("java", "-version"),
    "nginx-base": ("nginx", "-v"),
    "centos-base": ("uname", "-m"),
    "java-app": (),
}


class Work:
    """The demo's own copy of the catalog, and the commands that are run on it."""

    def __init__(self, home: Home) -> None:
        state = load_state(home)
        self.folder = home.root / "work"
        self.registry = f"127.0.0.1:{state.port}"
        self.environment = {**os.environ, **engine.engine_variables(home, state)}

    def prepare(self) -> None:
        """Lays the catalog and the example application out; what was built and locked before stays."""
        for source in (REPOSITORY, REPOSITORY / "examples/java-app"):
            for name in ("bases", "templates"):
                shutil.copytree(
                    source / name,
                    self.folder / name,
                    dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("Dockerfile_*", "lock.json"),
                )
        catalog = self.folder / "bases/catalog.yaml"
        hosts = sorted({split_reference(parent)[0] for parent in self.upstream_parents()})
        mirrors = "".join(f"  {host}: {self.registry}/{host}\n" for host in hosts)
        text = (REPOSITORY / "bases/catalog.yaml").read_text(encoding="utf-8")
        catalog.write_text(f"{text}\nmirrors:\n{mirrors}", encoding="utf-8")

    def upstream_parents(self) -> list[str]:
        """The upstream images that the catalog is built on."""
        done = subprocess.run(
            [DFGEN, "-C", self.folder, "--format", "json", "list"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"dfgen list failed: {done.stderr.strip()}")
        named = {parent for image in json.loads(done.stdout) for parent in image["parents"]}
        return sorted(parent for parent in named if "/" in parent)

    def dfgen(self, *arguments: str) -> None:
        """Runs a dfgen command as a person would, and stops the demo when it fails."""
        self.run(str(DFGEN), *arguments, shown=["dfgen", *arguments])

    def run(self, *command: str, shown: Sequence[str] = ()) -> None:
        """Prints a command, then runs it."""
        print(f"\n$ {shlex.join(shown or command)}", flush=True)
        done = subprocess.run(command, cwd=self.folder, env=self.environment, check=False)
        if done.returncode:
            raise DemoError(f"`{shlex.join(shown or command)}` ended with {done.returncode}", done.returncode)


def run_images(work: Work) -> None:
    """Runs every merged tag on both platforms; the engine picks the right child."""
    target = f"{work.registry}/demo"
    done = subprocess.run(
        [DFGEN, "-C", work.folder, "--format", "json", "list"],
        env=work.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    versions = dict.fromkeys((image["family"], image["version"]) for image in json.loads(done.stdout))
    for family, version in versions:
        for platform in PLATFORMS:
            image = f"{target}/{family}:{version}"
            work.run(
                "docker",
                "run",
                "--rm",
                "--pull",
                "always",
                "--quiet",
                "--platform",
                platform,
                image,
                *COMMANDS[family],
            )


def demo(home: Home) -> int:
    """Goes the whole way: engine, parents, lock, render, build, publish, verify, run."""
    start = time.monotonic()
    engine.up(home)
    work = Work(home)
    with locked(home):
        work.prepare()
        parents.make_parents(home, work.upstream_parents())
    print(f'\n$ eval "$({sys.executable} {Path(__file__).with_name("engine.py")} env)"')
    print(f"$ cd {work.folder}", flush=True)
    target = f"{work.registry}/demo"
    work.dfgen("lock", "--upgrade")
    work.dfgen("render")
    work.dfgen("build")
    work.dfgen("publish", "--registry", target)
    work.dfgen("verify", "--registry", target)
    run_images(work)
    print("\nBuilt again, nothing is to be done:", flush=True)
    work.dfgen("build")
    say(
        f"done in {time.monotonic() - start:.0f} s; the catalog, the layout and the logs are in {work.folder}"
    )
    say("the parents were stand-ins; `make demo-down` ends the engine and the registry")
    return 0


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    argparse.ArgumentParser(prog="demo.py", description=__doc__.split("\n")[0]).parse_args(arguments)
    if not DFGEN.exists():
        raise DemoError("dfgen is not installed in this Python; run `make demo`, which installs it")
    return demo(find_home())


if __name__ == "__main__":
    run_main(main)
