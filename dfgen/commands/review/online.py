"""What a review asks of registries; what gets no answer is not known, and is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from dfgen.catalog.lockfile import Lock
from dfgen.commands.inspect import inspect
from dfgen.commands.review.records import ParentDetails
from dfgen.errors import CheckError, ExternalError
from dfgen.oci.digest import Digest
from dfgen.oci.images import Remote
from dfgen.oci.manifest import Index
from dfgen.oci.platform import Platform
from dfgen.oci.reference import Reference
from dfgen.registry import Registry
from dfgen.registry.errors import RateLimited, Unreachable

Answer = TypeVar("Answer")


@dataclass(eq=False, kw_only=True)
class Asking:
    """Asks about the parents of both locks; a registry that cannot be reached is asked no more."""

    registry: Registry
    locks: tuple[Lock, Lock]
    unanswered: list[str] = field(default_factory=list)
    _silent: set[str] = field(default_factory=set)

    def look(self, reference: Reference, digest: Digest) -> ParentDetails | None:
        """What a digest holds; two GETs for an image."""
        pinned = replace(reference, digest=digest)
        return self._ask(pinned, lambda: self._details(pinned, digest))

    def resolve(self, reference: Reference) -> Digest | None:
        """What a tag points at now: one HEAD."""
        return self._ask(reference, lambda: self.registry.resolve(reference).digest)

    def notes(self) -> Iterator[str]:
        """Say what stayed without an answer, with the first cause."""
        if self.unanswered:
            number = len(self.unanswered)
            questions = "1 question" if number == 1 else f"{number} questions"
            yield f"registries left {questions} without an answer; the first: {self.unanswered[0]}"

    @cached_property
    def _pinned(self) -> dict[Digest, Platform]:
        """The platform for which a digest is pinned: what a configuration leaves open is as there."""
        return {
            pin.digest: platform
            for lock in reversed(self.locks)
            for locked in lock.parents.values()
            for platform, pin in locked.platforms.items()
        }

    def _ask(self, reference: Reference, question: Callable[[], Answer | None]) -> Answer | None:
        host = reference.repository.registry
        if host in self._silent:
            self.unanswered.append(f"{reference}: its registry cannot be reached")
            return None
        try:
            return question()
        except (ExternalError, CheckError) as error:
            if isinstance(error, Unreachable | RateLimited):
                self._silent.add(host)
            self.unanswered.append(str(error))
            return None

    def _details(self, pinned: Reference, digest: Digest) -> ParentDetails | None:
        document = self.registry.manifest(pinned)
        if isinstance(document, Index):
            return ParentDetails()
        listed = self._pinned.get(digest)
        reader = Remote(self.registry, pinned.repository)
        (image,) = inspect(str(pinned), document, reader, listed).images
        if image.platform is None:  # a chart or a signature
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
