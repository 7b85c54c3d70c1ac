"""The part of GitLab's API that comments on merge requests, on loopback."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs

from tests.fakes.http import Call, FakeServer, Response

OURS = {"id": 5, "username": "project_1_bot"}
_NOTES = re.compile(r"/api/v4/projects/1/merge_requests/2/notes(?:/(?P<id>\d+))?")


class FakeGitLab(FakeServer):
    """Accepts one token, whose user is OURS; `notes` are those of merge request 2 of project 1."""

    def __init__(self, token: str) -> None:
        super().__init__(self._serve)
        self._token = token
        self.notes: list[dict[str, Any]] = []

    def __enter__(self) -> FakeGitLab:
        super().__enter__()
        return self

    def _serve(self, call: Call) -> Response:
        if call.headers.get("private-token") != self._token:
            return Response(status=401)
        if call.path == "/api/v4/user":
            return _json(200, OURS)
        found = _NOTES.fullmatch(call.path)
        if not found:
            return Response(status=404)
        return self._page(call) if call.method == "GET" else self._write(call, int(found["id"] or 0))

    def _write(self, call: Call, number: int) -> Response:
        body = parse_qs(call.body.decode(), strict_parsing=True)["body"][0]
        if call.method == "POST":
            number = max((one["id"] for one in self.notes), default=0) + 1
            self.notes.append({"id": number, "author": OURS, "body": body})
            return _json(201, self.notes[-1])
        note = next(one for one in self.notes if one["id"] == number)
        if note["author"] != OURS:
            return Response(status=403)
        note["body"] = body
        return _json(200, note)

    def _page(self, call: Call) -> Response:
        """Return a page of notes; the default order is newest first."""
        assert call.value("order_by") in ("", "created_at")
        notes = self.notes if call.value("sort") == "asc" else self.notes[::-1]
        size = min(int(call.value("per_page") or 20), 100)
        start = size * (int(call.value("page") or 1) - 1)
        return _json(200, notes[start : start + size])


def _json(status: int, value: Any) -> Response:
    body = json.dumps(value).encode()
    return Response(status=status, headers={"Content-Type": "application/json"}, body=body)
