"""Who the user is to a registry: what `docker login` left in the docker configuration."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dfgen.errors import DfgenError, InputError, OutsideError, printable
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
        return _helper_answer(said)
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


def _helper_answer(said: bytes) -> Mapping[str, str] | None:
    """Read an answer; one without a name and secret is how some helpers say that they have none."""
    found = read_json(said)
    if found == {}:
        return None
    login = {key: str(found[key]) for key in ("Username", "Secret")}
    return login if any(login.values()) else None


_SECTIONS = ("auths", "credsStore", "credHelpers")
_NOBODY = "<token>"  # the user name with which a helper gives an identity token
_MEND = "mend it, or set DOCKER_CONFIG to another folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user name with its password, or an identity token; none of the secrets shows when it is printed."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class Credentials(Protocol):
    """What knows logins."""

    def login(self, registry: str) -> Login | None:
        """The login for a registry as references name it; None where there is none."""
        ...


class NoCredentials:
    """Nobody is logged in anywhere."""

    def login(self, registry: str) -> Login | None:  # noqa: ARG002 - the protocol's
        """None."""
        return None


class DockerCredentials:
    """The docker configuration: auths, credsStore, credHelpers; DOCKER_CONFIG or ~/.docker is its folder.

    Each registry is looked up once per run. Errors: InputError for a configuration that cannot be read,
    OutsideError for a credential helper that fails, or is silent for `patience` seconds. No secret shows.
    """

    def __init__(self, folder: Path | None = None, patience: float = PATIENCE) -> None:
        """Read nothing yet."""
        self._patience = patience
        self._file = (folder or _folder()) / "config.json"
        self._lock = threading.Lock()
        self._known: dict[str, Login | DfgenError | None] = {}

    def login(self, registry: str) -> Login | None:
        """Look it up, running a credential helper where one is configured."""
        with self._lock:
            if registry not in self._known:
                try:
                    self._known[registry] = self._look_up(registry)
                except DfgenError as error:  # a helper that hangs is not waited for once for every thread
                    self._known[registry] = error
            found = self._known[registry]
        if isinstance(found, DfgenError):
            raise found
        return found

    def _look_up(self, registry: str) -> Login | None:
        settings = self._settings()
        if not settings:
            return None
        # Slow to import, and most runs need no login.
        from docker import auth, errors

        try:
            helper = _helper(settings, registry)
            known = auth.AuthConfig.load_config(None, settings)
            # docker.auth would wait for a helper without end, so it is asked for what it has read alone.
            entry = auth.AuthConfig({"auths": known.auths}).resolve_authconfig(registry)
        except (errors.DockerException, ValueError, TypeError, AttributeError) as error:
            wrong = "its auths cannot be read, expected base64 of user:password"
            raise InputError(f"{self._file}: {wrong}; use `docker login` again") from error
        kept = ask_helper(helper, registry, self._patience) if helper else None
        return _kept(kept) if kept else _login(entry)

    def _settings(self) -> dict[str, Any]:
        try:
            data = read_json(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"{self._file}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise InputError(f"{self._file}: not JSON; {_MEND}") from error
        if not isinstance(data, dict):
            raise InputError(f"{self._file}: expected a JSON object; {_MEND}")
        auths = data.get("auths")
        if isinstance(auths, dict):  # docker takes null for an entry with nothing in it; docker.auth does not
            data["auths"] = {key: entry for key, entry in auths.items() if entry is not None}
        return {name: data[name] for name in _SECTIONS if data.get(name)}


def _folder() -> Path:
    # A user without a home, as containers have, is no error: Path.home would make it one.
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111


def _helper(settings: Mapping[str, Any], registry: str) -> str:
    """Name the helper of a registry; one that is set to nothing for it is none, whatever the others have."""
    helpers = settings.get("credHelpers", {})
    names = (HUB, registry) if registry == DOCKER_HUB else (registry,)
    found = (helpers[name] for name in names if name in helpers)
    return str(next(found, settings.get("credsStore")) or "")


def _kept(kept: Mapping[str, str]) -> Login:
    """Read what a helper keeps."""
    if kept["Username"] == _NOBODY:
        return Login(identity_token=kept["Secret"])
    return Login(username=kept["Username"], password=kept["Secret"])


def _login(entry: dict[str, Any] | None) -> Login | None:
    """Read docker.auth's entry."""
    words = {key.lower(): value for key, value in (entry or {}).items() if value}
    if token := words.get("identitytoken"):
        return Login(identity_token=str(token))
    if name := words.get("username"):
        return Login(username=str(name), password=str(words.get("password", "")))
    return None
