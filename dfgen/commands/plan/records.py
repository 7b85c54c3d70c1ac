"""Records of builds next to the images: the inputs and log of each, and the last run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfgen.catalog import packagelock
from dfgen.catalog.model import Image
from dfgen.catalog.packagelock import PackageLock
from dfgen.commands.plan.inputs import Causes, Inputs, to_text
from dfgen.errors import CheckError, InputError
from dfgen.filetree import files
from dfgen.oci.digest import Digest
from dfgen.oci.layout import writing

RUN_FILE = "build.json"


class Records:
    """The records below `dist/`: `inputs/HASH.json` and `logs/` per image, and `build.json`."""

    def __init__(self, dist: Path) -> None:
        """Set the layout's folder; the first write creates it."""
        self._dist = dist

    def inputs(self, digest: Digest) -> Inputs | None:
        """Read the inputs with a hash; None if the record is missing or damaged."""
        try:
            raw = self._path(digest).read_bytes()
            return Inputs.parse(raw) if digest.matches(raw) else None
        except (OSError, CheckError):
            return None

    def keep(self, inputs: Inputs) -> None:
        """Write the inputs of an image, under their hash."""
        path = self._path(inputs.digest)
        if not path.exists():
            files.write(path, inputs.raw.decode())

    def causes(self, digest: Digest) -> Causes:
        """Read what a Dockerfile was rendered from, by the hash of the inputs; empty if not recorded."""
        try:
            found = json.loads(self._causes(digest).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(key): str(text) for key, text in found.items()} if isinstance(found, dict) else {}

    def keep_causes(self, digest: Digest, causes: Causes) -> None:
        """Write what a Dockerfile was rendered from, under the hash of the inputs."""
        if causes:
            files.write(self._causes(digest), to_text(causes), durable=False)

    def packages(self, digest: Digest) -> PackageLock | None:
        """Read the packages of a build by their hash; None if the record is missing or damaged."""
        path = self._packages(digest)
        try:
            found = packagelock.parse(path.read_text(encoding="utf-8"), path.name)
        except (OSError, ValueError, InputError):
            return None
        return found if found.digest == digest else None

    def keep_packages(self, packages: PackageLock) -> None:
        """Write the packages of a build, under their hash."""
        path = self._packages(packages.digest)
        if not path.exists():
            files.write(path, packages.text, durable=False)

    def log(self, image: Image) -> Path:
        """The path of an image's log."""
        name = f"{image.family.name}-{image.version}-{image.platform.row.dockerfile}.log"
        return self._dist / "logs" / name

    def append_log(self, image: Image, text: str) -> None:
        """Append to the log of an image."""
        path = self.log(image)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(text)

    def write_run(self, record: Mapping[str, Any]) -> None:
        """Write the record of a run, atomically."""
        files.write(self._dist / RUN_FILE, f"{json.dumps(record, indent=2, ensure_ascii=False)}\n")

    def read_run(self) -> Mapping[str, Any]:
        """Read the record of the last run; empty if it is missing or damaged."""
        try:
            found = json.loads((self._dist / RUN_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def past_seconds(self) -> dict[str, float]:
        """The seconds that the last build of each image took."""
        took = self.read_run().get("took")
        found = took.items() if isinstance(took, dict) else ()
        return {name: float(seconds) for name, seconds in found if isinstance(seconds, int | float)}

    def _causes(self, digest: Digest) -> Path:
        return self._dist / "inputs" / f"{digest.hex}.causes.json"

    def _packages(self, digest: Digest) -> Path:
        return self._dist / "inputs" / f"{digest.hex}.packages.lock"

    def _path(self, digest: Digest) -> Path:
        return self._dist / "inputs" / f"{digest.hex}.json"
