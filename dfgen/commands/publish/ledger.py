"""The ledger of published tags in `dist/published.json`: the digests that dfgen last saw for each tag."""

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
    """The published tags of all registries; safe for concurrent processes.

    A tag has more than one digest only during a publish, or after one that was killed.
    """

    def __init__(self, root: Path) -> None:
        """`root` is the layout's folder; the first write creates it."""
        self._root, self._path = root, root / LEDGER_FILE

    def seen(self) -> Mapping[str, frozenset[Digest]]:
        """Return the digests by the tag's full reference. Raises InputError if the file is damaged."""
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
            fix = "delete it; if a tag is then refused, check it with `dfgen inspect` and use --force"
            raise InputError(Problem(Place(str(self._path)), f"is damaged: {error}; {fix}")) from error

    def record(self, changes: Mapping[str, Iterable[Digest]]) -> None:
        """Replace the digests of some tags in one atomic write."""
        with files.locked(self._root / ".lock"):
            before = self.seen()
            after = {**before, **{tag: frozenset(digests) for tag, digests in changes.items()}}
            if after == before:
                return
            tags = {tag: sorted(map(str, digests)) for tag, digests in sorted(after.items())}
            text = json.dumps({"version": _FORMAT, "tags": tags}, indent=1, ensure_ascii=False)
            files.write(self._path, f"{text}\n".encode(), self._root / ".partial")
