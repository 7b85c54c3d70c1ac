"""Registry requests of `review --online`; a request that fails leaves its result unknown and is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from dfgen.catalog.lockfile import Lock
from dfgen.commands import inspect
from dfgen.commands.review.records import ParentDetails
from dfgen.errors import CheckError, ExternalError, counted
from dfgen.oci.digest import Digest
from dfgen.oci.images import Remote
from dfgen.oci.manifest import Index
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference
from dfgen.registry import Registry
from dfgen.registry.errors import RateLimited, Unreachable

Result = TypeVar("Result")


@dataclass(eq=False, kw_only=True)
class ParentQueries:
    """Requests details of the parents in both locks; skips a registry after it failed.

    `failures` are the messages of failed and skipped requests.
    """

    registry: Registry
    locks: tuple[Lock, Lock]
    failures: list[str] = field(default_factory=list)
    _skipped: set[str] = field(default_factory=set)

    def inspect(self, reference: Reference, digest: Digest) -> ParentDetails | None:
        """Return the details of a digest: two GET requests for an image, one for an index."""
        pinned = replace(reference, digest=digest)
        return self._query(pinned, lambda: self._details(pinned, digest))

    def resolve(self, reference: Reference) -> Digest | None:
        """Return the current digest of a tag: one HEAD request."""
        return self._query(reference, lambda: self.registry.resolve(reference).digest)

    def notes(self) -> Iterator[str]:
        """Count the failed requests, with the first cause."""
        if self.failures:
            requests = counted(len(self.failures), "registry request")
            yield f"{requests} failed; the first: {self.failures[0]}"

    @cached_property
    def _pinned(self) -> dict[Digest, Platform]:
        """The platform for which each digest is pinned; it completes the image's configuration."""
        return {
            pin.digest: platform
            for lock in reversed(self.locks)
            for locked in lock.parents.values()
            for platform, pin in locked.platforms.items()
        }

    def _query(self, reference: Reference, request: Callable[[], Result | None]) -> Result | None:
        host = reference.repository.registry
        if host in self._skipped:
            self.failures.append(f"{reference}: skipped, because its registry failed before")
            return None
        try:
            return request()
        except (ExternalError, CheckError) as error:
            if isinstance(error, Unreachable | RateLimited):
                self._skipped.add(host)
            self.failures.append(str(error))
            return None

    def _details(self, pinned: Reference, digest: Digest) -> ParentDetails | None:
        document = self.registry.manifest(pinned)
        if isinstance(document, Index):
            return ParentDetails()
        listed = self._pinned.get(digest)
        reader = Remote(self.registry, pinned.repository)
        (image,) = inspect.inspect(str(pinned), document, reader, listed).images
        if image.platform is None:  # not an image, for example a Helm chart or a signature
            return None
        os_version = image.platform.os_version if listed is None or listed.os_version else ""
        settings = image.settings
        variables = (text.partition("=") for text in settings.env)
        return ParentDetails(
            platform=replace(image.platform, os_version=os_version),
            size=image.size,
            created=settings.created,
            user=settings.user,
            entrypoint=settings.entrypoint,
            command=settings.cmd,
            environment={name: value for name, _, value in variables},
            labels=settings.labels,
        )
