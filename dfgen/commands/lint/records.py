"""The lint rules with their levels, and the records that rules take and return."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from dfgen.catalog.context import ContextReader
from dfgen.catalog.model import Image
from dfgen.dockerfile.stages import Shells
from dfgen.errors import Place, Problem
from dfgen.findings import Finding, Level
from dfgen.templating.usage import TemplateUsage

# dfgen's own rules; docs/reference/lint.md describes them. The names are stable: base.yaml refers to them.
RULES = {
    "add-url": Level.WARNING,
    "apt-recommends": Level.WARNING,
    "arch-parity": Level.WARNING,
    "context": Level.ERROR,
    "does-not-render": Level.ERROR,
    "end-of-life": Level.WARNING,
    "exec-form": Level.WARNING,
    "latest-tag": Level.WARNING,
    "line-break": Level.ERROR,
    "no-family": Level.WARNING,
    "overridden-platform": Level.WARNING,
    "package-cache": Level.WARNING,
    "pipefail": Level.WARNING,
    "secret": Level.WARNING,
    "undefined-variable": Level.WARNING,
    "unknown-instruction": Level.ERROR,
    "unpinned-from": Level.ERROR,
    "unpinned-syntax": Level.WARNING,
    "unused-block": Level.WARNING,
    "unused-ignore": Level.WARNING,
    "unused-macro": Level.WARNING,
    "unused-template": Level.WARNING,
    "unused-variable": Level.WARNING,
}

# Codes of hadolint and BuildKit with an equivalent rule of dfgen; if both report a line, only dfgen's rule is
# reported.
EQUIVALENT = {
    "DL3007": "latest-tag",
    "DL3009": "package-cache",
    "DL3015": "apt-recommends",
    "DL3019": "package-cache",
    "DL3032": "package-cache",
    "DL3036": "package-cache",
    "DL3040": "package-cache",
    "DL3025": "exec-form",
    "DL3064": "secret",
    "JSONArgsRecommended": "exec-form",
    "DL4006": "pipefail",
    "BuildError": "unknown-instruction",
    "SecretsUsedInArgOrEnv": "secret",
}

Usages = Mapping[str, TemplateUsage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A violation of a rule at a line of a rendered Dockerfile; line 0 is the whole file."""

    rule: str
    message: str
    line: int


ExternalHit = tuple[str, Hit, Level]  # a hit of hadolint or BuildKit, with the path of the Dockerfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """The settings that an image inherits from its parents in the catalog.

    `shells` maps the references of the parents to their SHELL. `has_apt_conf` if one of them may configure
    apt.
    """

    shells: Shells
    has_apt_conf: bool


NOTHING_INHERITED = Inherited(shells=MappingProxyType({}), has_apt_conf=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The input of lint.

    `render` returns the text of an image's Dockerfile, even if it uses unpinned images; it raises InputError
    if the image does not render. `origins` returns the template line of each line of that text, None for
    lines of the header. `context` returns a reader of build contexts for texts of Dockerfiles, by path.
    `variables` returns the names that an image's template can use, and `functions` are those that every
    template can call. `usages` describes each template. `strays` are the folders of bases/ without a family.

    `hadolint` checks texts of Dockerfiles, by path; so does `buildkit`, which also returns the Dockerfiles
    that it could not check, and why. Each is None if it does not run. `with_jinja_whitespace` renders with
    Jinja2's own white space options; it returns None if the family has them already, or if that fails.
    """

    render: Callable[[Image], str]
    with_jinja_whitespace: Callable[[Image], str | None]
    origins: Callable[[Image], Sequence[Place | None]]
    context: Callable[[Mapping[str, str]], ContextReader]
    variables: Callable[[Image], Collection[str]]
    usages: Usages
    functions: frozenset[str]
    strays: Callable[[], Iterable[Problem]]
    hadolint: Callable[[Mapping[str, str]], Iterable[ExternalHit]] | None = None
    buildkit: Callable[[Mapping[str, str]], tuple[Iterable[ExternalHit], Sequence[Problem]]] | None = None


def finding(rule: str, message: str, place: Place) -> Finding:
    """Return a finding of one of dfgen's own rules."""
    return Finding(rule=rule, level=RULES[rule], message=message, place=place)
