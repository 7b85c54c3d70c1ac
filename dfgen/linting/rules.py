"""The rules that read one Dockerfile."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dfgen.dockerfile import Dockerfile
from dfgen.linting import froms, packages, secrets, shell
from dfgen.linting.records import NO_SHELLS, Hit, Shells

DOCKERFILE_RULES: tuple[Callable[[Dockerfile], Iterable[Hit]], ...] = (
    froms.unpinned_from,
    froms.latest_tag,
    froms.unpinned_syntax,
    froms.add_url,
    packages.apt_recommends,
    packages.package_cache,
    secrets.secret,
)


def check(dockerfile: Dockerfile, shells: Shells = NO_SHELLS) -> tuple[Hit, ...]:
    """Hold a Dockerfile against every rule; what was found, in the order of its lines.

    `shells` are those that images of the catalog end with, by reference without digest.
    """
    found = [hit for rule in DOCKERFILE_RULES for hit in rule(dockerfile)]
    found += shell.pipefail(dockerfile, shells)
    return tuple(sorted(found, key=lambda hit: (hit.line, hit.rule)))
