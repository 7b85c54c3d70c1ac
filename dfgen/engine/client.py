"""A connection to a node's Docker engine, through the docker package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.catalog.model import Builder
from dfgen.engine.nodes import Nodes
from dfgen.errors import OutsideError

if TYPE_CHECKING:
    from docker.client import DockerClient

_PATIENCE = 3700  # seconds that the engine may take to answer; a test may take 3600


@contextmanager
def connected(nodes: Nodes, node: Builder, patience: int = _PATIENCE) -> Iterator[DockerClient]:
    """Connect to the engine of a node; what it refuses within the block is an OutsideError.

    `patience` are the seconds that each of its answers may take.
    """
    import requests
    from docker.client import DockerClient
    from docker.errors import DockerException

    endpoint = nodes.endpoint(node)
    try:
        tls = _tls(endpoint.certificates)
        client = DockerClient(base_url=endpoint.host, tls=tls, use_ssh_client=True, timeout=patience)
        with closing(client):
            yield client
    except (DockerException, requests.RequestException) as error:
        raise OutsideError(f"the Docker engine at {endpoint.host}: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """Say in one line what the engine said."""
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
