"""WWW-Authenticate: what a registry wants to see before it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SCHEME = re.compile(r"[\s,]*([A-Za-z][\w-]*)(?:\s+|$|,)")
_TOKEN = re.compile(r"[\w.~+/-]+=*\s*(?:,|$)")  # what follows the name of schemes without parameters
_PARAMETER = re.compile(r'\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:[,\s]+|$)')


@dataclass(frozen=True, slots=True)
class Challenge:
    """A scheme in lower case; realm and service are those of a token server for `bearer`."""

    scheme: str
    realm: str = ""
    service: str = ""

    @classmethod
    def parse(cls, header: str) -> Challenge | None:
        """Read the header, which may hold several: Bearer if it is there, else Basic, else None."""
        found = {challenge.scheme: challenge for challenge in _challenges(header)}
        bearer = found.get("bearer")
        return bearer if bearer and bearer.realm else found.get("basic")


def _challenges(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while scheme := _SCHEME.match(header, position):
        token = None if scheme[0].endswith(",") else _TOKEN.match(header, scheme.end())
        position = token.end() if token else scheme.end()
        words: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            name, quoted, plain = parameter.groups()
            words[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            position = parameter.end()
        found.append(Challenge(scheme[1].lower(), words.get("realm", ""), words.get("service", "")))
    return found
