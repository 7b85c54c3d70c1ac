"""Where a registry's API lies, and which host may be told what."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

from dfgen.errors import InputError
from dfgen.oci.reference import DOCKER_HUB


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """How registries are reached; hosts are written as in a reference, with their port.

    A loopback registry speaks plain HTTP unless it is in `tls`;
    any other speaks HTTPS unless it is in `insecure`.
    """

    insecure: frozenset[str] = frozenset()
    tls: frozenset[str] = frozenset()
    ca_file: Path | None = None  # certificates to trust besides the system's own
    deadline: float = 60.0  # seconds in total per operation, tries and pauses included
    silence: float = 20.0  # seconds after which a connection that says nothing is given up
    connections: int = 16  # kept open per host
    chunk: int = 16 * 2**20  # bytes per request where a registry wants uploads in pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time and chance as the client sees them, so that tests wait for nothing."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


_HUB_API = "registry-1.docker.io"
_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Origin:
    """The scheme, host and port of a URL: what decides whether two URLs are the same server."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Read a URL's; a URL that has none, or is neither http nor https, is a ValueError."""
        parts = urlsplit(url)
        return _origin(parts.scheme.lower(), parts.netloc)

    def __str__(self) -> str:
        """Write it for a message, without what people hide in URLs: `cdn.example.com`, `127.0.0.1:5000`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@lru_cache(maxsize=256)  # every request asks several times, of the same few servers
def _origin(scheme: str, netloc: str) -> Origin:
    parts = urlsplit(f"//{netloc}")
    if scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an http or https address")
    return Origin(scheme, parts.hostname, parts.port or _PORTS[scheme])


@dataclass(frozen=True, slots=True)
class Site:
    """A registry as references name it, and the origin that serves its API."""

    registry: str
    origin: Origin
    base: str

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, registry: str, options: RegistryOptions) -> Site:
        """Find it: plain HTTP on loopback or where it is allowed by name, else HTTPS."""
        host = _HUB_API if registry == DOCKER_HUB else registry
        try:
            plain = registry in options.insecure or is_loopback(urlsplit(f"//{host}").hostname)
            scheme = "http" if plain and registry not in options.tls else "https"
            return cls(registry, Origin.of(f"{scheme}://{host}"), f"{scheme}://{host}")
        except ValueError as error:
            raise InputError(f"{registry}: not a registry's address, expected host or host:port") from error

    def follow(self, base: str, location: str) -> str:
        """Where a redirect or an upload's Location leads; from HTTPS to plain HTTP is a ValueError.

        User and password in an address that a server made up are not used.
        """
        parts = urlsplit(urljoin(base, location))
        target = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
        origin = Origin.of(target)
        if origin.scheme == "http" and Origin.of(base).scheme == "https":
            raise ValueError(f"it leads from HTTPS to plain HTTP at {origin}")
        return target

    def may_tell(self, realm: Origin) -> bool:
        """Whether the token server that this registry names may see the credentials for the registry."""
        both_tls = self.origin.scheme == realm.scheme == "https"
        same = realm.host == self.origin.host
        return both_tls or same or (is_loopback(realm.host) and is_loopback(self.origin.host))


Scopes = frozenset[tuple[str, str]]  # repository path and action: ("library/nginx", "pull")

PULL = ("pull",)
PUSH = ("pull", "push")


def scopes_of(path: str, actions: tuple[str, ...] = PULL) -> Scopes:
    """What a request for one repository needs."""
    return frozenset((path, action) for action in actions)


def spell(scopes: Scopes) -> list[str]:
    """Write scopes as a token server reads them: `repository:library/nginx:pull,push`."""
    paths = sorted({path for path, _ in scopes})
    actions = {path: ",".join(sorted(action for other, action in scopes if other == path)) for path in paths}
    return [f"repository:{path}:{actions[path]}" for path in paths]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """A request's registry, what it needs, and what it does in words: `pull docker.io/library/nginx:1.28`."""

    site: Site
    scopes: Scopes
    doing: str

    @property
    def writes(self) -> bool:
        """Whether it is to change something there."""
        return any(action == "push" for _, action in self.scopes)

    @property
    def registry(self) -> str:
        """The registry as references name it."""
        return self.site.registry
