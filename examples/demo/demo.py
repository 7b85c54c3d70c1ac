"""The demo: start an engine and a registry, make parent images, then run dfgen from lock to verify.

The demo works on a copy of the catalog in its own folder; `mirrors` in that copy redirects all parents to the
local registry. Every command is printed before it runs, so that you can repeat it.
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
from typing import Any

import engine
import parents
from home import DemoError, Home, find_home, load_state, locked, run_main, say
from standins import split_reference

REPOSITORY = Path(__file__).resolve().parents[2]
DFGEN = Path(sys.executable).with_name("dfgen")
PLATFORMS = ("linux/amd64", "linux/arm64")
# The command that each family's merged tag runs at the end; empty for the image's own.
COMMANDS: Mapping[str, Sequence[str]] = {
    "java-base": ("java", "-version"),
    "nginx-base": ("nginx", "-v"),
    "centos-base": ("uname", "-m"),
    "java-app": (),
}


class Work:
    """The demo's copy of the catalog, and the commands that run on it."""

    def __init__(self, home: Home) -> None:
        state = load_state(home)
        self.folder = home.root / "work"
        self.registry = f"127.0.0.1:{state.port}"
        self.environment = {**os.environ, **engine.engine_variables(home, state)}

    def prepare(self) -> None:
        """Copy the catalog and the example application; keep what earlier runs locked, rendered and built."""
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

    def images(self) -> list[dict[str, Any]]:
        """Return the images of the catalog, as `dfgen list` prints them."""
        done = subprocess.run(
            [DFGEN, "-C", self.folder, "--format", "json", "list"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"dfgen list failed: {done.stderr.strip()}")
        images: list[dict[str, Any]] = json.loads(done.stdout)
        return images

    def upstream_parents(self) -> list[str]:
        """Return the catalog's upstream parents; a parent without "/" in its name is another family."""
        named = {parent for image in self.images() for parent in image["parents"]}
        return sorted(parent for parent in named if "/" in parent)

    def dfgen(self, *arguments: str) -> None:
        """Run a dfgen command as a user would; raises DemoError if it fails."""
        self.run(str(DFGEN), *arguments, shown=["dfgen", *arguments])

    def run(self, *command: str, shown: Sequence[str] = ()) -> None:
        """Print a command, then run it; raises DemoError with its exit code if it fails."""
        print(f"\n$ {shlex.join(shown or command)}", flush=True)
        done = subprocess.run(command, cwd=self.folder, env=self.environment, check=False)
        if done.returncode:
            raise DemoError(
                f"`{shlex.join(shown or command)}` failed with exit code {done.returncode}", done.returncode
            )


def run_images(work: Work) -> None:
    """Run every merged tag on both platforms; the engine chooses the image for the platform."""
    target = f"{work.registry}/demo"
    versions = dict.fromkeys((image["family"], image["version"]) for image in work.images())
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
    """Run all steps: engine, parents, lock, render, build, publish, verify, docker run."""
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
    print("\nSecond build, nothing to do:", flush=True)
    work.dfgen("build")
    say(
        f"done in {time.monotonic() - start:.0f} s; the catalog, the layout and the logs are in {work.folder}"
    )
    say("the parents were stand-ins; `make demo-down` stops the engine and the registry")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run the demo."""
    argparse.ArgumentParser(prog="demo.py", description=__doc__.split("\n")[0]).parse_args(arguments)
    if not DFGEN.exists():
        raise DemoError("dfgen is not installed in this Python; run `make demo`, which installs it")
    return demo(find_home())


if __name__ == "__main__":
    run_main(main)
