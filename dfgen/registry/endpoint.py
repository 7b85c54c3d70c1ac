"""Registry endpoints: options, URLs and origins, and which hosts may receive credentials."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

from dfgen.errors import InputError
from dfgen.oci.reference import DOCKER_HUB

_HUB_API = "registry-1.docker.io"
_PORTS = {"http": 80, "https": 443}

Scopes = frozenset[tuple[str, str]]  # repository path and action: ("library/nginx", "pull")

PULL = ("pull",)
PUSH = ("pull", "push")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """Connection options. Hosts are written as in a reference, including the port.

    Loopback registries use plain HTTP unless listed in `tls`;
    all others use HTTPS unless listed in `insecure`.
    """

    insecure: frozenset[str] = frozenset()
    tls: frozenset[str] = frozenset()
    ca_file: Path | None = None  # certificates to trust in addition to the system's
    deadline: float = 60.0  # seconds in total per operation, including retries and pauses
    idle_timeout: float = 20.0  # seconds without any data after which a connection is closed
    connections: int = 16  # kept open per host
    chunk_size: int = 16 * 2**20  # bytes per request of a chunked upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Injectable time and randomness, so that tests do not wait."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random  # in [0, 1)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registry as references name it, and the base URL and origin of its API."""

    registry: str
    origin: Origin
    base_url: str

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, registry: str, options: RegistryOptions) -> Endpoint:
        """Choose HTTP or HTTPS by the options. Raises InputError if `registry` is not a host."""
        host = _HUB_API if registry == DOCKER_HUB else registry
        try:
            plain = registry in options.insecure or is_loopback(urlsplit(f"//{host}").hostname)
            scheme = "http" if plain and registry not in options.tls else "https"
            return cls(registry, Origin.of(f"{scheme}://{host}"), f"{scheme}://{host}")
        except ValueError as error:
            raise InputError(f"{registry}: not a registry address, expected host or host:port") from error

    def follow(self, base: str, location: str) -> str:
        """Resolve the Location of a redirect or an upload against `base`, without its user and password.

        Raises ValueError if it downgrades HTTPS to plain HTTP.
        """
        parts = urlsplit(urljoin(base, location))
        # A server must not make this client send a user and password of the server's choice.
        target = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
        origin = Origin.of(target)
        if origin.scheme == "http" and Origin.of(base).scheme == "https":
            raise ValueError(f"downgrade from HTTPS to plain HTTP at {origin}")
        return target

    def may_receive_login(self, realm: Origin) -> bool:
        """Return whether the token server `realm` may receive the login for this registry.

        A plain HTTP response can be forged on the way, and with it the realm, so another host needs HTTPS at
        both ends.
        """
        both_tls = self.origin.scheme == realm.scheme == "https"
        same = realm.host == self.origin.host
        return both_tls or same or (is_loopback(realm.host) and is_loopback(self.origin.host))


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a URL; two URLs with the same origin are on the same server."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Parse the origin of a URL. Raises ValueError if it is not an http or https URL."""
        parts = urlsplit(url)
        return _origin(parts.scheme.lower(), parts.netloc)

    def __str__(self) -> str:
        """Format it for messages, without credentials and paths: `cdn.example.com`, `127.0.0.1:5000`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@lru_cache(maxsize=256)  # each request asks several times, for the same few servers
def _origin(scheme: str, netloc: str) -> Origin:
    parts = urlsplit(f"//{netloc}")
    if scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an http or https address")
    return Origin(scheme, parts.hostname, parts.port or _PORTS[scheme])


def is_loopback(host: str | None) -> bool:
    """Return whether a host name or address is a loopback address of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthContext:
    """The endpoint and scopes of a request that needs authorization.

    `operation` describes the request in messages: `pull docker.io/library/nginx:1.28`. `advice` is what to do
    by the status of an error.
    """

    endpoint: Endpoint
    scopes: Scopes
    operation: str
    advice: Mapping[int, str] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Return whether the request needs push access."""
        return any(action == "push" for _, action in self.scopes)

    @property
    def registry(self) -> str:
        """The registry as references name it."""
        return self.endpoint.registry


def scopes_for(path: str, actions: tuple[str, ...] = PULL) -> Scopes:
    """Return the scopes of a request to one repository."""
    return frozenset((path, action) for action in actions)


def format_scopes(scopes: Scopes) -> list[str]:
    """Format scopes for a token server, one for each repository: `repository:library/nginx:pull,push`.

    https://distribution.github.io/distribution/spec/auth/scope/
    """
    paths = sorted({path for path, _ in scopes})
    actions = {path: ",".join(sorted(action for other, action in scopes if other == path)) for path in paths}
    return [f"repository:{path}:{actions[path]}" for path in paths]
