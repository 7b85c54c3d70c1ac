"""References: the grammar of distribution/reference and Docker's short names."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.errors import InputError
from dfgen.oci.digest import Digest
from dfgen.oci.reference import Reference, Repository, is_tag

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.28", "docker.io/library/nginx:1.28"),
        ("library/nginx:1.28", "docker.io/library/nginx:1.28"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("team/app:1", "docker.io/team/app:1"),
        ("team/deep/app:1", "docker.io/team/deep/app:1"),
        ("localhost/app:1", "localhost/app:1"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("registry.example.com/app:1", "registry.example.com/app:1"),
        ("registry.example.com:5000/a/b/c:tag", "registry.example.com:5000/a/b/c:tag"),
        ("REGISTRY/app:1", "REGISTRY/app:1"),
        ("192.0.2.7/app:1", "192.0.2.7/app:1"),
        ("[2001:db8::1]:5000/app:1", "[2001:db8::1]:5000/app:1"),
        ("[::1]/app:1", "[::1]/app:1"),
        ("xn--n3h.example.com/app:1", "xn--n3h.example.com/app:1"),
        ("x/a.b_c__d-e---f:1", "docker.io/x/a.b_c__d-e---f:1"),
        ("app:A_b.c-9", "docker.io/library/app:A_b.c-9"),
        ("app:_x", "docker.io/library/app:_x"),
        (f"app:{'t' * 128}", f"docker.io/library/app:{'t' * 128}"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}"),
        (f"host:5000/app:1@{DIGEST}", f"host:5000/app:1@{DIGEST}"),
        (f"app@sha512:{'b' * 128}", f"docker.io/library/app@sha512:{'b' * 128}"),
        (f"{'a' * 63}:1", f"docker.io/library/{'a' * 63}:1"),
        ("host.example.com/" + "a/" * 118 + "ab:1", "host.example.com/" + "a/" * 118 + "ab:1"),
    ],
)
def test_references_are_expanded_as_docker_does(text: str, full: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == full
    assert Reference.parse(full) == reference


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is not a repository"),
        (":1", "'' is not a repository"),
        (f"@{DIGEST}", "'' is not a repository"),
        ("/app:1", "'/app' is not a repository"),
        ("app/:1", "'app/' is not a repository"),
        ("a//b:1", "'a//b' is not a repository"),
        ("host.example.com/:1", "'' is not a repository"),
        ("App:1", "'App' is not a repository; repository names must be lowercase"),
        ("team/App:1", "'team/App' is not a repository; repository names must be lowercase"),
        ("-app:1", "'-app' is not a repository"),
        ("app-:1", "'app-' is not a repository"),
        ("a___b:1", "'a___b' is not a repository"),
        ("a..b:1", "'a..b' is not a repository"),
        ("a._b:1", "'a._b' is not a repository"),
        ("a b:1", "'a b' is not a repository"),
        (" app:1", "' app' is not a repository"),
        ("app :1", "'app ' is not a repository"),
        ("äpp:1", "'äpp' is not a repository"),
        ("https://host.example.com/app:1", "'https:' is not a registry"),
        ("host:port/app:1", "'host:port' is not a registry"),
        ("-host.example.com/app:1", "'-host.example.com' is not a registry"),
        ("host..com/app:1", "'host..com' is not a registry"),
        ("ho_st.com/app:1", "'ho_st.com' is not a registry"),
        ("[::1/app:1", "'[::1' is not a registry"),
        ("[fe80::1%eth0]:5000/app:1", "'[fe80::1%eth0]:5000' is not a registry"),
        ("app:", "a tag or digest is missing"),
        ("app@", "a tag or digest is missing"),
        (f"app:@{DIGEST}", "a tag or digest is missing"),
        ("app:1@", "a tag or digest is missing"),
        ("app:-1", "'-1' is not a tag"),
        ("app:.1", "'.1' is not a tag"),
        ("app:a b", "'a b' is not a tag"),
        ("app:1\n", "'1\\n' is not a tag"),
        ("app:$x", "'$x' is not a tag"),
        (f"app:{'t' * 129}", f"'{'t' * 129}' is not a tag"),
        ("a:b:c", "'a:b' is not a repository"),
        ("a" * 64, "64 hexadecimal digits look like a digest; prefix them with sha256:"),
        ("host.example.com/" + "a/" * 119 + "a:1", "the name is longer than 255 characters"),
    ],
)
def test_invalid_references_are_rejected(text: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        Reference.parse(text)
    assert str(caught.value) == (
        f"{text!r} is not an image reference: {why}; expected [registry/]name[:tag][@digest]"
    )


@pytest.mark.parametrize("digest", ["sha256:abc", f"{DIGEST}0", f"{DIGEST}@{DIGEST}", "latest"])
def test_references_with_an_invalid_digest_are_rejected(digest: str) -> None:
    with pytest.raises(InputError) as caught:
        Reference.parse(f"app:1@{digest}")
    assert str(caught.value) == f"{digest!r} is not a digest; expected sha256: and 64 hexadecimal digits"


labels = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?", fullmatch=True)
registries = st.builds(
    lambda words, port: ".".join(words) + port,
    st.lists(labels, min_size=2, max_size=3),
    st.sampled_from(("", ":5000")),
)
parts = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
digests = st.binary(max_size=4).map(Digest.of)
references = st.builds(
    Reference,
    st.builds(Repository, registries.filter(lambda name: name != "index.docker.io"), paths),
    tags,
    st.none() | digests,
)


@given(references)
def test_references_round_trip(reference: Reference) -> None:
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=40))
def test_any_text_parses_or_raises_an_input_error(text: str) -> None:
    with contextlib.suppress(InputError):
        reference = Reference.parse(text)
        assert Reference.parse(str(reference)) == reference


def test_changes_return_new_references() -> None:
    reference = Reference.parse("host:5000/app:1")
    digest = Digest(DIGEST)
    assert str(reference.at(digest)) == f"host:5000/app:1@{DIGEST}"
    assert str(reference.at(digest).without_digest()) == "host:5000/app:1"
    assert str(reference.at(digest).with_tag("2")) == "host:5000/app:2"
    assert (reference.target, reference.at(digest).target) == ("1", DIGEST)
    assert str(reference) == "host:5000/app:1"


@pytest.mark.parametrize(("text", "expected"), [("1.0", True), ("", False), ("-a", False), ("a/b", False)])
def test_is_tag(text: str, expected: bool) -> None:
    assert is_tag(text) is expected
