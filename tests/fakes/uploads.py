"""Blob uploads of the fake registry: monolithic, chunked, or mounted from another repository."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from dfgen.oci.digest import Digest
from tests.fakes.http import Call, Response

if TYPE_CHECKING:
    from tests.fakes.registry import Behaviour


def error(status: int, code: str, message: str) -> Response:
    """Return an error response as the distribution specification defines it."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Response(status=status, headers={"Content-Type": "application/json"}, body=body)


def created(location: str, digest: str = "") -> Response:
    """Return 201 with the Location of the new blob or manifest."""
    header = {"Docker-Content-Digest": digest} if digest else {}
    return Response(status=201, headers={"Location": location, **header})


class Uploads:
    """The open upload sessions and the bytes that each has received."""

    def __init__(self, behaviour: Behaviour, blobs: dict[str, dict[str, bytes]]) -> None:
        self._behaviour, self._blobs = behaviour, blobs
        self._sessions: dict[str, bytes] = {}
        self._begun = 0

    def serve(self, call: Call, name: str, session: str) -> Response:
        """Serve `/v2/NAME/blobs/uploads/SESSION`."""
        if self._behaviour.max_body is not None and len(call.body) > self._behaviour.max_body:
            return Response(status=413)
        if call.method == "POST":
            return self._begin(call, name)
        if session not in self._sessions:
            return error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if call.method == "PATCH":
            return self._add(call, name, session)
        if call.method == "PUT":
            return self._finish(call, name, session)
        return self._state(name, session, 204)

    def _begin(self, call: Call, name: str) -> Response:
        digest, other = call.value("mount"), call.value("from")
        data = self._blobs.get(other, {}).get(digest)
        if digest and self._behaviour.false_mounts:
            return created(f"/v2/{name}/blobs/{digest}", digest)
        if data is not None and self._behaviour.mounts:
            self._blobs.setdefault(name, {})[digest] = data
            return created(f"/v2/{name}/blobs/{digest}", digest)
        self._begun += 1
        session = f"session-{self._begun}"
        self._sessions[session] = b""
        return self._state(name, session, 202)

    def _state(self, name: str, session: str, status: int) -> Response:
        # Like real registries, keep the state in the URL: a client must use the latest Location.
        size = len(self._sessions[session])
        location = f"/v2/{name}/blobs/uploads/{session}?state={size}"
        return Response(status=status, headers={"Location": location, "Range": f"0-{max(0, size - 1)}"})

    def _add(self, call: Call, name: str, session: str) -> Response:
        if self._behaviour.monolithic_only:
            return error(405, "UNSUPPORTED", "the operation is unsupported")
        data = self._sessions[session]
        start = re.match(r"(\d+)-", call.headers.get("content-range", "0-"))
        if start is None or int(start[1]) != len(data) or call.value("state") != str(len(data)):
            return error(416, "RANGE_INVALID", "invalid content range")
        self._sessions[session] = data + call.body
        return self._state(name, session, 202)

    def _finish(self, call: Call, name: str, session: str) -> Response:
        if self._behaviour.chunked_only and call.body:
            return error(400, "UNSUPPORTED", "send the blob in chunks")
        data, digest = self._sessions[session] + call.body, call.value("digest")
        if str(Digest.of(data)) != digest:
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        del self._sessions[session]
        self._blobs.setdefault(name, {})[digest] = data
        return created(f"/v2/{name}/blobs/{digest}", digest if self._behaviour.digest_header else "")
