"""Integration tests need a real engine and registry; a run without them says so in its last lines."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest

_BRING = "on Debian as root, `make test` brings both"


def _what_is_missing() -> str:
    if "DFGEN_DEMO_REGISTRY" not in os.environ:
        return "DFGEN_DEMO_REGISTRY names no registry"
    try:
        done = subprocess.run(
            ["docker", "buildx", "inspect"], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError as error:
        return f"docker cannot be run: {error.strerror}"
    # buildx ends with 0 when the engine does not answer, and says so among the node's fields.
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.lower().startswith("error")]
    return "no Docker engine answers" if said or done.returncode else ""


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep dfgen's cache out of the user's home."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
        yield


def pytest_configure() -> None:
    # Under nohup, or in a shell's background, Ctrl-C is ignored, and every child inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    needing = [item for item in items if item.get_closest_marker("integration")]
    missing = _what_is_missing() if needing else ""
    for item in needing if missing else ():
        item.add_marker(pytest.mark.skip(reason=f"{missing}; {_BRING}"))


def _not_run(config: pytest.Config) -> Counter[str]:
    """Count the integration tests that were skipped, by reason: an engine or a tool that is not there."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    return Counter(str(report.longrepr[2]) for report in skipped if "integration" in report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    not_run = _not_run(config)
    if not_run:
        terminalreporter.section("NOT RUN", red=True, bold=True)
    for reason, count in not_run.items():
        terminalreporter.write_line(f"{count} integration tests: {reason.removeprefix('Skipped: ')}")


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    # In CI a test that did not run is a failure: a green run must mean that all of it was tried.
    if os.environ.get("CI") and _not_run(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)
