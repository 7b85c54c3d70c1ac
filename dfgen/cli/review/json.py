"""A review for programs, as docs/review.schema.json says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from dfgen.cli.review import text as words
from dfgen.commands.review.records import Review
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform


def _plain(value: Any) -> Any:
    if isinstance(value, Digest | Platform | str):
        return str(value)
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def data(review: Review) -> dict[str, Any]:
    """Turn a review into what JSON holds."""
    plain = _plain(review)
    known = any(one.seconds is not None for one in review.radius.rebuilt)
    plain["radius"]["seconds"] = review.radius.seconds if known else None
    return {"summary": words.summary(review), **plain}
