"""Stand-ins: what a template gets in place of values, to find out which of them it only prints.

A stand-in is printed as a token. Whatever else a template does with it - compare, measure, filter, take
apart - is a look at the value, and is remembered: the text then holds for that value alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dfgen.templating.marks import CLOSE, TOKEN, VALUE, Fragment, InsideError

Path = tuple[object, ...]  # keys and positions from the variables down, and the name of an attribute last

_FIRST = 0xF0000
_ATTRIBUTES: dict[type, frozenset[str]] = {}
_LOOKS = (
    "str repr format bytes hash len iter next reversed contains getitem call lt le gt ge eq ne"
    " add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow divmod rdivmod"
    " matmul rmatmul and rand or ror xor rxor lshift rlshift rshift rrshift"
    " neg pos abs invert index int float complex round trunc floor ceil"
)


class Looks:
    """The names that a template asked for, the values that it looked at, and the tokens of the others."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.seen: set[Path] = set()
        self.tokens: dict[Path, str] = {}

    def token(self, path: Path) -> str:
        """Give out the token of a value: two characters that no text has."""
        return self.tokens.setdefault(path, f"{TOKEN}{chr(_FIRST + len(self.tokens))}")

    def look_inside(self, text: str) -> None:
        """Remember a look at all values whose tokens are in a text."""
        self.seen.update(path for path, token in self.tokens.items() if token in text)


class StandIn:
    """Stands for a text, a number, or an object with attributes that are texts.

    A template reaches nothing of its own: what begins with an underscore is closed to templates.
    """

    __slots__ = ("_attributes", "_looks", "_path", "_real")

    def __init__(self, real: object, path: Path, looks: Looks) -> None:
        self._real, self._path, self._looks = real, path, looks
        self._attributes = text_attributes(type(real))

    def __bool__(self) -> bool:
        """Look at it; texts have no method for this."""
        return bool(look(self))

    def __getattr__(self, name: str) -> object:
        """Stand in for an attribute that is a text; any other is a look."""
        if name in self._attributes:
            return StandIn(getattr(self._real, name), (*self._path, name), self._looks)
        return getattr(look(self), name)


def look(stand_in: StandIn) -> Any:
    """Give the value away, and remember that."""
    stand_in._looks.seen.add(stand_in._path)
    return stand_in._real


def printed(stand_in: StandIn, site: str) -> str:
    """Write the token as the value would be: marked, or as an object's own Dockerfile text."""
    token = stand_in._looks.token(stand_in._path)
    if hasattr(stand_in._real, "__dockerfile__"):
        return Fragment(token)
    return f"{VALUE}{site}{token}{CLOSE}"


def _looking(name: str) -> Callable[..., Any]:
    """Make the method of an operator, which is a look; its result does not count, since there was one."""

    def operate(self: StandIn, *others: object) -> Any:
        """The operands are looked at too, in case they are stand-ins."""
        real, given = look(self), [looked(other) for other in others]
        return getattr(real, name)(*given)

    return operate


for _name in _LOOKS.split():
    setattr(StandIn, f"__{_name}__", _looking(f"__{_name}__"))


def looked(value: Any) -> Any:
    """Give away all values in what a function gets that could look at them."""
    kind = type(value)
    if kind is StandIn:
        return look(value)
    if kind is Fragment and TOKEN in str.__str__(value):
        raise InsideError(str.__str__(value))
    if kind is dict:
        return {key: looked(item) for key, item in value.items()}
    return kind(map(looked, value)) if kind in (list, tuple) else value


def text_attributes(kind: type) -> frozenset[str]:
    """The properties of a class that are declared to be texts."""
    if kind not in _ATTRIBUTES:
        _ATTRIBUTES[kind] = frozenset(
            name
            for owner in kind.__mro__
            if owner.__module__ != "builtins"
            for name, member in vars(owner).items()
            if isinstance(member, property) and _gives_text(member)
        )
    return _ATTRIBUTES[kind]


def _gives_text(member: property) -> bool:
    return getattr(member.fget, "__annotations__", {}).get("return") in ("str", str)


def can_stand(kind: type) -> bool:
    """Whether a value of this class can have a stand-in."""
    return kind in (str, int) or bool(text_attributes(kind))


def stand_ins(value: Any, seen: Any, path: Path, looks: Looks) -> Any:
    """Copy lists and mappings with a stand-in for every value that was not seen; `seen` as in Memory."""
    kind = type(value)
    if kind is dict:
        return {key: stand_ins(item, below(seen, key), (*path, key), looks) for key, item in value.items()}
    if kind is list or kind is tuple:
        items = enumerate(value)
        return kind(stand_ins(item, below(seen, at), (*path, at), looks) for at, item in items)
    return StandIn(value, path, looks) if seen is not True and can_stand(kind) else value


def below(seen: Any, key: object) -> Any:
    """What was seen below a key: True for all of it, None for nothing."""
    return seen.get(key) if type(seen) is dict else seen
