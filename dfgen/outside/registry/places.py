"""Where a registry's API lies, and which host may be told what."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urljoin, urlsplit, urlunsplit

from dfgen.errors import InputError
from dfgen.oci.reference import DOCKER_HUB
from dfgen.outside.registry.options import RegistryOptions

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
