"""The demo's own registry on 127.0.0.1: its configuration, its start, and requests to it."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, BinaryIO

from home import DemoError, Home, write_file
from processes import Process, is_running, start, stop, wait_until

FIRST_PORT = 5000
CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {data}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)


def _open(request: urllib.request.Request, seconds: float) -> http.client.HTTPResponse:
    # Ignore the environment's proxies: the registry is on the loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        response = opener.open(request, timeout=seconds)
    except urllib.error.HTTPError as error:
        error.close()
        raise
    assert isinstance(response, http.client.HTTPResponse)
    return response


def get(port: int, path: str) -> Any:
    """Return the JSON at `path`; None if the registry does not have it or does not answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": MANIFESTS})
    try:
        with _open(request, 10) as response:
            return json.load(response)
    except (OSError, http.client.HTTPException, ValueError):
        return None


def has(port: int, path: str) -> bool:
    """Return whether the registry has something at `path`."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method="HEAD")
    try:
        with _open(request, 10):
            return True
    except (OSError, http.client.HTTPException):
        return False


def send(
    port: int, method: str, path: str, content: bytes | BinaryIO, headers: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """Send a POST or PUT and return the response's headers; `path` may also be a full URL of the registry."""
    url = path if path.startswith("http:") else f"http://127.0.0.1:{port}{path}"
    given = {"Content-Type": "application/octet-stream", **(headers or {})}
    request = urllib.request.Request(url, data=content, headers=given, method=method)
    try:
        with _open(request, 600) as response:
            return dict(response.headers.items())
    except (OSError, http.client.HTTPException) as error:
        shown = path.partition("?")[0]
        raise DemoError(
            f"{method} {shown}: {error}; see registry/registry.log in the demo's folder"
        ) from error


def answers(port: int) -> bool:
    """Return whether a registry answers on this port."""
    return get(port, "/v2/") is not None


def is_free(port: int) -> bool:
    """Return whether this port of 127.0.0.1 is free."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def choose_port(previous: int) -> int:
    """Return the previous port if it is free (0 for none), else the first free one from 5000."""
    for port in itertools.chain([previous or FIRST_PORT], range(FIRST_PORT, FIRST_PORT + 100)):
        if is_free(port):
            return port
    raise DemoError(
        f"127.0.0.1: no free port from {FIRST_PORT} to {FIRST_PORT + 99} for the registry;"
        " stop a program that uses one"
    )


def start_registry(home: Home, port: int, prefix: tuple[str, ...] = ()) -> Process:
    """Start the registry on a port of 127.0.0.1.

    `prefix` is a command that runs it elsewhere, for example nsenter for another network namespace.
    """
    home.registry.mkdir(parents=True, exist_ok=True)
    config, log = home.registry / "config.yml", home.registry / "registry.log"
    # JSON is YAML: a quoted path stays one string, whatever characters it contains.
    write_file(config, CONFIG.format(data=json.dumps(str(home.registry / "data")), port=port))
    command = [*prefix, str(home.bin / "docker-registry"), "serve", str(config)]
    return start(command, log=log, environ=os.environ)


def wait_for_registry(process: Process, home: Home, port: int) -> None:
    """Wait until the registry answers; stop it and raise DemoError if it does not within 20 s."""
    wait_until(lambda: answers(port) or not is_running(process), 20)
    if not (is_running(process) and answers(port)):
        stop(process, seconds=5)
        log = home.registry / "registry.log"
        raise DemoError(f"docker-registry: no answer on 127.0.0.1:{port}; see its log {log}")
