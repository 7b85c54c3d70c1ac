"""Blob uploads of the fake registry: in one request, in pieces, or mounted from another repository."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from dfgen.oci.digest import Digest
from tests.fakes.http import Answer, Call

if TYPE_CHECKING:
    from tests.fakes.registry import Behaviour


def error(status: int, code: str, message: str) -> Answer:
    """An error in the form of the specification."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Answer(status=status, headers={"Content-Type": "application/json"}, body=body)


def created(location: str, digest: str = "") -> Answer:
    """201 with the place of what is new."""
    named = {"Docker-Content-Digest": digest} if digest else {}
    return Answer(status=201, headers={"Location": location, **named})


class Uploads:
    """The sessions that are open: what each has so far."""

    def __init__(self, behaviour: Behaviour, blobs: dict[str, dict[str, bytes]]) -> None:
        self._behaviour, self._blobs = behaviour, blobs
        self._sessions: dict[str, bytes] = {}
        self._begun = 0

    def serve(self, call: Call, name: str, session: str) -> Answer:
        """Answer at `/v2/NAME/blobs/uploads/SESSION`."""
        if self._behaviour.largest is not None and len(call.body) > self._behaviour.largest:
            return Answer(status=413)
        if call.method == "POST":
            return self._begin(call, name)
        if session not in self._sessions:
            return error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if call.method == "PATCH":
            return self._add(call, name, session)
        if call.method == "PUT":
            return self._finish(call, name, session)
        return self._state(name, session, 204)

    def _begin(self, call: Call, name: str) -> Answer:
        digest, other = call.value("mount"), call.value("from")
        data = self._blobs.get(other, {}).get(digest)
        if digest and self._behaviour.boasts:
            return created(f"/v2/{name}/blobs/{digest}", digest)
        if data is not None and self._behaviour.mounts:
            self._blobs.setdefault(name, {})[digest] = data
            return created(f"/v2/{name}/blobs/{digest}", digest)
        self._begun += 1
        session = f"session-{self._begun}"
        self._sessions[session] = b""
        return self._state(name, session, 202)

    def _state(self, name: str, session: str, status: int) -> Answer:
        # The address holds the state, as with real registries: a client has to use the last one.
        have = len(self._sessions[session])
        location = f"/v2/{name}/blobs/uploads/{session}?state={have}"
        return Answer(status=status, headers={"Location": location, "Range": f"0-{max(0, have - 1)}"})

    def _add(self, call: Call, name: str, session: str) -> Answer:
        if self._behaviour.monolithic_only:
            return error(405, "UNSUPPORTED", "the operation is unsupported")
        have = self._sessions[session]
        start = re.match(r"(\d+)-", call.headers.get("content-range", "0-"))
        if start is None or int(start[1]) != len(have) or call.value("state") != str(len(have)):
            return error(416, "RANGE_INVALID", "invalid content range")
        self._sessions[session] = have + call.body
        return self._state(name, session, 202)

    def _finish(self, call: Call, name: str, session: str) -> Answer:
        if self._behaviour.chunked_only and call.body:
            return error(400, "UNSUPPORTED", "send the blob in chunks")
        data, digest = self._sessions[session] + call.body, call.value("digest")
        if str(Digest.of(data)) != digest:
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        del self._sessions[session]
        self._blobs.setdefault(name, {})[digest] = data
        return created(f"/v2/{name}/blobs/{digest}", digest if self._behaviour.digest_header else "")
