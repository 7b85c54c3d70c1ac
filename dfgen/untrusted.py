"""Reading what others wrote: JSON that cannot do more than be right or wrong, and words fit for a message."""

from __future__ import annotations

import json
from typing import Any

_LONGEST = 80  # characters of a foreign value in a message


def read_json(raw: str | bytes) -> Any:
    """Read JSON. Errors: ValueError for whatever is none, also for what is nested too deeply.

    Half a character (a lone surrogate) is read as `?`: it could be neither printed nor written again.
    """
    try:
        data = json.loads(raw)
        if ("\\u" in raw) if isinstance(raw, str) else (b"\\u" in raw or b"\xed" in raw):
            return json.loads(json.dumps(data, ensure_ascii=False).encode(errors="replace"))
        return data
    except RecursionError:
        raise ValueError("nested too deeply") from None


def brief(value: object) -> str:
    """Write a value as its repr, in one line that is not too long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
