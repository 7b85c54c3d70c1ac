"""An in-process registry with blobs, manifests, tags, uploads and tokens, that fails on request.

with FakeRegistry() as registry:
    registry.add_manifest("a/b", raw, media_type, tag="1.0")
    registry.script("GET", "/manifests/", Fault(status=503), times=2)
    ...
    assert registry.count("GET", "/manifests/") == 3
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from dataclasses import dataclass, field, replace

from dfgen.errors import CheckError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import Descriptor, Index, parse
from tests.fakes.http import Call, FakeServer, Fault, Response, Seen
from tests.fakes.images import FakeImage
from tests.fakes.tokens import Auth, Scope
from tests.fakes.uploads import Uploads, created, error

__all__ = ["Auth", "Behaviour", "Call", "FakeRegistry", "Fault", "Response", "Seen"]

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs/uploads|blobs|tags)/(?P<what>[^/]*)")


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """Settings of the registry; the defaults support everything. May be changed at any time."""

    head: bool = True  # supports HEAD of manifests, else 405
    digest_header: bool = True  # returns Docker-Content-Digest
    mounts: bool = True  # mounts blobs from its other repositories
    false_mounts: bool = False  # answers a mount with 201 without having the blob
    max_body: int | None = None  # bytes; larger upload requests get 413, as from a proxy
    blob_head: bool = True  # supports HEAD of blobs, else 405
    chunked_only: bool = False  # refuses monolithic uploads
    monolithic_only: bool = False  # refuses PATCH
    ranges: bool = True  # supports Range for blobs
    strict: bool = True  # refuses manifests with missing blobs or children
    lag: int = 0  # number of reads after a PUT that still return 404
    quota: tuple[int, int, int] | None = None  # limit, remaining, window in seconds
    redirect: str = ""  # URL of another server to which blobs are redirected
    auth: Auth = field(default_factory=Auth)


class FakeRegistry(FakeServer):
    """Configure it with `behaviour`, inject faults with `script`, check requests with `count` and `log`."""

    def __init__(self, behaviour: Behaviour | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._serve, tls)
        self.behaviour = behaviour or Behaviour()
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, dict[str, tuple[bytes, str]]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self._hidden: dict[tuple[str, str], int] = {}
        self._uploads = Uploads(self.behaviour, self.blobs)
        self._state = threading.RLock()

    def __enter__(self) -> FakeRegistry:
        super().__enter__()
        return self

    def add_blob(self, name: str, data: bytes, media_type: str = "application/octet-stream") -> Descriptor:
        """Store a blob in a repository."""
        descriptor = Descriptor.of(data, media_type)
        self.blobs.setdefault(name, {})[str(descriptor.digest)] = data
        return descriptor

    def add_manifest(self, name: str, raw: bytes, media_type: str, tag: str = "") -> Descriptor:
        """Store a manifest in a repository, also under a tag if `tag` is not empty."""
        descriptor = Descriptor.of(raw, media_type)
        self.manifests.setdefault(name, {})[str(descriptor.digest)] = (raw, media_type)
        if tag:
            self.tags.setdefault(name, {})[tag] = str(descriptor.digest)
        return descriptor

    def add_image(self, name: str, image: FakeImage, tag: str = "") -> Descriptor:
        """Store an image with all its blobs in a repository."""
        for data in image.blobs.values():
            self.add_blob(name, data)
        return replace(self.add_manifest(name, image.raw, image.media_type, tag), platform=image.platform)

    def _serve(self, call: Call) -> Response:
        with self._state:
            response = self._route(call)
        if self.behaviour.quota and call.path != "/token":
            limit, remaining, window = self.behaviour.quota
            limits = {
                "ratelimit-limit": f"{limit};w={window}",
                "ratelimit-remaining": f"{remaining};w={window}",
            }
            return Response(
                status=response.status, headers={**response.headers, **limits}, body=response.body
            )
        return response

    def _route(self, call: Call) -> Response:
        if call.path == "/token":
            return self.behaviour.auth.token(call)
        where = _PATH.fullmatch(call.path)
        needed = _needed_scopes(call, where["name"]) if where else set()
        if refused := self.behaviour.auth.challenge(call, needed, f"{self.url}/token"):
            return refused
        if where is None:
            return Response(status=200 if call.path == "/v2/" else 404)
        kinds = {
            "manifests": self._manifest,
            "blobs": self._blob,
            "blobs/uploads": self._uploads.serve,
            "tags": self._list,
        }
        return kinds[where["kind"]](call, where["name"], where["what"])

    def _list(self, _call: Call, name: str, _what: str) -> Response:
        return Response(
            status=200, body=json.dumps({"name": name, "tags": sorted(self.tags.get(name, {}))}).encode()
        )

    def _manifest(self, call: Call, name: str, what: str) -> Response:
        if call.method == "PUT":
            return self._put_manifest(call, name, what)
        if call.method == "HEAD" and not self.behaviour.head:
            return error(405, "UNSUPPORTED", "the operation is unsupported")
        digest = self.tags.get(name, {}).get(what, what)
        found = self.manifests.get(name, {}).get(digest)
        if found is None or self._lags(name, what):
            return error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        headers = {"Content-Type": found[1], "Content-Length": str(len(found[0]))}
        if self.behaviour.digest_header:
            headers["Docker-Content-Digest"] = digest
        return Response(status=200, headers=headers, body=found[0])

    def _lags(self, name: str, what: str) -> bool:
        left = self._hidden.get((name, what), 0)
        self._hidden[name, what] = max(0, left - 1)
        return left > 0

    def _put_manifest(self, call: Call, name: str, what: str) -> Response:
        digest = str(Digest.of(call.body))
        kind = call.headers.get("content-type", "")
        if ":" in what and what != digest:
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        if self.behaviour.strict and (missing := self._missing(name, call.body, kind)):
            return error(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {missing}")
        self.add_manifest(name, call.body, kind, "" if ":" in what else what)
        self._hidden[name, what] = self.behaviour.lag
        return created(f"/v2/{name}/manifests/{digest}", digest if self.behaviour.digest_header else "")

    def _missing(self, name: str, raw: bytes, kind: str) -> str:
        try:
            document = parse(raw, kind)
        except CheckError:
            return "not a manifest"
        entries = document.manifests if isinstance(document, Index) else document.blobs
        stored = self.manifests.get(name, {}) if isinstance(document, Index) else self.blobs.get(name, {})
        return next((str(entry.digest) for entry in entries if str(entry.digest) not in stored), "")

    def _blob(self, call: Call, name: str, what: str) -> Response:
        data = self.blobs.get(name, {}).get(what)
        if call.method == "HEAD" and not self.behaviour.blob_head:
            return error(405, "UNSUPPORTED", "the operation is unsupported")
        if data is None:
            return error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if self.behaviour.redirect:
            return Response(status=307, headers={"Location": f"{self.behaviour.redirect}{call.path}"})
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": what}
        start = re.fullmatch(r"bytes=(\d+)-", call.headers.get("range", ""))
        if start and self.behaviour.ranges:
            first = int(start[1])
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            return Response(status=206, headers=headers, body=data[first:])
        return Response(status=200, headers={**headers, "Content-Length": str(len(data))}, body=data)


def _needed_scopes(call: Call, name: str) -> set[Scope]:
    if call.method in ("GET", "HEAD") and "/uploads/" not in call.path:
        return {(name, "pull")}
    needed = {(name, "pull"), (name, "push")}
    return needed | {(other, "pull") for other in call.values("from")}
