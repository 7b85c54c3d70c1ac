"""Who the user is to a registry: what `docker login` left in the docker configuration."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dfgen.values.errors import InputError, OutsideError

_SECTIONS = ("auths", "credsStore", "credHelpers")
_HELPER = "docker-credential-"
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
    OutsideError for a credential helper that fails; neither shows a secret.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Read nothing yet."""
        self._file = (folder or _folder()) / "config.json"
        self._lock = threading.Lock()
        self._known: dict[str, Login | None] = {}

    def login(self, registry: str) -> Login | None:
        """Look it up, running a credential helper where one is configured."""
        with self._lock:
            if registry not in self._known:
                self._known[registry] = self._look_up(registry)
            return self._known[registry]

    def _look_up(self, registry: str) -> Login | None:
        settings = self._settings()
        if not settings:
            return None
        # Slow to import, and most runs need no login.
        from docker import auth, errors

        try:
            known = auth.AuthConfig.load_config(None, settings)
            helper = known.get_credential_store(registry)
        except (errors.DockerException, ValueError, TypeError, AttributeError) as error:
            wrong = "its auths cannot be read, expected base64 of user:password"
            raise InputError(f"{self._file}: {wrong}; use `docker login` again") from error
        helper = _installed(helper, registry)
        try:
            return _login(known.resolve_authconfig(registry))
        except (errors.DockerException, ValueError, KeyError, TypeError):
            # What a helper prints may hold a secret, so neither its output nor the cause goes further.
            advice = f"try it with `echo {registry} | {helper} get`"
            raise OutsideError(f"{registry}: the credential helper {helper} failed; {advice}") from None

    def _settings(self) -> dict[str, Any]:
        try:
            data = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"{self._file}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise InputError(f"{self._file}: not JSON; {_MEND}") from error
        if not isinstance(data, dict):
            raise InputError(f"{self._file}: expected a JSON object; {_MEND}")
        return {name: data[name] for name in _SECTIONS if data.get(name)}


def _folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _installed(name: str | None, registry: str) -> str:
    helper = f"{_HELPER}{name}"
    if name and not shutil.which(helper):
        where = "is named by the docker configuration but is not on PATH"
        raise OutsideError(f"{registry}: the credential helper {helper} {where}; install it")
    return helper


def _login(entry: dict[str, Any] | None) -> Login | None:
    """Read docker.auth's entry, whose keys are capitalized when they come from a helper."""
    words = {key.lower(): value for key, value in (entry or {}).items() if value}
    if token := words.get("identitytoken"):
        return Login(identity_token=str(token))
    if name := words.get("username"):
        return Login(username=str(name), password=str(words.get("password", "")))
    return None
