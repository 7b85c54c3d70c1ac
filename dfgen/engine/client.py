"""Connect to a node's Docker engine with the docker package (Docker SDK for Python)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.catalog.model import Builder
from dfgen.engine.nodes import Nodes
from dfgen.errors import ExternalError

if TYPE_CHECKING:
    from docker.client import DockerClient

DISK_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_TIMEOUT = 3700  # seconds for one response of the engine; above the 3600 that a smoke test may take


@contextmanager
def connected(nodes: Nodes, node: Builder, timeout: int = _TIMEOUT) -> Iterator[DockerClient]:
    """Connect to the engine of a node; `timeout` is in seconds and applies to each response.

    Raises ExternalError if the connection fails, or if a request within the block fails.
    """
    # Imported here, because most commands need no engine and these packages are slow to import.
    import requests
    from docker.client import DockerClient
    from docker.errors import DockerException

    endpoint = nodes.endpoint(node)
    try:
        tls = _tls(endpoint.certificates)
        # The ssh program applies all of the user's ssh settings, the SDK's own ssh client does not.
        client = DockerClient(base_url=endpoint.host, tls=tls, use_ssh_client=True, timeout=timeout)
        with closing(client):
            yield client
    except (DockerException, requests.RequestException) as error:
        raise ExternalError(f"the Docker engine at {endpoint.host}: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """Return the engine's error message as one line."""
    text = getattr(error, "explanation", None) or str(error)
    with suppress(ValueError, TypeError, KeyError):
        text = json.loads(text)["message"]
    return " ".join(str(text).split())


def _tls(folder: Path | None) -> Any:
    if folder is None:
        return None
    from docker.tls import TLSConfig

    own = (str(folder / "cert.pem"), str(folder / "key.pem")) if (folder / "cert.pem").exists() else None
    authority = str(folder / "ca.pem") if (folder / "ca.pem").exists() else None
    return TLSConfig(client_cert=own, ca_cert=authority, verify=authority is not None)
