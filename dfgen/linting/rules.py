"""The rules that read one Dockerfile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dfgen.dockerfile import Dockerfile
from dfgen.dockerfile.names import unknown_instructions
from dfgen.linting import froms, packages, secrets, shell
from dfgen.linting.records import NOTHING_ABOVE, Above, Hit


def unknown_instruction(dockerfile: Dockerfile) -> Iterator[Hit]:
    """What no build knows what to do with."""
    for line, message in unknown_instructions(dockerfile):
        yield Hit(rule="unknown-instruction", message=message, line=line)


DOCKERFILE_RULES: tuple[Callable[[Dockerfile], Iterable[Hit]], ...] = (
    froms.unpinned_from,
    froms.latest_tag,
    froms.unpinned_syntax,
    froms.add_url,
    packages.package_cache,
    secrets.secret,
    unknown_instruction,
)


def check(dockerfile: Dockerfile, above: Above = NOTHING_ABOVE) -> tuple[Hit, ...]:
    """Hold a Dockerfile against every rule; what was found, in the order of its lines."""
    found = [hit for rule in DOCKERFILE_RULES for hit in rule(dockerfile)]
    found += packages.apt_recommends(dockerfile, above)
    found += shell.pipefail(dockerfile, above)
    return tuple(sorted(found, key=lambda hit: (hit.line, hit.rule)))
