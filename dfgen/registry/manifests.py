"""Manifest requests, each with the function that reads and checks its response."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from dfgen.errors import CheckError, InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Index,
    MalformedError,
    Manifest,
    parse,
)
from dfgen.oci.reference import Reference
from dfgen.registry.endpoint import PUSH
from dfgen.registry.errors import Corrupt, Refused
from dfgen.registry.exchange import ApiRequest
from dfgen.registry.retry import TWICE, Deadline, TransientError, retryable
from dfgen.registry.transport import (
    Response,
    TooLargeError,
    decompress,
    parse_number,
    read_body,
    status_text,
)

T = TypeVar("T")
ApiCall = tuple[ApiRequest, Callable[[Response, Deadline], T]]

MAX_MANIFEST = 4 * 2**20  # bytes: registries must accept at least this size by the distribution specification
_MEDIA_TYPES = (*INDEX_TYPES, *MANIFEST_TYPES)
_ACCEPT = {"Accept": ", ".join(_MEDIA_TYPES)}
# Some registries answer a PUT with another status than 201; `publish` reads the tag back in any case.
_PUT_STATUSES = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)


def head(reference: Reference) -> ApiCall[Descriptor | None]:
    """Resolve a reference with HEAD; None if the headers lack digest, size or a known media type."""
    request = _request("HEAD", reference)

    def read(response: Response, _deadline: Deadline) -> Descriptor | None:
        digest, media_type = _header_digest(response), _media_type(response)
        size = parse_number(response.headers.get("content-length", ""))
        if digest is None or media_type not in _MEDIA_TYPES or size is None:
            return None
        if reference.digest and _differ(digest, reference.digest):
            raise retryable(_corrupt(request, str(digest), reference.digest), TWICE)
        return Descriptor(media_type=media_type, digest=reference.digest or digest, size=size)

    return request, read


def get(reference: Reference) -> ApiCall[Manifest | Index]:
    """Read a manifest or index, and check it against the reference's digest and the header's."""
    request = _request("GET", reference)

    def read(response: Response, deadline: Deadline) -> Manifest | Index:
        try:
            raw = decompress(response, read_body(response, MAX_MANIFEST, deadline), MAX_MANIFEST)
        except TooLargeError as error:
            why = f"the manifest is larger than {MAX_MANIFEST // 2**20} MiB"
            raise Refused.of(request.operation, reference.repository.registry, why) from error
        # Before parsing: damaged bytes are worth a retry, a document that is not a manifest is not.
        for expected in (reference.digest, _header_digest(response)):
            if expected and not expected.matches(raw):
                found = str(Digest.of(raw, expected.algorithm))
                raise retryable(_corrupt(request, found, expected), TWICE)
        if reference.digest is None and (nonsense := _nonsense(response, raw)):
            raise _not_a_manifest(request, response, nonsense)
        try:
            return parse(raw, _media_type(response))
        except MalformedError as error:
            if reference.digest is None:
                damage = str(error).partition(": ")[2]
                raise _not_a_manifest(request, response, f"damaged content ({damage})") from error
            raise CheckError(f"{reference}: {error}") from error
        except CheckError as error:
            raise CheckError(f"{reference}: {error}") from error

    return request, read


def _nonsense(response: Response, raw: bytes) -> str:
    """Name a response that is not a registry's; empty if it may be a manifest."""
    if _media_type(response) == "text/html":
        return "an HTML page"
    return "" if raw else "an empty body"


def _not_a_manifest(request: ApiRequest, response: Response, found: str) -> TransientError:
    """Make the error for a response from which nothing can be learned about the tag, worth one more try."""
    why = f"it returned {status_text(response.status)} with {found}, expected a manifest"
    advice = "check for a proxy or login page in front of it, and try again"
    return retryable(Refused.of(request.operation, request.repository.registry, why, advice), TWICE)


def put(reference: Reference, raw: bytes, media_type: str) -> ApiCall[Digest]:
    """Write a manifest under the tag, or the digest if there is no tag, and return its digest.

    Raises InputError if the reference's digest is not that of `raw`.
    """
    digest = Digest.of(raw, reference.digest.algorithm if reference.digest else "sha256")
    if reference.digest not in (None, digest):
        raise InputError(f"{reference}: the manifest to push has the digest {digest}")
    target = f"{reference.repository}:{reference.tag}" if reference.tag else str(reference)
    request = ApiRequest(
        method="PUT",
        repository=reference.repository,
        path=f"manifests/{reference.tag or digest}",
        operation=f"push {target}",
        actions=PUSH,
        headers={"Content-Type": media_type},
        body=raw,
        # A 404 does not concern the name: the manifest's blobs have just arrived.
        advice=dict.fromkeys(
            (HTTPStatus.NOT_FOUND, HTTPStatus.UNSUPPORTED_MEDIA_TYPE), _maybe_type(media_type)
        ),
    )

    def read(response: Response, _deadline: Deadline) -> Digest:
        returned = _header_digest(response)  # optional
        if returned and _differ(returned, digest):
            raise retryable(_corrupt(request, str(returned), digest), TWICE)
        if response.status not in _PUT_STATUSES:
            why = f"it returned {status_text(response.status)}, expected 201 Created"
            raise retryable(Refused.of(request.operation, reference.repository.registry, why), TWICE)
        return digest

    return request, read


def _maybe_type(media_type: str) -> str:
    return (
        f"it may not accept the media type {media_type}; check what it supports, or push to another registry"
    )


def _request(method: str, reference: Reference) -> ApiRequest:
    return ApiRequest(
        method=method,
        repository=reference.repository,
        path=f"manifests/{reference.target}",
        operation=f"pull {reference}",
        headers=_ACCEPT,
    )


def _corrupt(request: ApiRequest, found: str, expected: Digest) -> Corrupt:
    return Corrupt.of(request.operation, request.repository.registry, found, str(expected))


def _differ(first: Digest, second: Digest) -> bool:
    # Digests of different algorithms cannot be compared.
    return first.algorithm == second.algorithm and first != second


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _header_digest(response: Response) -> Digest | None:
    try:
        return Digest(response.headers["docker-content-digest"].strip())
    except (KeyError, InputError):
        return None
