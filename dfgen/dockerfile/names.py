"""Recognizes names in Dockerfiles: platforms, secrets, and misspelled instructions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from dfgen.dockerfile.parser import KEYWORDS, Dockerfile
from dfgen.errors import nearest, printable
from dfgen.oci.platform import Platform, aliases

# Only the end of a name counts: TOKEN is a secret; TOKEN_FILE, TOKEN_URL and TOKENIZERS are not.
_SECRET_NAME = re.compile(
    r"(?:PASSWORDS?|PASSWD|PASSPHRASE|SECRETS?|TOKEN|CREDENTIALS?|API_?KEY|(?<=_)(?:PASS|PWD|PAT)"
    r"|(?:ACCESS|ACCOUNT|AUTH|ENCRYPTION|MASTER|PRIVATE|SECRET|SIGNING)_?KEY)"
    r"(?:_?(?:BASE|DEV|PROD|TEST|VALUE|[0-9]+))?$",
    re.IGNORECASE,
)
_SECRET_SHAPE = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_\w{22}|\bglpat-[\w-]{20}"
    r"|\bxox[abprs]-[\w-]{10}|\bnpm_[A-Za-z0-9]{36}|\bsk_live_[A-Za-z0-9]{24}|\bAIza[\w-]{35}"
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10}|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|://[^\s/:@$\"']+:[^\s/@$\"']+@"  # a password in a URL
)
# Not secrets: a switch (ALLOW_EMPTY_PASSWORD=yes), and the path of a file with a secret.
_HARMLESS = re.compile(r"yes|no|true|false|on|off|none|[01]|/[\w.-]+(?:/[\w.-]*)+", re.IGNORECASE)
_CONFLICT = frozenset(("<<<<<<<", "|||||||", "=======", ">>>>>>>"))
_OWN_FRONTEND = "docker/dockerfile"  # other frontends may have more instructions


@cache
def platform_names(platform: Platform) -> re.Pattern[str]:
    """Return a pattern for all names of a platform, including those of Debian and RPM."""
    known = {alias for alias, other in aliases().items() if other == platform}
    words = {
        *known,
        platform.architecture,
        platform.row.tag,
        "ppc64el" if "ppc64le" in known else str(platform),
    }
    found = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{found})(?![A-Za-z0-9])")


@cache
def architecture_choice() -> re.Pattern[str]:
    """Return a pattern for a text that decides by the architecture: it names a platform, or asks for it."""
    names = "|".join(platform_names(platform).pattern for platform in dict.fromkeys(aliases().values()))
    return re.compile(rf"{names}|\b(?:uname|dpkg-architecture)\b|--print-arch|\bTARGET(?:ARCH|PLATFORM)\b")


def is_secret(name: str, value: str) -> bool:
    """Whether a variable looks like a secret, by its name or its value."""
    named = _SECRET_NAME.search(name) is not None and not _HARMLESS.fullmatch(value)
    return named or bool(secrets_in(value))


def secrets_in(text: str) -> frozenset[str]:
    """Return the parts of a text that look like a secret: a key, a token, a URL with a password."""
    return frozenset(found[0] for found in _SECRET_SHAPE.finditer(text))


def unknown_instructions(dockerfile: Dockerfile) -> Iterator[tuple[int, str]]:
    """Yield the line and a message for every misspelled instruction and merge conflict marker."""
    syntax = dockerfile.directives.get("syntax", _OWN_FRONTEND)
    if not syntax.removeprefix("docker.io/").startswith(_OWN_FRONTEND):
        return
    for outer in dockerfile.instructions:
        keyword = (outer.trigger or outer).keyword
        if keyword in _CONFLICT:
            yield outer.line, f"unresolved merge conflict ({keyword}); keep one side"
        elif keyword not in KEYWORDS:
            yield (
                outer.line,
                f"unknown instruction {printable(keyword)!r}{nearest(keyword, sorted(KEYWORDS))}",
            )
