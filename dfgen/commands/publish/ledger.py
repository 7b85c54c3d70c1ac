"""What dfgen last saw behind each published tag, kept beside the images: `dist/published.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from dfgen.errors import ExternalError, InputError, Place, Problem
from dfgen.oci import layout as files
from dfgen.oci.digest import Digest

LEDGER_FILE = "published.json"
_FORMAT = 1


class Ledger:
    """The tags of all registries; several processes may write it.

    A tag has more than one digest only while a publish is under way, or after one that was killed.
    """

    def __init__(self, root: Path) -> None:
        """Take the layout's folder; it is made by the first write."""
        self._root, self._path = root, root / LEDGER_FILE

    def seen(self) -> Mapping[str, frozenset[Digest]]:
        """The digests by the tag's full reference. Errors: InputError for a file that is damaged."""
        try:
            data = json.loads(self._path.read_text(encoding="utf-8"))
            if data["version"] != _FORMAT:
                raise ValueError(f"version {data['version']!r}; this dfgen reads version {_FORMAT}")
            return {tag: frozenset(map(Digest, digests)) for tag, digests in data["tags"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ExternalError(f"{self._path}: cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
            advice = "delete it, and where a tag is refused then, look at it and use --force"
            raise InputError(Problem(Place(str(self._path)), f"is damaged: {error}; {advice}")) from error

    def record(self, changes: Mapping[str, Iterable[Digest]]) -> None:
        """Set what is known of some tags, in one step."""
        with files.locked(self._root / ".lock"):
            before = self.seen()
            after = {**before, **{tag: frozenset(digests) for tag, digests in changes.items()}}
            if after == before:
                return
            tags = {tag: sorted(map(str, digests)) for tag, digests in sorted(after.items())}
            text = json.dumps({"version": _FORMAT, "tags": tags}, indent=1, ensure_ascii=False)
            files.write(self._path, f"{text}\n".encode(), self._root / ".partial")
