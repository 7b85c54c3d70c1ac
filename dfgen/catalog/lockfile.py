"""Read and write the lock: the index digest of every parent, and the pin of each platform for FROM.

The file is sorted JSON with one digest per line, so that a diff shows one line for each pin that moved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from dfgen.catalog import reading
from dfgen.catalog.model import BASES, Parent
from dfgen.errors import InputError, Place, Problem, listing, nearest, placed
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import INDEX_TYPES, MANIFEST_TYPES
from dfgen.oci.platform import Platform

LOCK_FILE = f"{BASES}/lock.json"
_FORMAT = 1
_MAX_DIGITS = 18
_MAX_MANIFEST = 1_000_000_000  # bytes; registries accept a few MB
MAX_TRIGGERS, MAX_TRIGGER = 100, 10_000  # ONBUILD triggers of an image, and the characters of one
_KEEP_SIDE = "keep one side and run `dfgen lock`"
_KEEP_ONE = "keep one of them and run `dfgen lock`"
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(?=\s*:)|"(?:[^"\\]|\\.)*"|[{}]')
# A conflict of git, with or without the common base.
_CONFLICT = re.compile(
    r"^<{7} [^\n]*\n((?:(?!={7}\n|\|{7})[^\n]*\n)*)(?:\|{7}[^\n]*\n(?:(?!={7}\n)[^\n]*\n)*)?={7}\n"
    r"((?:(?!>{7} )[^\n]*\n)*)>{7} [^\n]*\n",
    re.MULTILINE,
)
_MARKER = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})", re.MULTILINE)
_IS_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Pin:
    """A parent's image manifest for one platform; `size` is its size in bytes, 0 if not recorded.

    `onbuild` are the ONBUILD triggers in the image's configuration, without the word ONBUILD.
    """

    digest: Digest
    size: int = 0
    onbuild: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedParent:
    """A resolved parent: the digest of its tag, and the pin of each platform.

    `digest` is that of the index, or of the manifest if the tag is a single image. `first_seen` is the date,
    YYYY-MM-DD, when dfgen first saw this digest.
    """

    digest: Digest
    media_type: str
    first_seen: str
    platforms: Mapping[Platform, Pin]


@dataclass(frozen=True, slots=True)
class Lock:
    """All locked parents, by `Parent.key`.

    `is_merged` if the file had conflict markers of git around entries that both sides only added or removed,
    so that it has to be written.
    """

    parents: Mapping[str, LockedParent] = field(default_factory=dict)
    is_merged: bool = field(default=False, compare=False)

    def pin(self, parent: Parent) -> Pin | None:
        """Find the pin of a parent for its platform."""
        locked = self.parents.get(parent.key)
        return locked.platforms.get(parent.platform) if locked else None

    @property
    def triggers(self) -> dict[str, tuple[str, ...]]:
        """The ONBUILD triggers of the pinned images, by digest; without images that have none."""
        pins = (pin for locked in self.parents.values() for pin in locked.platforms.values())
        return {str(pin.digest): pin.onbuild for pin in pins if pin.onbuild}

    def with_parents(self, parents: Mapping[str, LockedParent]) -> Lock:
        """Return a lock with these parents added or replaced."""
        return Lock({**self.parents, **parents})

    def only(self, keys: frozenset[str]) -> Lock:
        """Return a lock with only the parents in `keys`."""
        return Lock({key: value for key, value in self.parents.items() if key in keys})

    def to_text(self) -> str:
        """Format the lock file."""
        lines = ["{", f'  "version": {_FORMAT},', '  "parents": {']
        for position, (key, locked) in enumerate(sorted(self.parents.items())):
            comma = "," if position + 1 < len(self.parents) else ""
            lines.extend(_write(key, locked, comma))
        return "\n".join([*lines, "  }", "}", ""])


def _write(key: str, locked: LockedParent, comma: str) -> list[str]:
    # Not json.dumps, whose indentation would put the digest and the size of a pin on separate lines.
    pins = []
    for platform, pin in sorted(locked.platforms.items()):
        size = f', "size": {pin.size}' if pin.size else ""
        onbuild = f', "onbuild": {json.dumps(pin.onbuild)}' if pin.onbuild else ""
        pins.append(f'        "{platform}": {{"digest": "{pin.digest}"{size}{onbuild}}}')
    return [
        f"    {json.dumps(key)}: {{",
        f'      "digest": "{locked.digest}",',
        f'      "media_type": "{locked.media_type}",',
        f'      "first_seen": "{locked.first_seen}",',
        '      "platforms": {',
        *",\n".join(pins).splitlines(),
        "      }",
        f"    }}{comma}",
    ]


def read(root: Path) -> Lock:
    """Read the catalog's lock; an empty lock if the file does not exist.

    Raises InputError, with the affected parent, if the file is not a valid lock.
    """
    try:
        text = reading.read_text(root, LOCK_FILE)
    except FileNotFoundError:
        return Lock()
    return parse(text)


def parse(text: str) -> Lock:
    """Parse the text of a lock file; raises InputError like `read`."""
    sides: list[Lock] = []
    with suppress(InputError):  # if a side is not a lock, report the place in the text as it is
        sides = [parse(side) for side in _sides(text)]
    if sides:
        return _merged(*sides)
    try:
        data = json.loads(text, object_pairs_hook=_distinct, parse_int=_integer, parse_constant=_integer)
    except json.JSONDecodeError as error:
        place = Place(LOCK_FILE, error.lineno, error.colno)
        conflict = " (a merge conflict?)" if "<<<<<<<" in text else ""
        raise InputError(Problem(place, f"invalid JSON{conflict}: {error.msg}; {_KEEP_SIDE}")) from None
    except _DuplicateError as error:
        lines = _lines_of_duplicate(text, error.key)
        message = f"duplicate key {error.key!r} (first on line {lines[0]})"
        raise InputError(Problem(Place(LOCK_FILE, lines[1]), f"{message}; {_KEEP_ONE}")) from None
    except RecursionError:
        raise _invalid("invalid lock: nested too deeply") from None
    except InputError as error:
        raise _invalid(f"invalid lock: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("parents"), dict):
        raise _invalid("invalid lock: expected an object with 'version' and 'parents'")
    if type(data.get("version")) is not int or data["version"] != _FORMAT:
        raise _invalid(f"unsupported version {data.get('version')!r}; this dfgen reads version {_FORMAT}")
    with placed(Place(LOCK_FILE)):
        _check_keys(data, ("version", "parents"))
    return Lock({key: _parent(key, entry, text) for key, entry in data["parents"].items()})


def _sides(text: str) -> tuple[str, ...]:
    """Return the two texts that git could not merge; empty without conflict markers, or if one is incomplete.

    Two branches that pin new parents insert lines at the same place, which is a conflict for git only.
    """
    ours, theirs = (_CONFLICT.sub(side, text) for side in (r"\1", r"\2"))
    return () if ours == text or _MARKER.search(ours + theirs) else (ours, theirs)


def _merged(ours: Lock, theirs: Lock) -> Lock:
    """Merge two locks. Raises InputError for parents that they pin differently."""
    parents = {**theirs.parents, **ours.parents}
    for key in ours.parents.keys() & theirs.parents.keys():
        one, other = ours.parents[key], theirs.parents[key]
        if replace(one, first_seen="") != replace(other, first_seen=""):
            message = f"merge conflict: both sides pin {key!r}, differently; {_KEEP_SIDE}"
            raise InputError(Problem(Place(LOCK_FILE), message))
        # The same digest, found on different days; only one side may wait for a newer one.
        parents[key] = min((one, other), key=lambda entry: entry.first_seen)
    return Lock(parents, is_merged=True)


class _DuplicateError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateError(next(key for at, key in enumerate(keys) if key in keys[:at]))
    return found


def _lines_of_duplicate(text: str, key: str) -> tuple[int, int]:
    """Return the lines of the first key that occurs twice in one object, of those that are named `key`."""
    objects: list[dict[str, int]] = []
    for found in _TOKEN.finditer(text):
        sign, name = found[0][0], found[1]
        if sign == "{":
            objects.append({})
        elif sign == "}":
            objects.pop()
        elif name is not None and json.loads(name) == key:
            line = text.count("\n", 0, found.start()) + 1
            if key in objects[-1]:
                return objects[-1][key], line
            objects[-1][key] = line
    raise AssertionError(f"{key!r} is not a duplicate")


def _integer(text: str) -> int:
    if not text.lstrip("-").isdigit() or len(text) > _MAX_DIGITS:
        raise InputError(f"{text[:_MAX_DIGITS]} is not a number that a lock contains")
    return int(text)


def _check_keys(entry: Any, known: tuple[str, ...]) -> None:
    if not isinstance(entry, dict):
        raise TypeError(f"expected an object, found {entry!r}")
    for key in entry:
        if key not in known:
            raise InputError(
                f"unknown key {key!r}{nearest(key, known) or f'; known keys are {listing(known)}'}"
            )


def _invalid(message: str, removed: str = "it", line: int = 0) -> InputError:
    fix = f"restore it from git, or remove {removed} and run `dfgen lock`"
    return InputError(Problem(Place(LOCK_FILE, line), f"{message}; {fix}"))


def _line(text: str, key: str) -> int:
    """Return the line where an entry starts; 0 if the file is not formatted as dfgen writes it."""
    at = text.find(f"{json.dumps(key)}: {{")
    return text.count("\n", 0, at) + 1 if at >= 0 else 0


def _parent(key: str, entry: Any, text: str) -> LockedParent:
    try:
        # "candidate" was written by dfgen 0.1 for --min-age, and is ignored.
        _check_keys(entry, ("digest", "media_type", "first_seen", "candidate", "platforms"))
        media_type = entry["media_type"]
        if media_type not in (*INDEX_TYPES, *MANIFEST_TYPES):
            raise InputError(f"media type {media_type!r} is not that of an index or a manifest")
        locked = LockedParent(
            digest=Digest(entry["digest"]),
            media_type=media_type,
            first_seen=_date(entry["first_seen"]),
            platforms=_pins(entry["platforms"]),
        )
        if media_type in INDEX_TYPES:
            _check_images(locked)
    except InputError as error:
        raise _invalid(f"parent {key!r}: {error}", "this entry", _line(text, key)) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise _invalid(f"parent {key!r} is incomplete: {error}", "this entry", _line(text, key)) from None
    return locked


def _check_images(locked: LockedParent) -> None:
    for platform, pin in locked.platforms.items():
        if pin.digest == locked.digest:
            expected = f"expected the digest of its {platform} image"
            raise InputError(f"the pin for {platform} is the digest of the whole index; {expected}")


def _pins(entries: Mapping[str, Any]) -> dict[Platform, Pin]:
    found: dict[Platform, Pin] = {}
    for alias, entry in entries.items():
        platform = Platform.parse(alias)
        if platform in found:
            raise InputError(f"{alias!r} is a second pin for {platform}")
        found[platform] = _pin(entry)
    return found


def _pin(entry: Any) -> Pin:
    _check_keys(entry, ("digest", "size", "onbuild"))
    size = entry.get("size", 0)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_MANIFEST:
        raise InputError(f"size {size!r} is not a number of bytes")
    digest = Digest(entry["digest"])
    return Pin(digest, size, read_triggers(entry["onbuild"])) if "onbuild" in entry else Pin(digest, size)


def read_triggers(found: object) -> tuple[str, ...]:
    """Return the ONBUILD triggers of a lock or a configuration. Raises InputError for anything else."""
    texts = [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
    is_list = isinstance(found, list) and len(texts) == len(found) <= MAX_TRIGGERS
    if not is_list or not all(len(one) <= MAX_TRIGGER for one in texts):
        limits = f"at most {MAX_TRIGGERS} texts of at most {MAX_TRIGGER} characters"
        raise InputError(f"the ONBUILD triggers are not a list of {limits}")
    return tuple(texts)


def _date(text: str) -> str:
    try:
        if _IS_DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise InputError(f"first_seen {text!r} is not a date such as 2026-01-31")
