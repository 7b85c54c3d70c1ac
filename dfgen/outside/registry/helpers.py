"""Credential helpers: the programs that docker's configuration names, asked within a time that ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from dfgen.errors import OutsideError, printable
from dfgen.oci.reference import DOCKER_HUB
from dfgen.untrusted import read_json

PATIENCE = 60.0  # seconds: a person may have to unlock a key store meanwhile
_PREFIX = "docker-credential-"
HUB = "https://index.docker.io/v1/"  # what Docker Hub is called there
_NONE = "credentials not found in native keychain"  # how a helper says that it has no login


def ask_helper(name: str, registry: str, patience: float = PATIENCE) -> Mapping[str, str] | None:
    """Ask for a login, as `Username` and `Secret`; None where the helper has none for this registry.

    Errors: OutsideError for one that is not there, fails or does not answer. What a helper prints may hold a
    secret, so neither its output nor the cause goes further.
    """
    helper = printable(f"{_PREFIX}{name}")
    program = shutil.which(helper)
    if program is None:
        where = "is named by the docker configuration but is not on PATH"
        raise OutsideError(f"{registry}: the credential helper {helper} {where}; install it")
    advice = f"try it with `echo {registry} | {helper} get`"
    try:
        said = _run(program, HUB if registry == DOCKER_HUB else registry, patience)
        return _login(said)
    except subprocess.TimeoutExpired:
        late = f"did not answer within {patience:g} s"
        raise OutsideError(f"{registry}: the credential helper {helper} {late}; {advice}") from None
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        raise OutsideError(f"{registry}: the credential helper {helper} failed; {advice}") from None


def _run(program: str, server: str, patience: float) -> bytes:
    """Run `PROGRAM get` in a process group of its own, so that nothing it started outlives its time."""
    # Its pipes are closed rather than read to their end, which a daemon that it left behind may hold open.
    with subprocess.Popen(
        [program, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        try:
            said, _ = process.communicate(server.encode(), timeout=patience)
        except BaseException:  # Ctrl-C too
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode and _NONE not in said.decode(errors="replace"):
        raise subprocess.CalledProcessError(process.returncode, program)
    return b"{}" if process.returncode else said


def _login(said: bytes) -> Mapping[str, str] | None:
    """Read an answer; one without a name and secret is how some helpers say that they have none."""
    found = read_json(said)
    if found == {}:
        return None
    login = {key: str(found[key]) for key in ("Username", "Secret")}
    return login if any(login.values()) else None
