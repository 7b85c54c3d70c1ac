"""Names in Dockerfiles: of platforms, of secrets, and of instructions that do not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from dfgen.dockerfile.parser import KEYWORDS, Dockerfile
from dfgen.errors import nearest, printable
from dfgen.oci.platform import Platform, aliases

# The end of a name says what it holds: TOKEN is a secret, TOKEN_FILE, TOKEN_URL and TOKENIZERS are not.
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
# A switch is no secret (ALLOW_EMPTY_PASSWORD=yes), nor is the path of the file that holds one.
_HARMLESS = re.compile(r"yes|no|true|false|on|off|none|[01]|/[\w.-]+(?:/[\w.-]*)+", re.IGNORECASE)
_CONFLICT = frozenset(("<<<<<<<", "|||||||", "=======", ">>>>>>>"))
_OWN_FRONTEND = "docker/dockerfile"  # any other frontend may have more instructions


@cache
def platform_names(platform: Platform) -> re.Pattern[str]:
    """Match all names of a platform, Debian's and RPM's too."""
    known = {alias for alias, other in aliases().items() if other == platform}
    words = {
        *known,
        platform.architecture,
        platform.row.tag,
        "ppc64el" if "ppc64le" in known else str(platform),
    }
    found = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{found})(?![A-Za-z0-9])")


def is_secret(name: str, value: str) -> bool:
    """Whether a variable looks like a secret, by its name or by its value."""
    named = _SECRET_NAME.search(name) is not None and not _HARMLESS.fullmatch(value)
    return named or bool(secrets_in(value))


def secrets_in(text: str) -> frozenset[str]:
    """All parts of a text that have the shape of a secret: a key, a token, a URL with a password."""
    return frozenset(found[0] for found in _SECRET_SHAPE.finditer(text))


def unknown_instructions(dockerfile: Dockerfile) -> Iterator[tuple[int, str]]:
    """Misspelled instructions and marks of a merge conflict: the line of each, and what is wrong with it."""
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
