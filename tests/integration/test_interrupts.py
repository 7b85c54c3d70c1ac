"""An interrupted or killed build leaves a valid layout, and the next one resumes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dfgen.oci.layout import Layout
from tests.integration.conftest import Work, leftovers, states

pytestmark = pytest.mark.integration

WAIT = 60.0  # seconds until a test that waits gives up

SLOW = {
    "templates/quick.j2": "FROM {{ parent }}\nRUN uname -m > /arch\n",
    "templates/slow.j2": "FROM {{ parent }}\nCOPY files/ /\nRUN cat /wait; sleep $(cat /wait)\n",
    "bases/quick/base.yaml": "template: quick.j2\nparent: PARENT\nversions: ['1']\n",
    "bases/slow/base.yaml": (
        "template: slow.j2\nparent: PARENT\nversions: ['1']\nplatforms: [linux/amd64]\n"
        "tests:\n  - run: sleep $(cat /test)\n"
    ),
    "bases/slow/files/wait": "1000\n",
    "bases/slow/files/test": "0\n",
}


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def running(work: Work) -> list[str]:
    """Find the programs that work on the catalog."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(str(work.root).encode() in word for word in words):
            found.append(b" ".join(words).decode())
    return found


@pytest.fixture
def begun(work: Work) -> Iterator[subprocess.Popen[str]]:
    """Give a build whose slow image is at its RUN, while the quick ones are done."""
    work.prepare(SLOW)
    process = subprocess.Popen(
        work.command("--format", "json", "build", "-j", "3"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log = work.root / "dist" / "logs" / "slow-1-amd64.log"
    until(lambda: log.exists() and " 1000" in log.read_text(), "the slow build")
    layout = Layout(work.root / "dist")
    until(lambda: "quick:1" in layout.entries(), "the quick build")
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def resumed(work: Work) -> dict[str, str]:
    """Build again what does not wait any more; returns what became of each image."""
    work.write({"bases/slow/files/wait": "0\n", "bases/slow/files/test": "0\n"})
    work.run("build")
    layout = Layout(work.root / "dist")
    entries = layout.entries()
    assert sorted(entries) == ["quick:1", "quick:1-aarch64", "quick:1-x86_64", "slow:1", "slow:1-x86_64"]
    assert all(layout.is_intact(entry, deep=True) for entry in entries.values())
    return states(work)


RESUMED = {"quick:1@amd64": "up to date", "quick:1@arm64": "up to date", "slow:1@amd64": "built"}


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_children_and_the_next_run_goes_on(
    work: Work, begun: subprocess.Popen[str], sign: signal.Signals
) -> None:
    begun.send_signal(sign)
    output, _ = begun.communicate(timeout=WAIT)
    assert begun.returncode == 130
    assert output.splitlines()[-1] == "interrupted"
    printed = re.search(r"^\[$.*^\]$", output, re.MULTILINE | re.DOTALL)
    assert printed
    assert {one["family"]: one["state"] for one in json.loads(printed[0])} == {
        "quick": "built",
        "slow": "interrupted",
    }
    assert re.search(r"^2 built, 1 interrupted in [0-9.]+ s$", output, re.MULTILINE)
    assert "Traceback" not in output
    assert running(work) == []
    assert list((work.root / "dist" / ".partial").iterdir()) == []
    assert states(work) == {
        "quick:1@amd64": "built",
        "quick:1@arm64": "built",
        "slow:1@amd64": "interrupted",
    }
    assert resumed(work) == RESUMED


def test_a_kill_leaves_a_valid_layout_and_the_next_run_goes_on(
    work: Work, begun: subprocess.Popen[str]
) -> None:
    begun.kill()
    begun.wait()
    until(lambda: running(work) == [], "buildx, which ends with dfgen")
    layout = Layout(work.root / "dist")
    assert all(layout.is_intact(entry, deep=True) for entry in layout.entries().values())
    assert resumed(work) == RESUMED


def test_an_interrupt_in_a_smoke_test_removes_its_container_and_image(work: Work) -> None:
    work.prepare(SLOW)
    work.write({"bases/slow/files/wait": "0\n", "bases/slow/files/test": "1000\n"})
    with subprocess.Popen(
        work.command("build", "slow"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        until(lambda: bool(leftovers()), "the smoke test")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert leftovers() == ""
    assert Layout(work.root / "dist").entries() == {}


def test_what_a_kill_leaves_of_a_smoke_test_is_removed_by_the_next_run_of_the_same_catalog(
    work: Work, tmp_path: Path
) -> None:
    work.prepare(SLOW)
    work.write({"bases/slow/files/wait": "0\n", "bases/slow/files/test": "1000\n"})
    with subprocess.Popen(work.command("build", "slow"), stderr=subprocess.DEVNULL) as process:
        until(lambda: len(leftovers().split()) == 2, "the smoke test")
        # Whoever else uses the engine, or the layout, leaves alone what belongs to a living process.
        assert work.run("gc", code=3).stderr.startswith(f"{work.root}/dist: another process is writing, ")
        other = Work(tmp_path / "other", work.parent)
        other.prepare(SLOW)
        other.run("build", "quick@amd64")
        other.run("gc")
        assert len(leftovers().split()) == 2
        process.kill()
    until(lambda: running(work) == [], "buildx, which ends with dfgen")
    assert len(leftovers().split()) == 2
    other.run("gc")
    assert len(leftovers().split()) == 2
    (name,) = (path.name for path in (work.root / "dist" / ".tests").iterdir())
    told = work.run("--format", "json", "doctor", code=1)
    said = {one["what"]: one["said"] for one in json.loads(told.stdout)}
    assert said["smoke tests"] == (
        f"an interrupted smoke test left localhost/dfgen-test:{name} in an engine;"
        " run `dfgen gc`, or leave it to the next build"
    )
    whole = "2 containers and images of interrupted smoke tests"
    assert work.run("gc", "--dry-run").stderr.splitlines()[-1] == f"{whole} would be removed from the engine"
    work.write({"bases/slow/files/test": "0\n"})
    done = work.run("build", "slow")
    assert f"{whole} removed from the engine" in done.stderr.splitlines()
    assert leftovers() == ""
    assert list((work.root / "dist" / ".tests").iterdir()) == []
