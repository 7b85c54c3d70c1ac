"""What an image's os-release says it is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from dfgen.images.sbom import System
from dfgen.outside.packages.files import OS_RELEASE


def system(files: Mapping[str, bytes]) -> System:
    """Read ID and VERSION_ID; what is not written as a shell would read it counts as not there."""
    data = next((files[path] for path in OS_RELEASE if path in files), b"")
    fields = dict(_field(line) for line in data.decode(errors="replace").splitlines() if "=" in line)
    return System(id=fields.get("ID", ""), version=fields.get("VERSION_ID", ""))


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    try:
        return name.strip(), "".join(shlex.split(value))
    except ValueError:
        return name.strip(), ""
