"""The machine's apt sources in both formats, the choice of a mirror, and unpacking of packages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import packages
import pytest
from home import DemoError

ONE_LINE = """\
# a comment
deb http://one.example/debian bookworm main contrib # trailing
deb [ arch=amd64 signed-by=/k.gpg ] https://two.example/debian bookworm-updates main
deb-src http://one.example/debian bookworm main
#deb http://off.example/debian bookworm main
deb http://broken.example
"""

DEB822 = """\
# snapshot
Types: deb deb-src
URIs: http://a.example/debian http://b.example/debian
Suites: trixie trixie-updates
# in between
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: trixie
Components: main

types: deb
uris: http://c.example/security
suites: trixie-security
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abcd
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb-src
URIs: http://src.example/debian
Suites: trixie
Components: main
"""


def test_one_line_entries_are_read() -> None:
    first, second = packages.read_one_line(ONE_LINE)
    assert first == packages.Source(
        uri="http://one.example/debian", suites=("bookworm",), components=("main", "contrib")
    )
    assert second == packages.Source(
        uri="https://two.example/debian",
        suites=("bookworm-updates",),
        components=("main",),
        signed_by="/k.gpg",
    )


def test_deb822_entries_are_read() -> None:
    first, second, third = packages.read_deb822(DEB822)
    assert (first.uri, second.uri) == ("http://a.example/debian", "http://b.example/debian")
    assert first.suites == ("trixie", "trixie-updates")
    assert first.components == ("main",)
    assert first.signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert third.uri == "http://c.example/security"
    assert third.signed_by.splitlines()[1:3] == [" -----BEGIN PGP PUBLIC KEY BLOCK-----", " ."]


def test_both_formats_are_read_and_other_files_ignored(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://list.example/debian bookworm main\n")
    for name, text in (
        ("a.list", "deb http://part.example/debian bookworm main\n"),
        ("b.sources", DEB822),
        ("c.list.disabled", "deb http://disabled.example/debian bookworm main\n"),
    ):
        (tmp_path / "sources.list.d" / name).write_text(text)
    assert [source.uri for source in packages.machine_sources(tmp_path)] == [
        "http://list.example/debian",
        "http://part.example/debian",
        "http://a.example/debian",
        "http://b.example/debian",
        "http://c.example/security",
    ]


def test_a_machine_without_sources(tmp_path: Path) -> None:
    assert packages.machine_sources(tmp_path) == []


def source(uri: str, *suites: str) -> packages.Source:
    return packages.Source(uri=uri, suites=suites, components=("main",))


def test_the_mirror_of_the_machines_release_is_chosen() -> None:
    sources = [
        source("cdrom:[Debian]/", "trixie"),
        packages.Source(uri="http://tools.example/", suites=("trixie",), components=("stable",)),
        source("http://security.example/debian", "trixie-security"),
        source("http://mirror.example/debian", "trixie", "trixie-updates"),
    ]
    assert packages.choose_mirror(sources, "trixie").uri == "http://mirror.example/debian"


def test_a_mirror_list_resolves_to_its_first_mirror(tmp_path: Path) -> None:
    listed = tmp_path / "my mirrors.list"
    listed.write_text("# ours\n\nhttp://first.example/debian\tpriority:1\nhttp://second.example/debian\n")
    quoted = str(listed).replace(" ", "%20")
    found = packages.choose_mirror([source(f"mirror+file:{quoted}", "trixie")], "trixie")
    assert found.uri == "http://first.example/debian"


def test_a_missing_mirror_is_reported() -> None:
    with pytest.raises(DemoError) as caught:
        packages.choose_mirror([source("mirror+file:/nowhere", "trixie")], "trixie")
    assert str(caught.value) == (
        "apt sources: no http or https entry has suite 'trixie' and component 'main';"
        " add the mirror of this release to /etc/apt/sources.list"
    )
    assert caught.value.code == 3


def test_archive_names_are_read_from_a_simulated_installation() -> None:
    printed = """\
