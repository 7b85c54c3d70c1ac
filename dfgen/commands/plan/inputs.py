"""The inputs of an image as hashes, the reason to build it, and its build request.

An image in the layout with the same inputs is not built again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image, Parent, SmokeTest
from dfgen.engine.request import BuildRequest
from dfgen.errors import CheckError, InputError, Problem, first_few, printable
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME, INPUTS, Descriptor
from dfgen.oci.platform import Platform

# Key in `Inputs.options`: the time of all files in an image, in seconds since 1970.
EPOCH = "source_date_epoch"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs of one image.

    `files` has the context files that the Dockerfile uses, by their path in the context, each as its type,
    mode bits and content: `file 644 sha256:…`, `folder 755`, `link target`. `options` has everything else
    that changes the image: the platform, the time of its files, the annotations.
    """

    dockerfile: Digest
    files: Mapping[str, str]
    options: Mapping[str, str]

    @cached_property
    def raw(self) -> bytes:
        """The canonical JSON of the record: equal inputs have equal bytes."""
        data = {"dockerfile": str(self.dockerfile), "files": dict(self.files), "options": dict(self.options)}
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @cached_property
    def digest(self) -> Digest:
        """The hash of the record, which identifies the inputs."""
        return Digest.of(self.raw)

    @classmethod
    def parse(cls, raw: bytes) -> Inputs:
        """Parse a record. Raises CheckError if the bytes are not a record of inputs."""
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
        """Yield each input that differs from an earlier build, with a remark in parentheses or ""."""
        if self.dockerfile != old.dockerfile:
            yield "Dockerfile", ""
        yield from _differing(self.files, old.files)
        yield from _differing(self.options, old.options)


