"""Registry logins from the Docker configuration: what `docker login` and credential helpers store."""

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
from urllib.parse import quote

from dfgen.errors import DfgenError, ExternalError, InputError, keep_secret, printable
from dfgen.oci.reference import DOCKER_HUB
from dfgen.untrusted import read_json

_HELPER_TIMEOUT = 60.0  # seconds: the user may have to unlock a key store
_HELPER_PREFIX = "docker-credential-"
_NOT_FOUND = "credentials not found in native keychain"  # a helper's output if it has no login
_TOKEN_USER = "<token>"  # noqa: S105 - the user name with which a helper returns an identity token
_HUB_KEY = "https://index.docker.io/v1/"  # Docker Hub in the Docker configuration
_SECTIONS = ("auths", "credsStore", "credHelpers")
_FIX = "fix it, or set DOCKER_CONFIG to another folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user name and password, or an identity token; its repr hides the secrets."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class Credentials(Protocol):
    """Looks up logins."""

    def login(self, registry: str) -> Login | None:
        """Return the login for a registry, named as in references, or None."""
        ...


class NoCredentials:
    """Anonymous credentials."""

    def login(self, registry: str) -> Login | None:  # noqa: ARG002 - the protocol's
        """Return None."""
        return None


class DockerCredentials:
    """Logins from auths, credsStore and credHelpers of config.json in DOCKER_CONFIG or ~/.docker.

    Looks up each registry once per run. Raises InputError if the configuration cannot be read, and
    ExternalError if a credential helper fails or exceeds `timeout` seconds. Errors contain no secret.
    """

    def __init__(self, folder: Path | None = None, timeout: float = _HELPER_TIMEOUT) -> None:
        """Read nothing yet."""
        self._timeout = timeout
        self._file = (folder or _default_folder()) / "config.json"
        self._lock = threading.Lock()
        self._cache: dict[str, Login | DfgenError | None] = {}

    def login(self, registry: str) -> Login | None:
        """Return the login, running a credential helper if one is configured."""
        with self._lock:  # held during the lookup, so that threads do not run a helper twice
            if registry not in self._cache:
                try:
                    self._cache[registry] = self._look_up(registry)
                except DfgenError as error:
                    # Cached too, so that not every thread waits for a hanging helper again.
                    self._cache[registry] = error
            found = self._cache[registry]
        if isinstance(found, DfgenError):
            raise found
        if found:
            keep_secret(found.password, quote(found.password, safe=""), found.identity_token)
        return found

    def _look_up(self, registry: str) -> Login | None:
        settings = self._settings()
        if not settings:
            return None
        # Slow to import, and most runs need no login.
        from docker import auth, errors

        try:
            helper = _helper_name(settings, registry)
            auths = auth.AuthConfig.load_config(None, settings).auths
            # Without credsStore and credHelpers: docker.auth would run a helper without a timeout.
            entry = auth.AuthConfig({"auths": auths}).resolve_authconfig(registry)
        except (errors.DockerException, ValueError, TypeError, AttributeError) as error:
            wrong = "`auths` cannot be read, expected base64 of user:password"
            raise InputError(f"{self._file}: {wrong}; run `docker login` again") from error
        login = helper_login(helper, registry, self._timeout) if helper else None
        return login or _auths_login(entry)

    def _settings(self) -> dict[str, Any]:
        try:
            data = read_json(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"{self._file}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise InputError(f"{self._file}: not JSON; {_FIX}") from error
        if not isinstance(data, dict):
            raise InputError(f"{self._file}: expected a JSON object; {_FIX}")
        auths = data.get("auths")
        if isinstance(auths, dict):  # docker accepts null as an empty entry, docker.auth does not
            data["auths"] = {key: entry for key, entry in auths.items() if entry is not None}
        return {name: data[name] for name in _SECTIONS if data.get(name)}


def _default_folder() -> Path:
    # Not Path.home: it raises for a user without a home, as in many containers.
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111


def _helper_name(settings: Mapping[str, Any], registry: str) -> str:
    """Return the helper of a registry; an empty entry in credHelpers turns credsStore off for it."""
    helpers = settings.get("credHelpers", {})
    names = (_HUB_KEY, registry) if registry == DOCKER_HUB else (registry,)
    found = (helpers[name] for name in names if name in helpers)
    return str(next(found, settings.get("credsStore")) or "")


def _auths_login(entry: dict[str, Any] | None) -> Login | None:
    """Convert an entry of docker.auth; an identity token takes precedence over a password."""
    words = {key.lower(): value for key, value in (entry or {}).items() if value}
    if token := words.get("identitytoken"):
        return Login(identity_token=str(token))
    if name := words.get("username"):
        return Login(username=str(name), password=str(words.get("password", "")))
    return None


def helper_login(name: str, registry: str, timeout: float) -> Login | None:
    """Ask the credential helper `docker-credential-NAME`; None if it has no login for the registry.

    Raises ExternalError if the helper is not installed, fails or exceeds `timeout` seconds. The error has
    neither its output nor a cause, because the output may contain a secret. Protocol:
    https://github.com/docker/docker-credential-helpers#development
    """
    helper = printable(f"{_HELPER_PREFIX}{name}")
    place = f"{registry}: the credential helper {helper}"
    program = shutil.which(helper)
    if program is None:
        raise ExternalError(f"{place} from the Docker configuration is not on PATH; install it")
    advice = f"try it with `echo {registry} | {helper} get`"
    try:
        output = _run_helper(program, _HUB_KEY if registry == DOCKER_HUB else registry, timeout)
        return _parse_helper_output(output)
    except subprocess.TimeoutExpired:
        raise ExternalError(f"{place} did not respond within {timeout:g} s; {advice}") from None
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        raise ExternalError(f"{place} failed; {advice}") from None


def _run_helper(program: str, server: str, timeout: float) -> bytes:
    """Run `PROGRAM get` in its own process group, so that a timeout also kills the processes it started."""
    # Not subprocess.run: after a timeout it reads the pipes to their end, which a daemon may keep open.
    with subprocess.Popen(
        [program, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        try:
            output, _ = process.communicate(server.encode(), timeout=timeout)
        except BaseException:  # including Ctrl-C
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode and _NOT_FOUND not in output.decode(errors="replace"):
        raise subprocess.CalledProcessError(process.returncode, program)
    return b"{}" if process.returncode else output


def _parse_helper_output(output: bytes) -> Login | None:
    found = read_json(output)
    if found == {}:
        return None
    name, secret = str(found["Username"]), str(found["Secret"])
    if not name and not secret:  # some helpers return empty fields if they have no login
        return None
    if name == _TOKEN_USER:
        return Login(identity_token=secret)
    return Login(username=name, password=secret)