NOTE: This is only a simulation!
Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [arm64]) []
Inst login (1:4.13+dfsg1-1 Debian:12.15/oldstable [arm64])
Inst tzdata [2025b] (2026b-0+deb12u1 Debian:12.15/oldstable, Debian:12-updates [all])
Conf libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [arm64])
"""
    assert packages.archive_names(printed) == [
        "libc6_2.36-9+deb12u14_arm64.deb",
        "login_1%3a4.13+dfsg1-1_arm64.deb",
        "tzdata_2026b-0+deb12u1_all.deb",
    ]


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        ("W: old\nE: Unable to locate package x\nE: second", "Unable to locate package x"),
        ("Err http://me:secret@mirror.example/debian", "Err http://mirror.example/debian"),
        ("", "failed without an error message"),
    ],
)
def test_the_first_error_is_reported_without_secrets(printed: str, error: str) -> None:
    assert packages.first_error(printed) == error


def make_package(folder: Path) -> Path:
    """Build a real package with two files."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    control = "Package: demo\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n"
    (tree / "DEBIAN/control").write_text(control)
    for name in ("wanted", "other"):
        (tree / "usr/bin").mkdir(parents=True, exist_ok=True)
        (tree / "usr/bin" / name).write_text(name)
    archive = folder / "demo_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(tree), str(archive)], check=True, capture_output=True)
    return archive


def test_only_wanted_files_are_unpacked(tmp_path: Path) -> None:
    archive, target = make_package(tmp_path), tmp_path / "target"
    assert packages.unpack([archive], target, {"usr/bin/wanted", "usr/bin/missing"}) == {"usr/bin/wanted"}
    assert (target / "usr/bin/wanted").read_text() == "wanted"
    assert not (target / "usr/bin/other").exists()


def test_all_files_are_unpacked_by_default(tmp_path: Path) -> None:
    assert {"usr/bin/wanted", "usr/bin/other"} <= packages.unpack(
        [make_package(tmp_path)], tmp_path / "target"
    )


def prepared(folder: Path, signed_by: str) -> packages.Apt:
    mirror = packages.Source(
        uri="http://127.0.0.1:1/debian", suites=("x",), components=("main",), signed_by=signed_by
    )
    apt = packages.Apt(folder=folder, suite="testing", arch="arm64", mirror=mirror)
    apt.prepare()
    return apt


def test_the_apt_source_is_written(tmp_path: Path) -> None:
    apt = prepared(tmp_path, "/keyring.gpg")
    assert (apt.own / "sources.d/demo.sources").read_text() == (
        "Types: deb\nURIs: http://127.0.0.1:1/debian\nSuites: testing\nComponents: main\n"
        "Signed-By: /keyring.gpg\n"
    )


def test_apt_is_confined_to_the_folder(tmp_path: Path) -> None:
    apt = prepared(tmp_path, "")
    dumped = subprocess.run(
        ["apt-config", "-c", str(apt.own / "apt.conf"), "dump"], check=True, capture_output=True, text=True
    ).stdout
    assert f'Dir::State::lists "{apt.own}/lists";' in dumped
    assert f'Dir::Cache::archives "{apt.own}/archives";' in dumped
    assert 'APT::Architecture "arm64";' in dumped
    assert "APT::Update::Post-Invoke-Success:: " not in dumped


def test_an_unreachable_mirror_is_named(tmp_path: Path) -> None:
    apt = prepared(tmp_path, "")
    conf = apt.own / "apt.conf"
    conf.write_text(conf.read_text() + 'Acquire::Retries "0";\n')
    with pytest.raises(DemoError) as caught:
        apt.with_lists("download", "demo")
    assert str(caught.value).startswith(
        "Debian testing (arm64) at http://127.0.0.1:1/debian: apt-get update: "
    )
    assert str(caught.value).endswith("; check the network and the machine's apt sources")
