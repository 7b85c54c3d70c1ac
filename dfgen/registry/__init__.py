"""Client for container registries over HTTP: resolve, read, download, upload and write.

A request passes through these modules:
client -> manifests, download, upload -> exchange (auth, redirects, errors, retry) -> transport -> connection
"""

from dfgen.registry.client import Registry
from dfgen.registry.credentials import Credentials, DockerCredentials, Login, NoCredentials
from dfgen.registry.endpoint import Clock, RegistryOptions
from dfgen.registry.errors import (
    Corrupt,
    Forbidden,
    Missing,
    RateLimited,
    Refused,
    RegistryError,
    Unauthorized,
    Unreachable,
)
from dfgen.registry.transport import HttpTransport, Quota, Request, Response, Transport
from dfgen.registry.upload import Uploaded

__all__ = [
    "Clock",
    "Corrupt",
    "Credentials",
    "DockerCredentials",
    "Forbidden",
    "HttpTransport",
    "Login",
    "Missing",
    "NoCredentials",
    "Quota",
    "RateLimited",
    "Refused",
    "Registry",
    "RegistryError",
    "RegistryOptions",
    "Request",
    "Response",
    "Transport",
    "Unauthorized",
    "Unreachable",
    "Uploaded",
]
