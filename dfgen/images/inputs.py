"""What an image is built from, as hashes: with the same inputs it need not be built again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dfgen.errors import CheckError, InputError
from dfgen.oci.digest import Digest

# Of the options: the time of everything in an image, in seconds since 1970.
EPOCH = "source_date_epoch"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs of one image.

    `files` has the context files that the Dockerfile uses, by their path in the context, each as its kind,
    mode bits and content: `file 644 sha256:…`, `folder 755`, `link target`. `options` is what else changes
    the result: the platform, the time that files get, the annotations.
    """

    dockerfile: Digest
    files: Mapping[str, str]
    options: Mapping[str, str]

    @cached_property
    def raw(self) -> bytes:
        """The record in its one canonical form."""
        data = {"dockerfile": str(self.dockerfile), "files": dict(self.files), "options": dict(self.options)}
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @cached_property
    def digest(self) -> Digest:
        """The inputs' hash: that of the record."""
        return Digest.of(self.raw)

    @classmethod
    def parse(cls, raw: bytes) -> Inputs:
        """Read a record. Errors: CheckError for what is none."""
        try:
            data: Any = json.loads(raw)
            return cls(
                dockerfile=Digest(data["dockerfile"]),
                files={str(path): str(text) for path, text in data["files"].items()},
                options={str(name): str(text) for name, text in data["options"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
            raise CheckError(f"not a record of inputs: {error}") from error

    def changed_from(self, old: Inputs) -> Iterator[tuple[str, str]]:
        """Name what differs from an earlier build, the Dockerfile, context files, options, and say how."""
        if self.dockerfile != old.dockerfile:
            yield "Dockerfile", ""
        yield from _differing(self.files, old.files)
        yield from _differing(self.options, old.options)


def _differing(new: Mapping[str, str], old: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in sorted({*new, *old}):
        if name not in old:
            yield name, " (added)"
        elif name not in new:
            yield name, " (gone)"
        elif new[name] != old[name]:
            yield name, _mode(new[name], old[name])


def _mode(new: str, old: str) -> str:
    """Say that it is a file's mode alone: a checkout with another umask is the same to all eyes but these."""
    (kind, mode, *content), (was, before, *earlier) = (f"{text}  ".split(" ", 2) for text in (new, old))
    is_all = kind == was and kind in ("file", "folder") and content == earlier
    return f" (mode {before}, now {mode})" if is_all else ""
