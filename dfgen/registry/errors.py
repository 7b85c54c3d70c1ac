"""Registry errors: one class and one message format for each kind of failure.

RegistryError
├── Unauthorized   log in, or log in again
├── Forbidden      logged in, but without the permission
├── Missing        not found
├── RateLimited    too many requests; says nothing about whether the image exists
├── Corrupt        the bytes do not match their digest or size
├── Unreachable    no connection, or a temporary server failure
└── Refused        anything else that a retry does not fix
"""

# ruff: noqa: N818 - the words that registries use
from __future__ import annotations

import re

from dfgen.errors import ExternalError, counted, masked

_LONGEST_DETAIL = 200
_DAY = 24 * 3600.0  # seconds; a longer Retry-After is not worth printing
_NAMES = r"[\w-]*(?:token|password|secret|signature|credential)"
_SECRETS = (
    (re.compile(r"(?<=://)[^/\s@]*@"), ""),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 …"),
    (re.compile(r"\beyJ[\w-]+\.[\w.-]+"), "…"),  # JSON Web Tokens
    (re.compile(rf"(?i)\b({_NAMES})=[^&\s]+"), r"\1=…"),
    (re.compile(rf"(?i)([\"']{_NAMES}[\"']\s*:\s*[\"'])[^\"']*"), r"\1…"),
    (re.compile(rf"(?i)\b({_NAMES}):\s+\S+"), r"\1: …"),
)


def sanitize(text: str) -> str:
    """Make untrusted text safe for a message: one short printable line without users, tokens or passwords."""
    text = masked(text)  # before it is cut: the beginning of a password is a secret as well
    for secret, replacement in _SECRETS:
        text = secret.sub(replacement, text)
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1] + "…"


def _detail(text: str) -> str:
    return f": {sanitize(text)}" if text else ""


def _tries(tries: int, seconds: float) -> str:
    return f"{counted(tries, 'try')} in {seconds:.1f} s"


class RegistryError(ExternalError):
    """Base class of all errors of a registry or of the connection to it."""


class Unauthorized(RegistryError):
    """The registry requires a login, or rejected the one in the Docker configuration."""

    @classmethod
    def of(cls, operation: str, registry: str, logged_in: bool) -> Unauthorized:
        """Make the error; `logged_in` is true if credentials were configured and rejected."""
        why = (
            ": it rejected the login from the Docker configuration; log in again" if logged_in else "; log in"
        )
        return cls(f"{registry}: unauthorized to {operation}{why} with `docker login {registry}`")


class Forbidden(RegistryError):
    """The registry accepts the login but denies the operation."""

    @classmethod
    def of(cls, operation: str, registry: str, detail: str) -> Forbidden:
        """Make the error; `detail` is the registry's own message."""
        advice = f"ask for access, or log in as another user with `docker login {registry}`"
        return cls(f"{registry}: forbidden to {operation}{_detail(detail)}; {advice}")


class Missing(RegistryError):
    """The manifest, blob or repository does not exist."""

    @classmethod
    def of(cls, operation: str, registry: str, detail: str) -> Missing:
        """Make the error; `detail` is the registry's own message."""
        return cls(f"{registry}: cannot {operation}: not found{_detail(detail)}; check the name and the tag")


class RateLimited(RegistryError):
    """Too many requests; does not say whether the requested object exists."""

    @classmethod
    def of(cls, host: str, cause: str, tries: int, seconds: float, retry_after: float | None) -> RateLimited:
        """Make the error; `retry_after` is the wait in seconds that the server asked for."""
        when = f"in {retry_after:.0f} s" if retry_after and retry_after <= _DAY else "later"
        advice = f"try again {when}, or log in for a higher limit"
        return cls(f"{host}: rate-limited: {sanitize(cause)} ({_tries(tries, seconds)}); {advice}")


class Corrupt(RegistryError):
    """The bytes do not match their digest or size."""

    @classmethod
    def of(cls, operation: str, registry: str, found: str, expected: str) -> Corrupt:
        """Make the error from what was received and what was expected."""
        advice = (
            "the response was discarded; try again, and report it to the registry's operator if it persists"
        )
        return cls(f"{registry}: cannot {operation}: got {sanitize(found)}, expected {expected}; {advice}")


class Unreachable(RegistryError):
    """The registry cannot be reached, or fails temporarily."""

    @classmethod
    def of(cls, host: str, cause: str, tries: int, seconds: float, advice: str = "") -> Unreachable:
        """Make the error; `cause` is that of the last try."""
        advice = advice or "check the network and try again"
        error = cls(f"{host}: unreachable: {sanitize(cause)} ({_tries(tries, seconds)}); {advice}")
        error.unreachable = host
        return error


class Refused(RegistryError):
    """The registry or this client refuses the request for a reason that a retry does not fix."""

    @classmethod
    def of(cls, operation: str, registry: str, why: str, advice: str = "") -> Refused:
        """Make the error, with advice if there is any."""
        return cls(f"{registry}: cannot {operation}: {sanitize(why)}{f'; {advice}' if advice else ''}")
