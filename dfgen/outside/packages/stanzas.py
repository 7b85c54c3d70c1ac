"""The databases that are text: dpkg's and apk's, a paragraph of fields for each package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dfgen.errors import CheckError
from dfgen.images.sbom import Installed
from dfgen.outside.packages.files import APK, DPKG, DPKG_FOLDER

# Of a package's state, the third word of `Status`: those in which its files are not there.
_GONE = ("not-installed", "config-files")


def dpkg(files: Mapping[str, bytes]) -> Iterator[tuple[str, list[Installed]]]:
    """Read dpkg's databases: each by its path with its packages. Errors: CheckError for none of dpkg's."""
    for path, data in sorted(files.items()):
        # Beside each package's file distroless images have the checksums of its files.
        is_part = path.startswith(f"{DPKG_FOLDER}/") and not path.endswith(".md5sums")
        if path == DPKG or is_part:
            yield path, [_deb(path, one) for one in _stanzas(path, data) if not _is_gone(one)]


def apk(files: Mapping[str, bytes]) -> Iterator[tuple[str, list[Installed]]]:
    """Read apk's databases: each by its path with its packages. Errors: CheckError for none of apk's."""
    for path in APK:
        if path in files:
            yield path, [_apk(path, one) for one in _stanzas(path, files[path])]


def _stanzas(path: str, data: bytes) -> Iterator[Mapping[str, str]]:
    """Give the fields of each paragraph; of a field that goes on over more lines only the first."""
    fields: dict[str, str] = {}
    for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
        name, colon, value = line.partition(":")
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():
            if not colon:
                raise CheckError(f"/{path}: line {number} is {line[:40]!r}, expected a field and its value")
            fields.setdefault(name, value.strip())
    if fields:
        yield fields


def _is_gone(fields: Mapping[str, str]) -> bool:
    return fields.get("Status", "").endswith(_GONE)


def _deb(path: str, fields: Mapping[str, str]) -> Installed:
    name, version = _needed(path, fields, "Package"), _needed(path, fields, "Version")
    source, _, source_version = fields.get("Source", "").partition(" ")
    upstream = f"{source}@{source_version.strip('()')}" if source_version else source
    return Installed(
        kind="deb",
        name=name,
        version=version,
        architecture=fields.get("Architecture", ""),
        upstream=upstream,
    )


def _apk(path: str, fields: Mapping[str, str]) -> Installed:
    name, origin = _needed(path, fields, "P"), fields.get("o", "")
    return Installed(
        kind="apk",
        name=name,
        version=_needed(path, fields, "V"),
        architecture=fields.get("A", ""),
        upstream=origin if origin != name else "",
    )


def _needed(path: str, fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name)
    if not value:
        first = "; ".join(f"{key}: {text}" for key, text in list(fields.items())[:2])
        raise CheckError(f"/{path}: the package with {first[:80]!r} has no {name}")
    return value
