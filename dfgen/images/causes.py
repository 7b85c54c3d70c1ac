"""Why an image has other inputs than those it was built from: which template, variable, pin or file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Image
from dfgen.errors import InputError, Problem, listing, printable
from dfgen.images.inputs import Inputs
from dfgen.images.plan import Reason
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import BASE_DIGEST, BASE_NAME

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
