"""Manifest requests, each with the function that reads and checks its answer."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from dfgen.errors import CheckError, InputError
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Index, Manifest, parse
from dfgen.oci.reference import Reference
from dfgen.registry.endpoint import PUSH
from dfgen.registry.errors import Corrupt, Refused
from dfgen.registry.exchange import Ask
from dfgen.registry.retry import Deadline, again
from dfgen.registry.transport import Response, TooLargeError, number, plain, read_all, status_words

T = TypeVar("T")
Prepared = tuple[Ask, Callable[[Response, Deadline], T]]

LARGEST = 4 * 2**20  # bytes: what the specification asks registries to accept at least
TWICE = 2  # tries for bytes that do not match: a cache on the way may have broken them
_KNOWN_TYPES = (*INDEX_TYPES, *MANIFEST_TYPES)
# Not every registry says 201; a tag that is written is looked at afterwards all the same.
_WRITTEN = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
_ACCEPT = {"Accept": ", ".join(_KNOWN_TYPES)}


def head(reference: Reference) -> Prepared[Descriptor | None]:
    """Ask what is behind a reference; None when the answer does not say enough."""
    ask = _ask("HEAD", reference)

    def read(response: Response, _deadline: Deadline) -> Descriptor | None:
        """Make a descriptor of the headers, unless one that it needs is not there."""
        digest, kind = _named(response), _media_type(response)
        size = number(response.headers.get("content-length", ""))
        if digest is None or kind not in _KNOWN_TYPES or size is None:
            return None
        if reference.digest and digest.algorithm == reference.digest.algorithm and digest != reference.digest:
            raise again(_mismatch(ask, str(digest), reference.digest), TWICE)
        return Descriptor(media_type=kind, digest=reference.digest or digest, size=size)

    return ask, read


def get(reference: Reference) -> Prepared[Manifest | Index]:
    """Ask for a manifest or index."""
    ask = _ask("GET", reference)

    def read(response: Response, deadline: Deadline) -> Manifest | Index:
        """Hold the bytes against what was asked for and against what the registry names."""
        try:
            raw = plain(response, read_all(response, LARGEST, deadline), LARGEST)
        except TooLargeError as error:
            why = f"the manifest is larger than {LARGEST // 2**20} MiB"
            raise Refused.to(ask.doing, reference.repository.registry, why) from error
        for expected in (reference.digest, _named(response)):
            if expected and not expected.matches(raw):
                found = str(Digest.of(raw, expected.algorithm))
                raise again(_mismatch(ask, found, expected), TWICE)
        if _media_type(response) == "text/html":
            why = "it answers with a page for browsers, expected a manifest; see what stands before it"
            raise Refused.to(ask.doing, reference.repository.registry, why)
        try:
            return parse(raw, _media_type(response))
        except CheckError as error:
            raise CheckError(f"{reference}: {error}") from error

    return ask, read


def put(reference: Reference, raw: bytes, media_type: str) -> Prepared[Digest]:
    """Write a manifest; the digest that the registry names for it has to be that of our bytes."""
    digest = Digest.of(raw, reference.digest.algorithm if reference.digest else "sha256")
    if reference.digest not in (None, digest):
        raise InputError(f"{reference}: the manifest to push has another digest, {digest}")
    doing = f"push {reference.repository}:{reference.tag}" if reference.tag else f"push {reference}"
    ask = Ask(
        method="PUT",
        repository=reference.repository,
        path=f"manifests/{reference.tag or digest}",
        doing=doing,
        actions=PUSH,
        headers={"Content-Type": media_type},
        body=raw,
    )

    def read(response: Response, _deadline: Deadline) -> Digest:
        """Registries may leave out the digest; only another one is an error."""
        named = _named(response)
        if named and named.algorithm == digest.algorithm and named != digest:
            raise _mismatch(ask, str(named), digest)
        if response.status not in _WRITTEN:
            why = f"it answers {status_words(response.status)}, expected 201 Created"
            raise Refused.to(doing, reference.repository.registry, why)
        return digest

    return ask, read


def _ask(method: str, reference: Reference) -> Ask:
    path = f"manifests/{reference.target}"
    return Ask(
        method=method, repository=reference.repository, path=path, doing=f"pull {reference}", headers=_ACCEPT
    )


def _mismatch(ask: Ask, found: str, expected: Digest) -> Corrupt:
    return Corrupt.of(ask.repository.registry, ask.doing, found, str(expected))


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _named(response: Response) -> Digest | None:
    """The digest that the registry names, if it is one."""
    try:
        return Digest(response.headers["docker-content-digest"].strip())
    except (KeyError, InputError):
        return None
