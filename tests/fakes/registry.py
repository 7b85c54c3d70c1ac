"""A registry in the process: blobs, manifests, tags, uploads, tokens; it fails when it is told to.

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
from tests.fakes.http import Answer, Call, FakeServer, Fault, Seen
from tests.fakes.images import FakeImage
from tests.fakes.tokens import Door, Scope
from tests.fakes.uploads import Uploads, created, error

__all__ = ["Answer", "Behaviour", "Call", "Door", "FakeRegistry", "Fault", "Seen"]

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs/uploads|blobs|tags)/(?P<what>[^/]*)")


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """How this registry differs from the best there is; may be changed at any time."""

    head: bool = True  # answers HEAD of manifests, else 405
    digest_header: bool = True  # names Docker-Content-Digest
    mounts: bool = True  # takes blobs from its other repositories
    boasts: bool = False  # says that it has mounted what it has not
    largest: int | None = None  # bytes of an upload's request, above which something on the way says 413
    blob_head: bool = True  # answers HEAD of blobs, else 405
    chunked_only: bool = False  # refuses uploads in one request
    monolithic_only: bool = False  # refuses PATCH
    ranges: bool = True  # serves parts of blobs
    strict: bool = True  # refuses manifests whose blobs or children are not there
    lag: int = 0  # so many reads after a PUT do not see it yet
    quota: tuple[int, int, int] | None = None  # limit, remaining, window in seconds
    redirect: str = ""  # the URL of the server that serves its blobs
    door: Door = field(default_factory=Door)


class FakeRegistry(FakeServer):
    """The server; `behaviour` says how, `script` when it fails, `count` and `log` what it was asked."""

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
        """Put a blob in a repository."""
        descriptor = Descriptor.of(data, media_type)
        self.blobs.setdefault(name, {})[str(descriptor.digest)] = data
        return descriptor

    def add_manifest(self, name: str, raw: bytes, media_type: str, tag: str = "") -> Descriptor:
        """Put a manifest in a repository, under a tag if one is given."""
        descriptor = Descriptor.of(raw, media_type)
        self.manifests.setdefault(name, {})[str(descriptor.digest)] = (raw, media_type)
        if tag:
            self.tags.setdefault(name, {})[tag] = str(descriptor.digest)
        return descriptor

    def add_image(self, name: str, image: FakeImage, tag: str = "") -> Descriptor:
        """Put an image in a repository with all its blobs."""
        for data in image.blobs.values():
            self.add_blob(name, data)
        return replace(self.add_manifest(name, image.raw, image.media_type, tag), platform=image.platform)

    def _serve(self, call: Call) -> Answer:
        with self._state:
            answer = self._route(call)
        if self.behaviour.quota and call.path != "/token":
            limit, remaining, window = self.behaviour.quota
            said = {
                "ratelimit-limit": f"{limit};w={window}",
                "ratelimit-remaining": f"{remaining};w={window}",
            }
            return Answer(status=answer.status, headers={**answer.headers, **said}, body=answer.body)
        return answer

    def _route(self, call: Call) -> Answer:
        if call.path == "/token":
            return self.behaviour.door.token(call)
        where = _PATH.fullmatch(call.path)
        needed = _needed(call, where["name"]) if where else set()
        if refused := self.behaviour.door.challenge(call, needed, f"{self.url}/token"):
            return refused
        if where is None:
            return Answer(status=200 if call.path == "/v2/" else 404)
        kinds = {
            "manifests": self._manifest,
            "blobs": self._blob,
            "blobs/uploads": self._uploads.serve,
            "tags": self._list,
        }
        return kinds[where["kind"]](call, where["name"], where["what"])

    def _list(self, _call: Call, name: str, _what: str) -> Answer:
        return Answer(
            status=200, body=json.dumps({"name": name, "tags": sorted(self.tags.get(name, {}))}).encode()
        )

    def _manifest(self, call: Call, name: str, what: str) -> Answer:
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
        return Answer(status=200, headers=headers, body=found[0])

    def _lags(self, name: str, what: str) -> bool:
        left = self._hidden.get((name, what), 0)
        self._hidden[name, what] = max(0, left - 1)
        return left > 0

    def _put_manifest(self, call: Call, name: str, what: str) -> Answer:
        digest = str(Digest.of(call.body))
        kind = call.headers.get("content-type", "")
        if ":" in what and what != digest:
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        if self.behaviour.strict and (lacking := self._lacking(name, call.body, kind)):
            return error(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {lacking}")
        self.add_manifest(name, call.body, kind, "" if ":" in what else what)
        self._hidden[name, what] = self.behaviour.lag
        return created(f"/v2/{name}/manifests/{digest}", digest if self.behaviour.digest_header else "")

    def _lacking(self, name: str, raw: bytes, kind: str) -> str:
        try:
            document = parse(raw, kind)
        except CheckError:
            return "not a manifest"
        entries = document.manifests if isinstance(document, Index) else document.blobs
        there = self.manifests.get(name, {}) if isinstance(document, Index) else self.blobs.get(name, {})
        return next((str(entry.digest) for entry in entries if str(entry.digest) not in there), "")

    def _blob(self, call: Call, name: str, what: str) -> Answer:
        data = self.blobs.get(name, {}).get(what)
        if call.method == "HEAD" and not self.behaviour.blob_head:
            return error(405, "UNSUPPORTED", "the operation is unsupported")
        if data is None:
            return error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if self.behaviour.redirect:
            return Answer(status=307, headers={"Location": f"{self.behaviour.redirect}{call.path}"})
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": what}
        start = re.fullmatch(r"bytes=(\d+)-", call.headers.get("range", ""))
        if start and self.behaviour.ranges:
            first = int(start[1])
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            return Answer(status=206, headers=headers, body=data[first:])
        return Answer(status=200, headers={**headers, "Content-Length": str(len(data))}, body=data)


def _needed(call: Call, name: str) -> set[Scope]:
    if call.method in ("GET", "HEAD") and "/uploads/" not in call.path:
        return {(name, "pull")}
    needed = {(name, "pull"), (name, "push")}
    return needed | {(other, "pull") for other in call.values("from")}
