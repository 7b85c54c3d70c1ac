"""What a Dockerfile takes from outside: images, its frontend, files by URL."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dfgen.dockerfile import Dockerfile, external_images
from dfgen.linting.records import Hit

_PINNED = re.compile(r"@sha(?:256|512):[0-9a-f]{64,128}$")
_URL = re.compile(r"https?://", re.IGNORECASE)
_GIT = re.compile(r"\.git(?:[#?].*)?$")


def unpinned_from(dockerfile: Dockerfile) -> Iterator[Hit]:
    """An image that FROM, COPY --from or RUN --mount takes without a digest."""
    for use in external_images(dockerfile):
        if not _PINNED.search(use.text):
            message = (
                f"{use.keyword} takes {use.text!r} without a digest; declare it as a parent, and write"
                " {{ parent }} or {{ parents.NAME.reference }}"
            )
            yield Hit(rule="unpinned-from", message=message, line=use.line)


def latest_tag(dockerfile: Dockerfile) -> Iterator[Hit]:
    """An image without a digest whose tag is `latest`, written or not."""
    for use in external_images(dockerfile):
        name, _, tag = use.text.rpartition("/")[2].partition(":")
        if name and "$" not in use.text and "@" not in use.text and tag in ("", "latest"):
            message = (
                f"{use.keyword} takes {use.text!r}, and latest is another image tomorrow; name a version"
            )
            yield Hit(rule="latest-tag", message=message, line=use.line)


def unpinned_syntax(dockerfile: Dockerfile) -> Iterator[Hit]:
    """A frontend that is not pinned: it is a program, fetched for every build, that reads the file."""
    syntax = dockerfile.directives.get("syntax", "")
    if syntax and not _PINNED.search(syntax):
        message = f"the frontend {syntax!r} has no digest; write # syntax={syntax.split('@')[0]}@sha256:…"
        yield Hit(rule="unpinned-syntax", message=message, line=1)


def add_url(dockerfile: Dockerfile) -> Iterator[Hit]:
    """An ADD of a URL whose content is whatever the server gives on that day."""
    for one in (outer.trigger or outer for outer in dockerfile.instructions):
        if one.keyword != "ADD" or one.flag("checksum"):
            continue
        for source in one.words[:-1]:
            if _URL.match(source) and not _GIT.search(source):
                message = f"ADD takes {source} without a checksum; write ADD --checksum=sha256:…"
                yield Hit(rule="add-url", message=message, line=one.line)
