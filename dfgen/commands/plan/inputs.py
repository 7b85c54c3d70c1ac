"""What an image is built from, as hashes: with the same inputs it need not be built again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.engine.request import BuildRequest
from dfgen.errors import CheckError, InputError, Problem, listing, printable
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, INPUTS, Descriptor

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


class Reason(StrEnum):
    """Why an image is built, or is not."""

    UP_TO_DATE = "up to date"
    NEW = "new"
    PLATFORM = "platform added"
    TEMPLATE = "template changed"
    VARIABLE = "variable changed"
    PIN = "pin moved"
    CONTEXT = "context file changed"
    INPUTS = "inputs changed"  # in more than one way, or in another
    DAMAGED = "layout damaged"
    TESTS = "smoke tests changed"
    UNTESTED = "not tested yet"  # what another machine built, by bake
    SBOM = "SBOM changed"
    PARENT = "parent is rebuilt"
    ASKED = "asked to"

    @property
    def is_change(self) -> bool:
        """Whether what the image is built from is not what it was."""
        return self in (Reason.TEMPLATE, Reason.VARIABLE, Reason.PIN, Reason.CONTEXT, Reason.INPUTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One image: `detail` names what changed or which parent, `built` is what the layout has of it.

    `inputs` is None where they are not known yet: the Dockerfile waits for the pin of a parent.
    """

    image: Image
    reason: Reason
    detail: str = ""
    inputs: Inputs | None = None
    built: Descriptor | None = None

    @property
    def is_needed(self) -> bool:
        """Whether there is something to do."""
        return self.reason is not Reason.UP_TO_DATE

    @property
    def is_kept(self) -> bool:
        """Whether what the layout has is only tested again, or gets another SBOM."""
        return self.reason in (Reason.TESTS, Reason.UNTESTED, Reason.SBOM)

    @property
    def epoch(self) -> int:
        """The time of everything in it, in seconds since 1970; 0 where its inputs are not known yet."""
        return int(self.inputs.options[EPOCH]) if self.inputs else 0

    @property
    def why(self) -> str:
        """The reason with its detail: `template changed: java-base.Dockerfile.j2`."""
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps, each after those of the images it is built on."""

    steps: tuple[Step, ...]

    def again(self) -> Plan:
        """The plan to build everything, whatever is there."""
        steps = (
            replace(step, reason=Reason.ASKED) if step.is_kept or not step.is_needed else step
            for step in self.steps
        )
        return Plan(steps=tuple(steps))

    @property
    def needed(self) -> tuple[Step, ...]:
        """The steps with something to do."""
        return tuple(step for step in self.steps if step.is_needed)


_NAMED = 3  # changed things that a reason names
_WORDS = {"template": Reason.TEMPLATE, "variable": Reason.VARIABLE, "pin": Reason.PIN}

# What a Dockerfile comes from, each thing's hash by `template NAME`, `variable NAME` or `pin PARENT`.
Causes = Mapping[str, str]


def causes_of(image: Image, lock: Lock, templates: Mapping[str, str]) -> Causes:
    """Hash what a Dockerfile comes from; `templates` are those that it is made with, text by name."""
    settings = {**image.variables, "packages": image.packages, "labels": image.labels}
    pins = {parent.key: lock.pin(parent) for parent in image.all_parents}
    return {
        **{f"template {name}": _hash(text) for name, text in templates.items()},
        **{f"variable {name}": _hash(repr(value)) for name, value in settings.items()},
        **{f"pin {key}": str(pin.digest) for key, pin in pins.items() if pin},
    }


def reason_of(new: Inputs, old: Inputs, causes: Causes, earlier: Causes) -> tuple[Reason, str]:
    """Name what changed since an image was built, by its kind where there is but one.

    Without what an earlier build recorded (`earlier` is empty), a Dockerfile that differs is named itself.
    """
    changed = list(_changed(new, old, causes, earlier))
    kinds = {kind for kind, _ in changed}
    if len(kinds) == 1 and None not in kinds:
        (kind,) = kinds
        return kind or Reason.INPUTS, _named([name for _, name in changed])
    words = {reason: word for word, reason in _WORDS.items()}
    said = [f"{words[kind]} {name}" if kind in words else name for kind, name in changed]
    return Reason.INPUTS, _named(said)


def to_text(causes: Causes) -> str:
    """Write a record of causes."""
    return json.dumps(dict(sorted(causes.items())), ensure_ascii=False)


def _changed(
    new: Inputs, old: Inputs, causes: Causes, earlier: Causes
) -> Iterator[tuple[Reason | None, str]]:
    moved = [key for key in sorted({*causes, *earlier}) if causes.get(key) != earlier.get(key)]
    explained = [_split(key) for key in moved] if earlier and new.dockerfile != old.dockerfile else []
    yield from explained
    has_pin = any(kind is Reason.PIN for kind, _ in explained)
    for name, how in new.changed_from(old):
        if name == "Dockerfile" and name not in {*new.files, *old.files}:
            if not explained:
                yield None, name
        elif name in {*new.files, *old.files}:
            yield Reason.CONTEXT, f"{printable(name)}{how}"
        elif not (has_pin and name in (BASE_DIGEST, BASE_NAME)):  # it follows from the pin
            yield None, f"{name}{how}"


def _split(cause: str) -> tuple[Reason, str]:
    word, _, name = cause.partition(" ")
    return _WORDS[word], name


def _named(changed: Sequence[str]) -> str:
    more = len(changed) - _NAMED
    return listing([*changed[:_NAMED], *([f"{more} more"] if more > 0 else [])])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# Of an image's entry in the layout: the hash of the smoke tests that it passed.
TESTS = "dev.dfgen.tests"


def digest_of_tests(image: Image) -> Digest:
    """Hash the smoke tests of an image: with others it is to be tested again, though not built."""
    tests = [
        [one.command, one.expect, one.exit, one.healthy, one.network, one.timeout] for one in image.tests
    ]
    return Digest.of(json.dumps(tests).encode())


def base_annotations(image: Image, lock: Lock) -> dict[str, str]:
    """Name what an image is built on: the parent as the catalog has it, and its pin.

    Errors: InputError for a parent without a pin.
    """
    parent = image.parent
    pin = lock.pin(parent)
    if pin is None:
        message = f"parent {parent.key} has no pin for {parent.platform}; run `dfgen lock`"
        raise InputError(Problem(parent.place, message))
    return {BASE_NAME: str(parent.reference.without_digest()), BASE_DIGEST: str(pin.digest)}


def build_request(
    step: Step, lock: Lock, catalog: Catalog, log: Path, *, no_cache: bool = False
) -> BuildRequest:
    """Describe the build of a step, with its parents pinned by the lock.

    Raises InputError if a parent has no pin.
    """
    image = step.image
    inputs = {INPUTS: str(step.inputs.digest)} if step.inputs else {}
    pins = {parent: lock.pin(parent) for parent in image.all_parents if parent.family}
    return BuildRequest(
        platform=image.platform,
        dockerfile=image.dockerfile,
        context=image.family.context,
        log=log,
        annotations={**base_annotations(image, lock), **inputs},
        source_date_epoch=step.epoch,
        provenance=catalog.provenance,
        contexts={str(parent.reference.at(pin.digest)): pin.digest for parent, pin in pins.items() if pin},
        no_cache=no_cache,
        cache=catalog.build_cache.of(image),
        sbom=catalog.sbom,
    )
