"""The lock file: its format, and the errors of invalid files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.catalog.lockfile import Lock, LockedParent, Pin, parse, read
from dfgen.catalog.model import Parent
from dfgen.errors import InputError, Place
from dfgen.oci.digest import Digest
from dfgen.oci.manifest import DOCKER_INDEX, OCI_INDEX, OCI_MANIFEST
from dfgen.oci.platform import Platform, aliases
from dfgen.oci.reference import Reference

A, B, C = (Digest(f"sha256:{char * 64}") for char in "abc")
AMD64, ARM64 = Platform.parse("amd64"), Platform.parse("arm64")
LOCKED = LockedParent(
    digest=A, media_type=OCI_INDEX, first_seen="2026-01-31", platforms={ARM64: Pin(C), AMD64: Pin(B, 527)}
)
TEXT = f"""\
{{
  "version": 1,
  "parents": {{
    "docker.io/library/busybox:1.36": {{
      "digest": "{A}",
      "media_type": "application/vnd.oci.image.index.v1+json",
      "first_seen": "2026-01-31",
      "platforms": {{
        "linux/amd64": {{"digest": "{B}", "size": 527}},
        "linux/arm64": {{"digest": "{C}"}}
      }}
    }}
  }}
}}
"""
KEY = "docker.io/library/busybox:1.36"


def _error(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(text)
    return str(caught.value)


def _broken(**changes: object) -> str:
    data = json.loads(TEXT)
    entry = data["parents"][KEY]
    entry.update(changes)
    data["parents"][KEY] = {key: value for key, value in entry.items() if value is not ...}
    return json.dumps(data)


def test_the_file_is_sorted_with_one_digest_per_line() -> None:
    assert Lock({KEY: LOCKED}).to_text() == TEXT
    assert all(line.count("sha256:") <= 1 for line in TEXT.splitlines())


def test_triggers_are_in_the_line_of_their_pin() -> None:
    text = TEXT.replace('"size": 527}', '"size": 527, "onbuild": ["COPY . /\\u00e9", "RUN \\"x\\""]}')
    triggers = ("COPY . /é", 'RUN "x"')
    lock = Lock({KEY: replace(LOCKED, platforms={ARM64: Pin(C), AMD64: Pin(B, 527, triggers)})})
    assert (lock.to_text(), parse(text)) == (text, lock)
    assert lock.triggers == {str(B): triggers}


def test_an_empty_lock() -> None:
    assert parse(Lock().to_text()) == Lock()


digests = st.integers(0, 99).map(lambda number: Digest.of(b"%d" % number))
indexes = st.integers(100, 199).map(lambda number: Digest.of(b"%d" % number))  # never a pin
locks = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.builds(
        LockedParent,
        digest=indexes,
        media_type=st.sampled_from((OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST)),
        first_seen=st.dates().map(str),
        platforms=st.dictionaries(
            st.sampled_from(list(aliases().values())),
            st.builds(Pin, digests, st.integers(0, 10**6), st.lists(st.text(), max_size=2).map(tuple)),
            max_size=3,
        ),
    ),
    max_size=3,
).map(Lock)


@given(locks)
def test_a_written_lock_parses_to_the_same_lock(lock: Lock) -> None:
    assert parse(lock.to_text()) == lock
    assert parse(lock.to_text()).to_text() == lock.to_text()


def test_pins_by_parent_and_platform() -> None:
    lock = Lock({KEY: LOCKED, "lib:1": LOCKED})
    upstream = Parent(reference=Reference.parse(KEY), platform=AMD64, place=Place("f"))
    own = Parent(
        reference=Reference.parse("r/lib:1"), platform=ARM64, place=Place("f"), family="lib", version="1"
    )
    other = Parent(reference=Reference.parse("x:1"), platform=AMD64, place=Place("f"))
    riscv = Parent(reference=Reference.parse(KEY), platform=Platform.parse("riscv64"), place=Place("f"))
    assert [lock.pin(parent) for parent in (upstream, own, other, riscv)] == [Pin(B, 527), Pin(C), None, None]


def test_changes_return_new_locks() -> None:
    lock = Lock({"a": LOCKED, "b": LOCKED})
    assert set(lock.only(frozenset({"a", "x"})).parents) == {"a"}
    assert set(lock.with_parents({"c": LOCKED}).parents) == {"a", "b", "c"}
    assert set(lock.parents) == {"a", "b"}


NEW = TEXT.splitlines()[3:11]  # an entry with its key


def _conflict(before: int, ours: list[str], theirs: list[str], base: list[str] | None = None) -> str:
    """Return TEXT with a conflict instead of its entry, as git writes it."""
    lines = TEXT.splitlines()
    middle = ["||||||| base", *base] if base is not None else []
    conflict = ["<<<<<<< ours", *ours, *middle, "=======", *theirs, ">>>>>>> theirs"]
    return "\n".join([*lines[:before], *conflict, *lines[11:], ""])


def _named(name: str, lines: list[str] = NEW) -> list[str]:
    return [line.replace("busybox", name) for line in lines]


@pytest.mark.parametrize("base", [None, [], NEW])
def test_parents_that_only_one_side_of_a_merge_has_are_joined(base: list[str] | None) -> None:
    lock = parse(_conflict(3, _named("a"), _named("b"), base))
    assert lock.is_merged
    assert lock == Lock({f"docker.io/library/{name}:1.36": LOCKED for name in "ab"})


def test_an_entry_that_both_sides_of_a_merge_have_is_the_older_one() -> None:
    later = [line.replace("2026-01-31", "2026-02-01") for line in NEW]
    for sides in ((NEW, later), (later, NEW)):
        lock = parse(_conflict(3, *sides))
        assert lock.is_merged
        assert lock.parents == {KEY: LOCKED}
        assert lock.parents[KEY].first_seen == "2026-01-31"


def test_an_entry_that_both_sides_of_a_merge_pin_differently() -> None:
    assert _error(_conflict(3, NEW, [line.replace(str(B), str(C)) for line in NEW])) == (
        f"bases/lock.json: merge conflict: both sides pin {KEY!r}, differently; keep one side and run `dfgen lock`"
    )


@pytest.mark.parametrize(
    "text",
    [
        _conflict(3, NEW[:-1], NEW),  # a side that is not JSON
        _conflict(3, NEW, NEW).replace("=======\n", ""),
        _conflict(3, NEW, NEW).replace(">>>>>>> theirs\n", ""),
        _conflict(3, ["<<<<<<< inner", *NEW], NEW),
    ],
)
def test_a_merge_conflict_that_cannot_be_read(text: str) -> None:
    assert _error(text) == (
        "bases/lock.json:4:1: invalid JSON (a merge conflict?): Expecting property name enclosed in double quotes;"
        " keep one side and run `dfgen lock`"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bases/lock.json:1:1: invalid JSON: Expecting value; keep one side and run `dfgen lock`"),
        ("[" * 100_000, "bases/lock.json: invalid lock: nested too deeply; restore it from git, or remove it and run `dfgen lock`"),
        ("[]", "bases/lock.json: invalid lock: expected an object with 'version' and 'parents'; restore it from git, or remove it and run `dfgen lock`"),
        ('{"parents": []}', "bases/lock.json: invalid lock: expected an object with 'version' and 'parents'; restore it from git, or remove it and run `dfgen lock`"),
        ('{"parents": {}}', "bases/lock.json: unsupported version None; this dfgen reads version 1; restore it from git, or remove it and run `dfgen lock`"),
        ('{"version": 2, "parents": {}}', "bases/lock.json: unsupported version 2; this dfgen reads version 1; restore it from git, or remove it and run `dfgen lock`"),
    ],
)  # fmt: skip
def test_invalid_lock_files(text: str, message: str) -> None:
    assert _error(text) == message


PIN = {"digest": str(A)}
NO_TRIGGERS = ": the ONBUILD triggers are not a list of at most 100 texts of at most 10000 characters"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"digest": "x"}, ": 'x' is not a digest; expected sha256: and 64 hexadecimal digits"),
        ({"digest": ...}, " is incomplete: 'digest'"),
        ({"digest": 7}, " is incomplete: expected string or bytes-like object, got 'int'"),
        ({"media_type": "text/plain"}, ": media type 'text/plain' is not that of an index or a manifest"),
        ({"first_seen": 'a"b'}, ": first_seen 'a\"b' is not a date such as 2026-01-31"),
        ({"first_seen": "2026-01-31\n"}, ": first_seen '2026-01-31\\n' is not a date such as 2026-01-31"),
        ({"first_seen": ...}, " is incomplete: 'first_seen'"),
        ({"platforms": []}, " is incomplete: 'list' object has no attribute 'items'"),
        ({"platforms": {"z80": PIN}}, ": unknown architecture 'z80'; supported: linux/amd64, linux/arm64, linux/arm/v7, linux/ppc64le, linux/s390x and linux/riscv64"),
        ({"platforms": {"arm64": {}}}, " is incomplete: 'digest'"),
        ({"platforms": {"arm64": "x"}}, " is incomplete: expected an object, found 'x'"),
        ({"platforms": {"arm64": {**PIN, "sise": 7}}}, ": unknown key 'sise' (did you mean 'size'?)"),
        ({"digset": str(A)}, ": unknown key 'digset' (did you mean 'digest'?)"),
        ({"platforms": {"arm64": PIN, "aarch64": PIN}}, ": 'aarch64' is a second pin for linux/arm64"),
        ({"first_seen": "2026-13-45"}, ": first_seen '2026-13-45' is not a date such as 2026-01-31"),
        ({"platforms": {"arm64": {**PIN, "size": 10**12}}}, ": size 1000000000000 is not a number of bytes"),
        ({"platforms": {"arm64": {**PIN, "size": "7"}}}, ": size '7' is not a number of bytes"),
        ({"platforms": {"arm64": {**PIN, "size": True}}}, ": size True is not a number of bytes"),
        ({"platforms": {"arm64": {**PIN, "size": -7}}}, ": size -7 is not a number of bytes"),
        *(({"platforms": {"arm64": {**PIN, "onbuild": found}}}, NO_TRIGGERS) for found in ("RUN x", None, {}, [7], ["x"] * 101, ["x" * 10_001])),
    ],
)  # fmt: skip
def test_an_invalid_entry_is_reported_with_its_parent(changes: dict[str, object], reason: str) -> None:
    assert _error(_broken(**changes)) == (
        f"bases/lock.json:1: parent {KEY!r}{reason}; restore it from git, or remove this entry and run `dfgen lock`"
    )


def test_an_invalid_entry_is_reported_with_its_line() -> None:
    text = TEXT.replace(str(A), "sha256:abc")
    number = TEXT.splitlines().index(f'    "{KEY}": {{') + 1
    assert _error(text).startswith(f"bases/lock.json:{number}: parent {KEY!r}: 'sha256:abc' is not a digest;")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(("digest", "size", "platforms", "linux/amd64", "media_type")), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(("digest", "media_type", "first_seen", "platforms")), json_values)
def test_any_value_parses_or_raises_a_one_line_error(key: str, value: object) -> None:
    try:
        lock = parse(_broken(**{key: value}))
    except InputError as error:
        lines = str(error).splitlines()
        assert len(lines) == 1
    else:
        assert parse(lock.to_text()) == lock


def test_read(tmp_path: Path) -> None:
    assert read(tmp_path) == Lock()
    path = tmp_path / "bases" / "lock.json"
    path.parent.mkdir()
    path.write_text(TEXT)
    assert read(tmp_path) == Lock({KEY: LOCKED})


def test_unreadable_files(tmp_path: Path) -> None:
    path = tmp_path / "bases" / "lock.json"
    path.parent.mkdir()
    path.write_bytes(b"\xff")
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert str(caught.value) == "bases/lock.json: is not UTF-8 text; save it as UTF-8"
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert str(caught.value) == "bases/lock.json: is not a regular file; put a file there"


@pytest.mark.parametrize("at", range(3, 10))
def test_a_duplicate_key_is_reported_with_both_lines(at: int) -> None:
    lines = TEXT.splitlines()
    if lines[at].endswith("{"):  # a whole entry twice
        lines = [*lines[:at], f"{lines[at].rstrip('{')} null,", *lines[at:]]
    else:
        lines = [*lines[:at], f"{lines[at].rstrip(',')},", *lines[at:]]
    key = lines[at].split('"')[1]
    keep = "keep one of them and run `dfgen lock`"
    found = _error("\n".join(lines))
    assert found == f"bases/lock.json:{at + 2}: duplicate key {key!r} (first on line {at + 1}); {keep}"


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "1" * 30, "NaN", "Infinity"])
def test_an_absurd_number_is_refused(number: str) -> None:
    assert f"{number[:18]} is not a number that a lock contains" in _error(TEXT.replace("527", number))


def test_an_unknown_key_at_the_top_is_refused() -> None:
    text = TEXT.replace('"version": 1', '"version": 1, "parent": {}')
    assert _error(text) == "bases/lock.json: unknown key 'parent' (did you mean 'parents'?)"


def test_a_candidate_of_dfgen_0_1_is_ignored() -> None:
    candidate = '      "candidate": {"digest": "x", "first_seen": "2026-01-31"},\n      "platforms": {'
    assert parse(TEXT.replace('      "platforms": {', candidate)) == Lock({KEY: LOCKED})


def test_the_digest_of_the_index_is_no_pin_but_that_of_a_single_image_is() -> None:
    text = TEXT.replace(str(C), str(A))
    line = TEXT.splitlines().index(f'    "{KEY}": {{') + 1
    assert _error(text) == (
        f"bases/lock.json:{line}: parent {KEY!r}: the pin for linux/arm64 is the digest of the whole index;"
        " expected the digest of its linux/arm64 image; restore it from git, or remove this entry and run"
        " `dfgen lock`"
    )
    single = parse(text.replace(OCI_INDEX, OCI_MANIFEST))
    assert single.parents[KEY].platforms[ARM64].digest == A
