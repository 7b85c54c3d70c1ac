"""What can go wrong with a registry: one class and one form of message for each kind."""

# ruff: noqa: N818 - the words that registries use
from __future__ import annotations

import re

from dfgen.errors import OutsideError

_LONGEST_DETAIL = 200
_DAY = 24 * 3600.0  # seconds; a longer wait is none that anybody means
_NAMES = r"[\w-]*(?:token|password|secret|signature|credential)"
_SECRETS = (
    (re.compile(r"(?<=://)[^/\s@]*@"), ""),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 …"),
    (re.compile(r"\beyJ[\w-]+\.[\w.-]+"), "…"),
    (re.compile(rf"(?i)\b({_NAMES})=[^&\s]+"), r"\1=…"),
    (re.compile(rf"(?i)([\"']{_NAMES}[\"']\s*:\s*[\"'])[^\"']*"), r"\1…"),
    (re.compile(rf"(?i)\b({_NAMES}):\s+\S+"), r"\1: …"),
)


def clean(text: str) -> str:
    """Make foreign text fit for a message: one short printable line without users, tokens or passwords."""
    for secret, instead in _SECRETS:
        text = secret.sub(instead, text)
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1] + "…"


def _detail(text: str) -> str:
    return f": {clean(text)}" if text else ""


def _tries(tries: int, seconds: float) -> str:
    return f"{tries} {'try' if tries == 1 else 'tries'} in {seconds:.1f} s"


class RegistryError(OutsideError):
    """The root of what a registry, or the way to it, makes impossible."""


class Unauthorized(RegistryError):
    """The registry wants a login, or refused the one that the docker configuration has."""

    @classmethod
    def to(cls, doing: str, registry: str, known: bool) -> Unauthorized:
        """Say so; `known` is whether credentials were configured and refused."""
        why = ": the login of the docker configuration was refused; log in again" if known else "; log in"
        return cls(f"{registry}: unauthorized to {doing}{why} with `docker login {registry}`")


class Forbidden(RegistryError):
    """The registry knows who asks and does not allow it."""

    @classmethod
    def to(cls, doing: str, registry: str, detail: str) -> Forbidden:
        """Say so, with the registry's own words."""
        advice = f"ask for access, or log in as another user with `docker login {registry}`"
        return cls(f"{registry}: forbidden to {doing}{_detail(detail)}; {advice}")


class Missing(RegistryError):
    """What was asked for is not there."""

    @classmethod
    def to(cls, doing: str, registry: str, detail: str) -> Missing:
        """Say so, with the registry's own words."""
        return cls(
            f"{registry}: cannot {doing}: it is not there{_detail(detail)}; check the name and the tag"
        )


class RateLimited(RegistryError):
    """The registry wants fewer requests; that says nothing about whether what was asked for is there."""

    @classmethod
    def after(cls, host: str, cause: str, tries: int, seconds: float, wait: float | None) -> RateLimited:
        """Say how long the registry wants to be left alone, if it says so."""
        when = f"in {wait:.0f} s" if wait and wait <= _DAY else "later"
        advice = f"try again {when}, or log in for a higher limit"
        return cls(f"{host}: rate-limited: {clean(cause)} ({_tries(tries, seconds)}); {advice}")


class Corrupt(RegistryError):
    """The bytes are not the ones that their digest names."""

    @classmethod
    def of(cls, registry: str, doing: str, found: str, expected: str) -> Corrupt:
        """Say what came and what was expected."""
        advice = "nothing of it was used; try again, and tell who runs the registry if it stays so"
        return cls(f"{registry}: cannot {doing}: got {clean(found)}, expected {expected}; {advice}")


class Unreachable(RegistryError):
    """The registry cannot be reached or does not work at the moment."""

    @classmethod
    def by(cls, host: str, cause: str, tries: int, seconds: float, advice: str = "") -> Unreachable:
        """Say what happened at the last of the tries."""
        advice = advice or "check the network and try again"
        error = cls(f"{host}: unreachable: {clean(cause)} ({_tries(tries, seconds)}); {advice}")
        error.unreachable = host
        return error


class Refused(RegistryError):
    """The registry, or this client, refuses the request for a reason that a retry does not mend."""

    @classmethod
    def to(cls, doing: str, registry: str, why: str, advice: str = "") -> Refused:
        """Say why, and what to do if that is known."""
        return cls(f"{registry}: cannot {doing}: {clean(why)}{f'; {advice}' if advice else ''}")
