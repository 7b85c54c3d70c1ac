from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.errors import InputError
from dfgen.oci.digest import Digest

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_digest_of_empty_data() -> None:
    digest = Digest.of(b"")
    assert (str(digest), digest.algorithm, digest.hex) == (EMPTY, "sha256", EMPTY[7:])
    assert digest.short == "e3b0c44298fc"


@given(st.binary(), st.sampled_from(("sha256", "sha512")))
def test_a_digest_matches_only_its_own_data(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert digest.text == f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    assert digest.matches(data)
    assert not digest.matches(data + b"x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        EMPTY[:-1],
        EMPTY + "0",
        EMPTY + "\n",
        EMPTY.upper(),
        EMPTY[7:],
        "sha512:" + EMPTY[7:],
        "md5:" + "0" * 32,
        "sha256:" + "g" * 64,
        " " + EMPTY,
    ],
)
def test_invalid_digests_are_rejected(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Digest(text)
    assert str(caught.value) == (f"{text!r} is not a digest; expected sha256: and 64 hexadecimal digits")
