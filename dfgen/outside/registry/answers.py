"""Reading answers: bodies within a limit, the registry's own words, and the statuses that may pass."""

from __future__ import annotations

import re
import zlib
from http import HTTPStatus

from dfgen.outside.registry.options import Clock
from dfgen.outside.registry.quota import Quota
from dfgen.outside.registry.retry import ANY, Deadline, Fault, broken, limited, retry_after
from dfgen.outside.registry.transport import Response
from dfgen.untrusted import read_json

_PASSING = frozenset({408, 425, 500, 502, 503, 504})
_WORDS = 16 * 1024  # bytes of an error's body that are looked at


class TooLargeError(Exception):
    """A body is larger than its kind may be."""


def number(text: str) -> int | None:
    """Read a header's number; None for whatever is none, or larger than anything that is counted."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def read_all(response: Response, limit: int, deadline: Deadline) -> bytes:
    """Read a body of at most `limit` bytes; a larger one raises TooLargeError early."""
    if (number(response.headers.get("content-length", "")) or 0) > limit:
        raise TooLargeError
    body = bytearray()
    for piece in response.stream():
        body += piece
        if len(body) > limit:
            raise TooLargeError
        deadline.check(str(response.origin))
    return bytes(body)


def plain(response: Response, body: bytes, limit: int) -> bytes:
    """Unpack a text that something on the way has compressed, unasked; a larger one raises TooLargeError."""
    if response.headers.get("content-encoding", "").lower() not in ("gzip", "x-gzip"):
        return body
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(body, limit + 1)
    except zlib.error:
        return body
    if len(text) > limit:
        raise TooLargeError
    return text


def words_of(response: Response, deadline: Deadline) -> str:
    """What the registry says about an error, in one line: the codes and messages of its JSON, or its text."""
    try:
        body = read_all(response, _WORDS, deadline)
    except (TooLargeError, Fault):
        return ""
    try:
        errors = read_json(body)["errors"]
        said = [f"{error.get('code', '')} {error.get('message') or ''}".strip() for error in errors]
    except (ValueError, KeyError, TypeError, AttributeError):
        kind = response.headers.get("content-type", "")
        return body.decode(errors="replace").strip().partition("\n")[0] if "html" not in kind else ""
    return "; ".join(dict.fromkeys(said))


def check_passing(response: Response, clock: Clock) -> None:
    """Raise the fault of a status that may be another one soon."""
    host = str(response.origin)
    wait = retry_after(response.headers.get("retry-after", ""), clock.wall())
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        quota = Quota.read(response.headers)
        if quota and quota.remaining == 0 and quota.window:
            used_up = f"its {quota.limit} pulls per {quota.window / 3600:g} h are used up"
            raise limited(host, used_up, wait, most=1)
        raise limited(host, "too many requests", wait, ANY)
    if response.status in _PASSING:
        raise broken(host, f"it answers {status_words(response.status)}", ANY, "try again later", wait)


def status_words(status: int) -> str:
    """Write `503 Service Unavailable`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