def _differing(new: Mapping[str, str], old: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in sorted({*new, *old}):
        if name not in old:
            yield name, " (added)"
        elif name not in new:
            yield name, " (removed)"
        elif new[name] != old[name]:
            yield name, _mode(new[name], old[name])


def _mode(new: str, old: str) -> str:
    """The old and new mode if only the mode differs: git does not show the umask of a checkout."""
    (kind, mode, *content), (was, before, *earlier) = (f"{text}  ".split(" ", 2) for text in (new, old))
    is_mode_alone = kind == was and kind in ("file", "folder") and content == earlier
    return f" (mode {before}, now {mode})" if is_mode_alone else ""


class Reason(StrEnum):
    """Why an image is built, or is not; the text appears in plans and in the record of a run."""

    UP_TO_DATE = "up to date"
    NEW = "not built yet"
    PLATFORM = "platform added"
    TEMPLATE = "template changed"
    VARIABLE = "variable changed"
    PIN = "pin moved"
    CONTEXT = "context file changed"
    INPUTS = "inputs changed"  # of several kinds, or of another kind
    DAMAGED = "damaged in the layout"
    MISLABELLED = "another image in the layout"  # its entry says what the image is not
    TESTS = "smoke tests changed"
    UNTESTED = "not tested yet"  # built with bake, and joined
    PACKAGES = "packages moved"
    UNLOCKED = "packages not locked yet"
    NO_SBOM = "SBOM missing"
    EXTRA_SBOM = "SBOM no longer requested"
    PARENT = "parent rebuilt"
    ASKED = "rebuild requested"

    @property
    def is_change(self) -> bool:
        """Whether the inputs of the image changed."""
        return self in (
            *(Reason.TEMPLATE, Reason.VARIABLE, Reason.PIN, Reason.CONTEXT, Reason.INPUTS),
            Reason.PACKAGES,
        )

    @property
    def is_sbom(self) -> bool:
        """Whether only the image's SBOM is to be generated or removed."""
        return self in (Reason.NO_SBOM, Reason.EXTRA_SBOM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The plan for one image: `detail` names the changes or the parents, `built` is its entry in the layout.

    `inputs` is None if a parent in the catalog has no pin yet: the Dockerfile cannot be rendered before.
    """

    image: Image
    reason: Reason
    detail: str = ""
    inputs: Inputs | None = None
    built: Descriptor | None = None

    @property
    def is_needed(self) -> bool:
        """Whether the image is to be built, tested, or described by an SBOM."""
        return self.reason is not Reason.UP_TO_DATE

    @property
    def is_kept(self) -> bool:
        """Whether the built image is kept, and only its tests, package lock or SBOM are updated."""
        return self.reason in (Reason.TESTS, Reason.UNTESTED, Reason.UNLOCKED) or self.reason.is_sbom

    def again(self) -> Step:
        """The same step with the image to be built, even if it is up to date."""
        return replace(self, reason=Reason.ASKED)

    @property
    def epoch(self) -> int:
        """The time of all files in the image, in seconds since 1970; 0 if its inputs are not known yet."""
        return int(self.inputs.options[EPOCH]) if self.inputs else 0

    @property
    def why(self) -> str:
        """The reason with its detail: `template changed: java-base.Dockerfile.j2`."""
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of a plan; parents come before their children."""

    steps: tuple[Step, ...]

    def again(self, names: Container[str] | None = None) -> Plan:
        """The same plan with these images to be built, even if they are up to date; all without names."""
        return Plan(
            steps=tuple(
                step.again()
                if (step.is_kept or not step.is_needed) and (names is None or step.image.name in names)
                else step
                for step in self.steps
            )
        )

    @property
    def needed(self) -> tuple[Step, ...]:
        """The steps that are not up to date."""
        return tuple(step for step in self.steps if step.is_needed)

    @property
    def tested(self) -> frozenset[Platform]:
        """The platforms of steps that run smoke tests."""
        return frozenset(step.image.platform for step in self.needed if step.image.tests)


_PREFIXES = {"template": Reason.TEMPLATE, "variable": Reason.VARIABLE, "pin": Reason.PIN}

# Hashes of what a Dockerfile is rendered from, by `template NAME`, `variable NAME` or `pin PARENT`.
Causes = Mapping[str, str]


def causes_of(image: Image, lock: Lock, templates: Mapping[str, str]) -> Causes:
    """Hash everything that a Dockerfile is rendered from; `templates` are the texts by name."""
    settings = {**image.variables, "packages": image.packages, "labels": image.labels}
    pins = {parent.key: lock.pin(parent) for parent in image.all_parents}
    return {
        **{f"template {name}": _hash(text) for name, text in templates.items()},
        **{f"variable {name}": _hash(repr(value)) for name, value in settings.items()},
        **{f"pin {key}": str(pin.digest) for key, pin in pins.items() if pin},
    }


def reason_of(new: Inputs, old: Inputs, causes: Causes, earlier: Causes) -> tuple[Reason, str]:
    """Compare the inputs of an image with those of its last build. Returns the reason and its detail.

    The reason is specific if all changes are of one kind. A Dockerfile that differs is named itself if the
    earlier build recorded no causes (`earlier` is empty).
    """
    changed = list(_changed(new, old, causes, earlier))
    kinds = {kind for kind, _ in changed}
    if len(kinds) == 1 and None not in kinds:
        (kind,) = kinds
        return kind or Reason.INPUTS, first_few([name for _, name in changed])
    prefixes = {reason: word for word, reason in _PREFIXES.items()}
    texts = [f"{prefixes[kind]} {name}" if kind in prefixes else name for kind, name in changed]
    return Reason.INPUTS, first_few(texts)


def to_text(causes: Causes) -> str:
    """Write causes as JSON, sorted by name."""
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
        elif not (has_pin and name in (BASE_DIGEST, BASE_NAME)):  # a consequence of the pin
            yield None, f"{name}{how}"


def _split(cause: str) -> tuple[Reason, str]:
    word, _, name = cause.partition(" ")
    return _PREFIXES[word], name


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# Annotations of an image's entry in the layout: the hash of the smoke tests that it passed, and of the
# packages that its build added. Packages are found after a build, so they are not part of `Inputs`.
TESTS = "dev.dfgen.tests"
PACKAGES = "dev.dfgen.packages"


def digest_of_tests(image: Image) -> Digest:
    """Hash the smoke tests of an image: if they change, it is tested again, but not built."""
    return Digest.of(json.dumps([_hashed(test) for test in image.tests]).encode())


def _hashed(test: SmokeTest) -> list[object]:
    """The settings of a smoke test that decide whether it passes.

    Only those of the first release are always there, so that its images need no new tests.
    """
    old: list[object] = [test.command, test.expect, test.exit, test.healthy, test.network, test.timeout]
    new = {"args": test.args, "starts": test.starts, "ports": test.ports, "logs": test.logs}
    return old if (test.args, test.starts, test.ports, test.logs) == (None, 0, (), "") else [*old, new]


def base_annotations(parent: Parent | None, lock: Lock) -> dict[str, str]:
    """The annotations with the reference and digest of an image's base, as the OCI image spec names them.

    Raises InputError if it has no pin.
    """
    if parent is None:
        return {}
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
    options = step.inputs.options if step.inputs else {}
    base = {name: options[name] for name in (BASE_NAME, BASE_DIGEST) if name in options}
    pins = {parent: lock.pin(parent) for parent in image.all_parents if parent.family}
    return BuildRequest(
        platform=image.platform,
        dockerfile=image.dockerfile,
        context=image.family.context,
        log=log,
        annotations={**base, **inputs},
        source_date_epoch=step.epoch,
        provenance=catalog.provenance,
        contexts={str(parent.reference.at(pin.digest)): pin.digest for parent, pin in pins.items() if pin},
        # Cached layers have the packages of the day when they were built.
        no_cache=no_cache or step.reason is Reason.PACKAGES,
        cache=catalog.build_cache.of(image),
        sbom=catalog.sbom,
    )
