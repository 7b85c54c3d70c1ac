"""Parse untrusted JSON safely, and shorten untrusted values for messages."""

from __future__ import annotations

import json
import reprlib
from typing import Any

_LONGEST = 80  # characters of an untrusted value in a message
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 2 * _LONGEST
_SHORT.maxlevel = 2


def read_json(raw: str | bytes) -> Any:
    """Parse JSON. Raises ValueError if it is invalid or nested too deeply.

    Lone surrogates become `?`, because they cannot be encoded when the text is printed or written again.
    """
    try:
        data = json.loads(raw)
        # Only these bytes can produce a surrogate; other documents, nearly all of them, skip the round trip.
        if ("\\u" in raw) if isinstance(raw, str) else (b"\\u" in raw or b"\xed" in raw):
            return json.loads(json.dumps(data, ensure_ascii=False).encode(errors="replace"))
        return data
    except RecursionError:  # the parser's stack is the limit; a hostile registry must not crash dfgen
        raise ValueError("nested too deeply") from None


def brief(value: object) -> str:
    """Return the repr of a value on one line, truncated to 80 characters."""
    # Not repr: a list of lists of lists, each twice in the next one, has a text of any length.
    text = repr(value) if isinstance(value, int | float) else _SHORT.repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
