"""The digests that a parent's tag had while `lock --min-age` held them back: `dist/seen.json`.

With it, a digest is pinned once it is old enough even if its tag has moved on, and an image without a
plausible creation date can get old at all. A machine without the file, for example a fresh CI runner, relies
on the dates in the images and in the lock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from dfgen.errors import ExternalError, InputError, Place, Problem
from dfgen.filetree import files
from dfgen.oci.digest import Digest

SEEN_FILE = "seen.json"
_FORMAT = 1
_DATES = ("first_seen", "last_seen", "age_from")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A digest that a tag pointed to, on the dates (YYYY-MM-DD) `first_seen` to `last_seen`.

    Its age counts from `age_from`.
    """

    digest: Digest
    first_seen: str
    last_seen: str
    age_from: str

    @property
    def reason(self) -> str:
        """Say from which date its age counts."""
        if self.age_from == self.first_seen:
            return f"{self.digest} was first seen on {self.first_seen}"
        return f"{self.digest} was created on {self.age_from}"


Sightings = Mapping[str, tuple[Sighting, ...]]  # by the parent's key in the lock, oldest first


def since_pin(
    listed: Sequence[Sighting], pinned: Digest, first_seen: str, today: str
) -> tuple[Sighting, ...]:
    """Return the pinned digest, which was first seen on a date, and the digests that were seen after it."""
    past = [one for one in listed if one.last_seen <= today]
    digests = [one.digest for one in past]
    if pinned in digests:
        return tuple(past[digests.index(pinned) :])
    pin = Sighting(digest=pinned, first_seen=first_seen, last_seen=first_seen, age_from=first_seen)
    return (pin, *(one for one in past if one.first_seen > first_seen))


def seen_again(listed: Sequence[Sighting], digest: Digest, today: str) -> tuple[Sighting, ...]:
    """Return the list up to a digest that a tag points to again or still; empty if it is not in the list."""
    digests = [one.digest for one in listed]
    if digest not in digests:
        return ()
    at = digests.index(digest)
    return (*listed[:at], replace(listed[at], last_seen=today))


def first_sight(
    digest: Digest, created: str, earlier: Sequence[Sighting], today: str
) -> tuple[Sighting, str, str]:
    """Date a digest; also return the date from which its age counts today, and the reason to hold it back.

    `created` is the creation date of its images, "" if it is unknown. It only shows that they are not older:
    their publisher sets it, and may build an image long before the tag points to it. But the tag pointed
    elsewhere when `earlier` digests were last seen, so this one cannot have appeared before.
    """
    last = max(one.last_seen for one in earlier)
    found = Sighting(digest=digest, first_seen=today, last_seen=today, age_from=today)
    if created > last:
        found = replace(found, age_from=created)
        return found, created, found.reason
    if created:
        # If its age counted from today, it would never be old enough on a machine that forgets its sightings.
        appeared = str(date.fromisoformat(last) + timedelta(days=1))
        return found, appeared, f"{digest} appeared after {last}"
    return (
        found,
        today,
        f"{found.reason} and has no creation date (keep dist/{SEEN_FILE})",
    )


def read(dist: Path) -> Sightings:
    """Read the file in the layout's folder; empty if it is missing. Raises InputError if it is damaged."""
    path = dist / SEEN_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["version"] != _FORMAT:
            raise ValueError(f"version {data['version']!r}; this dfgen reads version {_FORMAT}")
        return {key: tuple(map(_sighting, entries)) for key, entries in data["parents"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ExternalError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError) as error:
        fix = "delete it; ages then count from the dates in the images"
        raise InputError(Problem(Place(str(path)), f"is damaged: {error}; {fix}")) from error


def _sighting(entry: Mapping[str, Any]) -> Sighting:
    dates = {name: date.fromisoformat(entry[name]).isoformat() for name in _DATES}
    return Sighting(digest=Digest(entry["digest"]), **dates)


def write(dist: Path, old: Sightings, new: Sightings) -> None:
    """Write the file, unless nothing changed."""
    if new == old:
        return
    parents = {
        key: [{"digest": str(one.digest), **{name: getattr(one, name) for name in _DATES}} for one in entries]
        for key, entries in sorted(new.items())
    }
    text = json.dumps({"version": _FORMAT, "parents": parents}, indent=1)
    files.write(dist / SEEN_FILE, f"{text}\n")
