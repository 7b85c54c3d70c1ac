"""Image references, with Docker's short names.

Grammar: https://github.com/distribution/reference/blob/main/reference.go
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from dfgen.errors import InputError, masked
from dfgen.oci.digest import Digest

DOCKER_HUB = "docker.io"
_LONGEST_NAME = 255  # characters of domain and path together, in distribution/reference

_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = rf"{_PATH_PART}(?:/{_PATH_PART})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"

_IS_DOMAIN = re.compile(_DOMAIN)
_IS_PATH = re.compile(_PATH)
_IS_TAG = re.compile(_TAG)


def is_tag(text: str) -> bool:
    """Whether the text is a valid tag."""
    return _IS_TAG.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository of a registry, for example `docker.io` and `library/nginx`."""

    registry: str
    path: str

    def __str__(self) -> str:
        """Format in full: `docker.io/library/nginx`."""
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A repository with a tag, a digest or both."""

    repository: Repository
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    @cache
    def parse(cls, text: str) -> Reference:
        """Parse `nginx`, `nginx:1.28` or `host:5000/a/b:tag@sha256:…`, and expand short names as Docker does.

        The tag defaults to `latest` if there is no digest. Raises InputError if the grammar does not match.
        """
        if "@" in text and masked(text) != text:
            raise _invalid(text, "")
        written, _, digest = text.partition("@")
        name, tag = _split_tag(written)
        repository = _repository(name, text)
        if tag and not is_tag(tag):
            raise _invalid(text, f"{tag!r} is not a tag")
        if written.endswith(":") or text.endswith("@"):
            raise _invalid(text, "a tag or digest is missing")
        return cls(repository, tag or ("" if digest else "latest"), Digest(digest) if digest else None)

    def at(self, digest: Digest) -> Reference:
        """Return this reference with the digest."""
        return replace(self, digest=digest)

    def with_tag(self, tag: str) -> Reference:
        """Return a reference to another tag of the repository, without a digest."""
        return Reference(self.repository, tag)

    def without_digest(self) -> Reference:
        """Return this reference without its digest."""
        return replace(self, digest=None)

    @property
    def target(self) -> str:
        """The digest or, without one, the tag: requests to a registry name the manifest by it."""
        return str(self.digest) if self.digest else self.tag

    def __str__(self) -> str:
        """Format in full: `docker.io/library/nginx:1.28@sha256:…`."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def _split_tag(name: str) -> tuple[str, str]:
    # A colon followed by a slash separates a port.
    head, colon, tail = name.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (name, "")


def _is_registry(word: str) -> bool:
    # Docker's rule: the first component is a registry if it cannot be a user of Docker Hub.
    return "." in word or ":" in word or word == "localhost" or word != word.lower()


def _repository(name: str, text: str) -> Repository:
    first, slash, rest = name.partition("/")
    registry, path = (first, rest) if slash and _is_registry(first) else (DOCKER_HUB, name)
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    if not _IS_DOMAIN.fullmatch(registry):
        raise _invalid(text, f"{registry!r} is not a registry")
    if not _IS_PATH.fullmatch(path):
        upper = "; repository names must be lowercase" if path != path.lower() else ""
        raise _invalid(text, f"{path.removeprefix('library/')!r} is not a repository{upper}")
    if len(registry) + 1 + len(path) > _LONGEST_NAME:
        raise _invalid(text, f"the name is longer than {_LONGEST_NAME} characters")
    # distribution/reference refuses this name too: it could be confused with an image ID.
    if re.fullmatch(r"[0-9a-f]{64}", name):
        raise _invalid(text, "64 hexadecimal digits look like a digest; prefix them with sha256:")
    return Repository(registry, path)


def _invalid(text: str, why: str) -> InputError:
    if (shown := masked(text)) != text:
        text, why = shown, "it contains a password; leave it out and use `docker login`"
    return InputError(f"{text!r} is not an image reference: {why}; expected [registry/]name[:tag][@digest]")
