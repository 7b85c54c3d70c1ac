"""A review as JSON, as described by docs/review.schema.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from dfgen.cli.review import text as words
from dfgen.commands.review.records import Review
from dfgen.oci.digest import Digest
from dfgen.oci.platform import Platform

_NAMES = {"impact": "radius"}  # fields with another name in the published format


def data(review: Review) -> dict[str, Any]:
    """Convert a review to what JSON can hold."""
    plain = _plain(review)
    is_known = any(one.seconds is not None for one in review.impact.rebuilt)
    plain["radius"]["seconds"] = review.impact.seconds if is_known else None
    return {"summary": words.summary(review), **plain}


def _plain(value: Any) -> Any:
    if isinstance(value, Digest | Platform | str):
        return str(value)
    if is_dataclass(value):
        found = {one.name: getattr(value, one.name) for one in fields(value)}
        if found.get("generated") == "":  # the place of a risk has its own line in the generated file
            del found["generated"]
        return {_NAMES.get(name, name): _plain(item) for name, item in found.items()}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
