"""What looks like a secret in a Dockerfile: names that say so, and values that have a secret's shape."""

from __future__ import annotations

import re

# The end of a name says what it holds: TOKEN is a secret, TOKEN_FILE, TOKEN_URL and TOKENIZERS are not.
_NAME = re.compile(
    r"(?:PASSWORDS?|PASSWD|PASSPHRASE|SECRETS?|TOKEN|CREDENTIALS?|API_?KEY|(?<=_)(?:PASS|PWD|PAT)"
    r"|(?:ACCESS|ACCOUNT|AUTH|ENCRYPTION|MASTER|PRIVATE|SECRET|SIGNING)_?KEY)"
    r"(?:_?(?:BASE|DEV|PROD|TEST|VALUE|[0-9]+))?$",
    re.IGNORECASE,
)
_SHAPE = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_\w{22}|\bglpat-[\w-]{20}"
    r"|\bxox[abprs]-[\w-]{10}|\bnpm_[A-Za-z0-9]{36}|\bsk_live_[A-Za-z0-9]{24}|\bAIza[\w-]{35}"
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10}|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|://[^\s/:@$\"']+:[^\s/@$\"']+@"  # a password in a URL
)
# A switch is no secret (ALLOW_EMPTY_PASSWORD=yes), nor is the path of the file that holds one.
_HARMLESS = re.compile(r"yes|no|true|false|on|off|none|[01]|/[\w.-]+(?:/[\w.-]*)+", re.IGNORECASE)


def is_secret(name: str, value: str) -> bool:
    """Whether a variable looks like a secret, by its name or by its value."""
    named = _NAME.search(name) is not None and not _HARMLESS.fullmatch(value)
    return named or bool(secrets_in(value))


def secrets_in(text: str) -> frozenset[str]:
    """All that has the shape of a secret: a key, a token, a URL with a password."""
    return frozenset(found[0] for found in _SHAPE.finditer(text))
