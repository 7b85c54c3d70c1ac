"""What builds leave behind beside the images: the inputs of each, and the record of the last run."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfgen.catalog.model import Image
from dfgen.commands.plan.inputs import Causes, Inputs, to_text
from dfgen.errors import CheckError
from dfgen.filetree import files
from dfgen.oci.digest import Digest
from dfgen.oci.layout import writing

RUN_FILE = "build.json"


class Records:
    """The records below `dist/`: `inputs/HASH.json` and `logs/` per image, and `build.json`."""

    def __init__(self, dist: Path) -> None:
        """Take the layout's folder; it is made by the first write."""
        self._dist = dist

    def inputs(self, digest: Digest) -> Inputs | None:
        """Find the inputs that have a hash; a record that is lost or damaged is none."""
        try:
            raw = self._path(digest).read_bytes()
            return Inputs.parse(raw) if digest.matches(raw) else None
        except (OSError, CheckError):
            return None

    def keep(self, inputs: Inputs) -> None:
        """Keep the inputs of an image under their hash."""
        path = self._path(inputs.digest)
        if not path.exists():
            files.write(path, inputs.raw.decode())

    def causes(self, digest: Digest) -> Causes:
        """Find what a Dockerfile came from, by the hash of the inputs; empty where that is not known."""
        try:
            found = json.loads(self._causes(digest).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(key): str(text) for key, text in found.items()} if isinstance(found, dict) else {}

    def keep_causes(self, digest: Digest, causes: Causes) -> None:
        """Keep what a Dockerfile came from, under the hash of the inputs."""
        if causes:
            files.write(self._causes(digest), to_text(causes), durable=False)

    def log(self, image: Image) -> Path:
        """Where the log of an image lies."""
        name = f"{image.family.name}-{image.version}-{image.platform.row.dockerfile}.log"
        return self._dist / "logs" / name

    def append_log(self, image: Image, text: str) -> None:
        """Add to the log of an image."""
        path = self.log(image)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(text)

    def tail(self, image: Image, lines: int = 20) -> tuple[str, ...]:
        """The last lines of an image's log."""
        try:
            with self.log(image).open(encoding="utf-8", errors="replace") as file:
                return tuple(line.rstrip("\n") for line in deque(file, maxlen=lines))
        except OSError:
            return ()

    def write_run(self, record: Mapping[str, Any]) -> None:
        """Write the record of a run, whole or not at all."""
        files.write(self._dist / RUN_FILE, f"{json.dumps(record, indent=2, ensure_ascii=False)}\n")

    def read_run(self) -> Mapping[str, Any]:
        """Read the record of the last run; none that can be read is an empty one."""
        try:
            found = json.loads((self._dist / RUN_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def past_seconds(self) -> dict[str, float]:
        """How long each image took when it was last built."""
        took = self.read_run().get("took")
        found = took.items() if isinstance(took, dict) else ()
        return {name: float(seconds) for name, seconds in found if isinstance(seconds, int | float)}

    def _causes(self, digest: Digest) -> Path:
        return self._dist / "inputs" / f"{digest.hex}.causes.json"

    def _path(self, digest: Digest) -> Path:
        return self._dist / "inputs" / f"{digest.hex}.json"
