"""The table of architecture names and the normalization of platforms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.errors import InputError
from dfgen.oci.platform import Platform, aliases

# A second copy of the table, so that a changed alias fails: platform, Dockerfile name, tag suffix, aliases.
TABLE = (
    ("linux/amd64", "Dockerfile_amd64", "-x86_64", ("amd64", "x86_64", "x86-64", "x64")),
    ("linux/arm64", "Dockerfile_arm64", "-aarch64", ("arm64", "aarch64", "arm64v8", "arm64/v8")),
    ("linux/arm/v7", "Dockerfile_armv7", "-armv7l", ("arm32v7", "armhf", "armv7", "armv7l", "arm/v7")),
    ("linux/ppc64le", "Dockerfile_ppc64le", "-ppc64le", ("ppc64le",)),
    ("linux/s390x", "Dockerfile_s390x", "-s390x", ("s390x",)),
    ("linux/riscv64", "Dockerfile_riscv64", "-riscv64", ("riscv64",)),
)
ALIASES = {alias: oci for oci, _, _, words in TABLE for alias in (oci, *words)}
spelled = st.sampled_from(sorted(ALIASES))


@st.composite
def typed(draw: st.DrawFn) -> tuple[str, str]:
    """An alias in any letter case and with blanks around it, and its platform."""
    alias = draw(spelled)
    prefix = draw(st.sampled_from(("", "linux/"))) if not alias.startswith("linux/") else ""
    upper = draw(st.sets(st.integers(0, 30)))
    text = "".join(char.upper() if at in upper else char for at, char in enumerate(prefix + alias))
    blank = draw(st.sampled_from(("", " ", "\t")))
    return f"{blank}{text}{blank}", ALIASES[alias]


@given(typed())
def test_every_alias_is_parsed(given_alias: tuple[str, str]) -> None:
    text, oci = given_alias
    assert str(Platform.parse(text)) == oci


@given(spelled, spelled)
def test_aliases_of_one_platform_are_equal(one: str, other: str) -> None:
    same = ALIASES[one] == ALIASES[other]
    assert (Platform.parse(one) == Platform.parse(other)) is same
    assert (hash(Platform.parse(one)) == hash(Platform.parse(other))) is same


@pytest.mark.parametrize(("oci", "dockerfile", "tag", "words"), TABLE)
def test_each_output_has_its_own_spelling(oci: str, dockerfile: str, tag: str, words: tuple[str]) -> None:
    platform = Platform.parse(oci)
    assert (str(platform), platform.dockerfile, platform.tag_suffix) == (oci, dockerfile, tag)


@pytest.mark.parametrize(("oci", "dockerfile", "tag", "words"), TABLE)
def test_suffixes_are_aliases(oci: str, dockerfile: str, tag: str, words: tuple[str]) -> None:
    assert str(Platform.parse(dockerfile.removeprefix("Dockerfile_"))) == oci
    assert str(Platform.parse(tag.removeprefix("-"))) == oci


def test_no_other_aliases_are_accepted() -> None:
    assert {word.removeprefix("linux/") for word in aliases()} == {
        word.removeprefix("linux/") for word in ALIASES
    }
    assert {word: str(platform) for word, platform in aliases().items()}.items() >= ALIASES.items()


def test_arm64_is_arm64_v8() -> None:
    assert Platform.of("linux", "arm64") == Platform.of("linux", "arm64", "v8") == Platform.parse("aarch64")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("Linux", "AMD64", "V1"), "linux/amd64"),
        (("linux", "amd64", "v3"), "linux/amd64/v3"),
        (("linux", "arm"), "linux/arm/v7"),
        (("linux", "arm", "v6"), "linux/arm/v6"),
        (("linux", "arm64", "v9"), "linux/arm64/v9"),
        (("linux", "arm64", "8"), "linux/arm64"),
        (("linux", "aarch64"), "linux/arm64"),
        (("linux", "aarch64", "V8"), "linux/arm64"),
        (("linux", "x86_64", "v1"), "linux/amd64"),
        (("linux", "X86-64", "v2"), "linux/amd64/v2"),
        (("linux", "amd64", "v8"), "linux/amd64/v8"),
        (("linux", "armhf", "v6"), "linux/arm/v7"),
        (("linux", "armel"), "linux/arm/v6"),
        (("linux", "arm", "7"), "linux/arm/v7"),
        (("linux", "arm", "5"), "linux/arm/v5"),
        (("linux", "i386", "sse2"), "linux/386"),
        (("macos", "arm64"), "darwin/arm64"),
        (("windows", "amd64", "", "10.0.20348.1"), "windows/amd64:10.0.20348.1"),
        (("unknown", "unknown"), "unknown/unknown"),
    ],
)
def test_platforms_are_normalized(words: tuple[str, ...], shown: str) -> None:
    assert str(Platform.of(*words)) == shown


def test_a_windows_platform_has_a_version() -> None:
    entry = {"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.1"}
    assert Platform.from_json(entry) != Platform.parse("amd64")
    assert Platform.from_json(entry).to_json() == {
        "architecture": "amd64",
        "os": "windows",
        "os.version": "10.0.20348.1",
    }


def test_an_unsupported_platform_has_no_file_name() -> None:
    with pytest.raises(InputError) as caught:
        _ = Platform.of("windows", "amd64").dockerfile
    assert str(caught.value) == (
        "dfgen does not build images for windows/amd64; supported: linux/amd64, linux/arm64, linux/arm/v7,"
        " linux/ppc64le, linux/s390x and linux/riscv64"
    )


@pytest.mark.parametrize(
    ("text", "hint"),
    [("arm64v9", " (did you mean 'arm64v8'?)"), ("AMD46", " (did you mean 'amd64'?)"), ("sparc", "")],
)
def test_an_unknown_architecture_suggests_the_closest_alias(text: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        Platform.parse(text)
    assert str(caught.value) == (
        f"unknown architecture {text!r}{hint}; supported: linux/amd64, linux/arm64, linux/arm/v7,"
        " linux/ppc64le, linux/s390x and linux/riscv64"
    )


@pytest.mark.parametrize("oci", [row[0] for row in TABLE])
def test_json_round_trip(oci: str) -> None:
    platform = Platform.parse(oci)
    assert Platform.from_json(platform.to_json()) == platform


@pytest.mark.parametrize("variant", [{}, {"variant": "v8"}])
def test_the_spelling_of_a_default_variant_is_preserved(variant: dict[str, str]) -> None:
    words = {"architecture": "arm64", "os": "linux", **variant}
    assert Platform.from_json(words).to_json() == words
    assert list(Platform.parse("linux/arm64/v8").to_json()) == ["architecture", "os"]
    assert Platform("linux", "arm", "v7").to_json()["variant"] == "v7"


@pytest.mark.parametrize(
    ("architecture", "variant", "written"),
    [
        ("aarch64", "8", {"architecture": "arm64"}),
        ("aarch64", "v8", {"architecture": "arm64", "variant": "v8"}),
        ("i386", "v8", {"architecture": "386"}),
        ("arm", "7", {"architecture": "arm", "variant": "v7"}),
    ],
)
def test_other_spellings_are_written_as_oci_spells_them(
    architecture: str, variant: str, written: dict[str, str]
) -> None:
    assert Platform.of("linux", architecture, variant).to_json() == {**written, "os": "linux"}


def test_all_keys_of_an_entrys_platform_are_preserved() -> None:
    entry = {"architecture": "amd64", "os": "windows", "features": ["x"], "os.features": ["win32k"], "z": 1}
    assert Platform.of_entry(entry).to_json() == entry
    assert Platform.of_entry(entry) == Platform.of("windows", "amd64")


def test_json_without_a_platform_is_an_empty_platform() -> None:
    assert Platform.from_json({"os": None}) == Platform("", "")


@pytest.mark.parametrize(
    ("os", "architecture", "unknown"),
    [
        ("unknown", "unknown", True),
        ("unknown", "amd64", True),
        ("linux", "unknown", True),
        ("linux", "x", False),
    ],
)
def test_attestation_entries_have_an_unknown_platform(os: str, architecture: str, unknown: bool) -> None:
    assert Platform.of(os, architecture).is_unknown is unknown


def test_control_characters_are_escaped() -> None:
    assert str(Platform.from_json({"os": "linux\nx", "architecture": "\x1b[31m"})) == "linux\\nx/\\x1b[31m"
