"""Root file systems: dpkg's database, and the files that package scripts would have created."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

import images
import packages
import pytest
import rootfs
import settle
from home import DemoError
from rootfs import RootFs

CONTROL = (
    "Package: demo\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n x: y\n"
)


def make_package(folder: Path) -> Path:
    """Build a real package with a program, a configuration file and documentation."""
    tree = folder / "tree"
    for name, text in (
        ("DEBIAN/control", CONTROL),
        ("DEBIAN/conffiles", "/etc/demo.conf\n"),
        ("DEBIAN/triggers", "interest-noawait /usr/share/demo\ninterest demo-done\nactivate ldconfig\n"),
        ("bin/demo", "program"),
        ("etc/demo.conf", "a=1\n"),
        ("usr/share/doc/demo/README", "long"),
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    archive = folder / "demo.deb"
    subprocess.run(["dpkg-deb", "-b", str(tree), str(archive)], check=True, capture_output=True)
    return archive


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    rootfs.merge_usr(folder, "amd64")
    return folder


def test_a_package_is_unpacked_into_the_merged_usr(tmp_path: Path, root: Path) -> None:
    rootfs.unpack_archive(make_package(tmp_path), root)
    assert (root / "bin").readlink() == Path("usr/bin")
    assert (root / "usr/bin/demo").read_text() == "program"
    assert not (root / "usr/share/doc/demo").exists(), "documentation is left out"


def test_dpkg_reads_the_written_database(tmp_path: Path, root: Path) -> None:
    entry = rootfs.unpack_archive(make_package(tmp_path), root)
    (root / "var/lib/dpkg/status").write_text(entry)
    settle.settle_dpkg(root)

    def query(*arguments: str) -> str:
        command = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert query("-W", "-f", "${db:Status-Status} ${Version}", "demo") == "installed 1"
    assert "/bin/demo\n" in query("-L", "demo")
    digest = hashlib.md5(b"a=1\n").hexdigest()
    assert query("-W", "-f", "${Conffiles}", "demo").strip() == f"/etc/demo.conf {digest}"


def test_trigger_interests_are_written(tmp_path: Path, root: Path) -> None:
    rootfs.unpack_archive(make_package(tmp_path), root)
    triggers = root / "var/lib/dpkg/triggers"
    settle.settle_triggers(root / "var/lib/dpkg")
    assert (triggers / "File").read_text() == "/usr/share/demo demo/noawait\n"
    assert (triggers / "demo-done").read_text() == "demo\n"
    assert not (triggers / "ldconfig").exists()


def test_a_damaged_package_is_reported(tmp_path: Path, root: Path) -> None:
    archive = tmp_path / "x.deb"
    archive.write_text("no package")
    with pytest.raises(DemoError) as caught:
        rootfs.unpack_archive(archive, root)
    assert str(caught.value) == f"{archive}: cannot be unpacked, expected a package; remove it and run again"


def test_info_files_of_co_installable_packages_contain_the_architecture() -> None:
    assert rootfs.info_name("Package: libc6\nArchitecture: arm64\nMulti-Arch: same\n") == "libc6:arm64"
    assert rootfs.info_name("Package: bash\nArchitecture: arm64\nMulti-Arch: foreign\n") == "bash"


def test_paths_are_listed_in_dpkgs_format() -> None:
    assert rootfs.listed_paths("./\n./usr/\n./usr/a\n") == "/.\n/usr\n/usr/a\n"


def test_the_key_depends_on_every_field() -> None:
    first = RootFs(suite="trixie", packages=("a",))
    second = dataclasses.replace(first, users=("x:x:1:1::/:/bin/sh",))
    assert first.key() == RootFs(suite="trixie", packages=("a",)).key()
    assert first.key() != second.key()
    assert first.key().startswith("trixie-")


def test_equal_content_is_packed_into_equal_layers(tmp_path: Path) -> None:
    layers = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("b", "a") if name == "one" else ("a", "b"):
            (folder / file).write_text(file)
        layers.append(images.pack(folder, tmp_path / f"{name}.tar.gz"))
    assert layers[0].digest == layers[1].digest
    content = (tmp_path / "one.tar.gz").read_bytes()
    assert layers[0].digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert layers[0].diff_id == f"sha256:{hashlib.sha256(gzip.decompress(content)).hexdigest()}"
    assert layers[0].size == len(content)
    with tarfile.open(tmp_path / "one.tar.gz") as packed:
        assert {(member.uid, member.mtime) for member in packed} == {(0, images.FILE_TIME)}


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DemoError) as caught:
        images.pack(tmp_path / "none", tmp_path / "x.tar.gz")
    assert str(caught.value) == f"{tmp_path}/none: tar ended with 2, expected to pack it; is the disk full?"


def test_an_existing_root_file_system_is_reused(tmp_path: Path) -> None:
    wanted = RootFs(suite="trixie")
    existing = images.Layer(path="x", digest="sha256:a", size=1, diff_id="sha256:b")
    (tmp_path / f"{wanted.key()}-arm64.json").write_text(json.dumps(dataclasses.asdict(existing)))
    mirror = packages.Source(uri="http://127.0.0.1:1/", suites=(), components=())
    apt = packages.Apt(folder=tmp_path / "apt", suite="trixie", arch="arm64", mirror=mirror)
    assert rootfs.make_rootfs(wanted, apt, tmp_path) == dataclasses.replace(
        existing, path=str(tmp_path / f"{wanted.key()}-arm64.tar.gz")
    ), "even if the folder was moved"


def test_transport_settings_are_kept_for_builds() -> None:
    dumped = (
        'Acquire::http "";\nAcquire::http::Proxy "http://proxy.example:3128";\n'
        'Acquire::https::Proxy "http://127.0.0.1:3142";\nAcquire::Check-Date "false";\nAPT::Get "";\n'
    )
    assert settle.transport_settings(dumped) == (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Date "false";\n'
    )


def test_accounts_are_written(root: Path) -> None:
    masters = root / "usr/share/base-passwd"
    masters.mkdir(parents=True)
    (masters / "passwd.master").write_text("root:*:0:0:root:/root:/bin/bash\n")
    (masters / "group.master").write_text("root:*:0:\n")
    (root / "etc").mkdir()
    settle.settle_users(root, ("app:x:7:8:App:/home/app:/bin/sh",))
    assert (root / "etc/passwd").read_text().splitlines() == [
        "root:x:0:0:root:/root:/bin/bash",
        "_apt:x:42:65534::/nonexistent:/usr/sbin/nologin",
        "app:x:7:8:App:/home/app:/bin/sh",
    ]
    assert (root / "etc/group").read_text() == "root:x:0:\napp:x:8:\n"
    assert (root / "etc/shadow").read_text().splitlines()[2] == "app:*:19723:0:99999:7:::"
    assert (root / "etc/shadow").stat().st_mode & 0o777 == 0o640
    assert (root / "home/app").is_dir()


def test_java_and_nginx_are_at_the_paths_of_the_upstream_images(root: Path) -> None:
    (root / "usr/lib/jvm/java-17-openjdk-arm64").mkdir(parents=True)
    (root / "usr/lib/jvm/java-1.17.0-openjdk-arm64").symlink_to("java-17-openjdk-arm64")
    (root / "var/lib/nginx").mkdir(parents=True)
    (root / "var/cache").mkdir()
    settle.settle_java(root)
    settle.settle_nginx(root)
    assert (root / "opt/java/openjdk").readlink() == Path("/usr/lib/jvm/java-17-openjdk-arm64")
    assert (root / "var/lib/nginx").readlink() == Path("/var/cache/nginx")
    assert (root / "var/cache/nginx").is_dir()
