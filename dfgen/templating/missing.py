"""Undefined names: what is missing, from what, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2.exceptions import UndefinedError
from jinja2.runtime import StrictUndefined
from jinja2.utils import missing

from dfgen.errors import nearest

_DEPTH = 4


class MissingNameError(UndefinedError):
    """A variable, attribute or item that is not there; `owner` is `missing` for a variable."""

    def __init__(self, name: object, owner: object) -> None:
        super().__init__(f"{name!r} is not defined")
        self.name = name
        self.owner = owner

    def tell(self, variables: Mapping[str, object]) -> str:
        """Say it with the nearest name among those that exist."""
        name = str(self.name)
        if self.owner is missing:
            return f"{name!r} is not defined{nearest(name, sorted(variables))}"
        path = next(_paths(self.owner, variables), "") or type(self.owner).__name__
        return f"{path!r} has no {self.name!r}{nearest(name, _names(self.owner))}"


class Missing(StrictUndefined):
    """StrictUndefined whose error still knows what was missing."""

    __slots__ = ()

    def __init__(self, hint: Any = None, obj: Any = missing, name: Any = None, exc: Any = None) -> None:
        if hint is None and exc is None:

            def exc(_message: object) -> MissingNameError:
                """Jinja calls it with its message alone; the name and its owner are those of this value."""
                return MissingNameError(name, obj)

        super().__init__(hint, obj, name, exc or UndefinedError)

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"{self._undefined_name!r} is not defined"


def _names(owner: object) -> list[str]:
    if isinstance(owner, Mapping):
        return sorted(str(key) for key in owner)
    return sorted(name for name in dir(owner) if not name.startswith("_"))


def _paths(owner: object, variables: Mapping[str, object], prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Where an object is found among the variables: `java`, `java.jvm`."""
    for key, value in variables.items():
        if value is owner:
            yield f"{prefix}{key}"
    if depth < _DEPTH:
        for key, value in variables.items():
            if isinstance(value, Mapping):
                yield from _paths(owner, value, f"{prefix}{key}.", depth + 1)
