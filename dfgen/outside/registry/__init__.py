"""Container registries over HTTP: resolve, read, upload and write, with one client per run.

How a request goes: client -> manifests, download, upload -> exchange (auth, redirects, verdict) -> transport.
"""

from dfgen.outside.registry.client import Registry
from dfgen.outside.registry.credentials import Credentials, DockerCredentials, Login, NoCredentials
from dfgen.outside.registry.errors import (
    Corrupt,
    Forbidden,
    Missing,
    RateLimited,
    Refused,
    RegistryError,
    Unauthorized,
    Unreachable,
)
from dfgen.outside.registry.options import Clock, RegistryOptions
from dfgen.outside.registry.quota import Quota
from dfgen.outside.registry.transport import HttpTransport, Request, Response, Transport
from dfgen.outside.registry.upload import Uploaded

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
