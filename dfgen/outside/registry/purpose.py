"""Why a request is made: what it needs to be allowed, and the words for a message."""

from __future__ import annotations

from dataclasses import dataclass

from dfgen.outside.registry.places import Site

Scopes = frozenset[tuple[str, str]]  # repository path and action: ("library/nginx", "pull")

PULL = ("pull",)
PUSH = ("pull", "push")


def scopes_of(path: str, actions: tuple[str, ...] = PULL) -> Scopes:
    """What a request for one repository needs."""
    return frozenset((path, action) for action in actions)


def spell(scopes: Scopes) -> list[str]:
    """Write scopes as a token server reads them: `repository:library/nginx:pull,push`."""
    paths = sorted({path for path, _ in scopes})
    actions = {path: ",".join(sorted(action for other, action in scopes if other == path)) for path in paths}
    return [f"repository:{path}:{actions[path]}" for path in paths]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """A request's registry, what it needs, and what it does in words: `pull docker.io/library/nginx:1.28`."""

    site: Site
    scopes: Scopes
    doing: str

    @property
    def writes(self) -> bool:
        """Whether it is to change something there."""
        return any(action == "push" for _, action in self.scopes)

    @property
    def registry(self) -> str:
        """The registry as references name it."""
        return self.site.registry
