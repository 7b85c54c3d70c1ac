"""Root file systems from Debian's packages for any architecture, without running a program of theirs.

Packages are unpacked by the machine's own dpkg-deb, dpkg's database is written from their control files,
and what their scripts would have set up is set up here (settle.py). So an arm64 root file system takes as
long as an amd64 one, instead of minutes under emulation, and apt and dpkg work in it afterwards.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

from home import DemoError, write_file
from images import Layer, pack
from packages import Apt
from settle import settle

# What every stand-in has beside Debian's essential packages, so that a template's package step finds it.
BASE = (
    "adduser",
    "apt",
    "ca-certificates",
    "curl",
    "debian-archive-keyring",
    "locales",
    "passwd",
    "tzdata",
    "usr-is-merged",
)
LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian")
MERGED = ("bin", "lib", "sbin")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RootFs:
    """A root file system to make: a Debian suite, packages beside the base ones, and users."""

    suite: str
    packages: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    """Lines of /etc/passwd; each user gets a group of the same name and number."""

    def key(self) -> str:
        """A name for the result that changes with everything that decides it, this code included."""
        here = Path(__file__).parent
        code = b"".join((here / name).read_bytes() for name in ("rootfs.py", "settle.py", "images.py"))
        text = json.dumps(dataclasses.asdict(self), sort_keys=True).encode()
        return f"{self.suite}-{hashlib.sha256(code + text).hexdigest()[:12]}"


def database_entry(control: str, conffiles: dict[str, str]) -> str:
    """A package's stanza in dpkg's status file, as installed; `conffiles` maps paths to MD5 sums."""
    listed = "".join(f"\n {path} {digest}" for path, digest in conffiles.items())
    fields = [control.strip(), "Status: install ok installed"]
    return "\n".join([*fields, *([f"Conffiles:{listed}"] if listed else [])]) + "\n\n"


def info_name(control: str) -> str:
    """The name of a package's files in dpkg's info folder: with its architecture if it is co-installable."""
    fields = dict(line.split(": ", 1) for line in control.splitlines() if ": " in line and line[0] != " ")
    same = fields.get("Multi-Arch") == "same"
    return f"{fields['Package']}:{fields['Architecture']}" if same else fields["Package"]


def listed_paths(printed: str) -> str:
    """The list of a package's paths as dpkg keeps it, from what tar printed while it unpacked."""
    paths = (line.removeprefix(".").rstrip("/") for line in printed.splitlines())
    return "".join(f"{path or '/.'}\n" for path in paths)


def unpack_files(archive: Path, root: Path) -> str:
    """Unpacks one package's files but for its documentation; returns the paths as tar prints them."""
    # dpkg-deb -x would put a folder in place of the link /bin.
    command = ["tar", "-xvf", "-", "--keep-directory-symlink", "--directory", str(root)]
    command += [f"--exclude=./{path}/*" for path in LEFT_OUT]
    reader = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with subprocess.Popen(reader, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as packed:
        done = subprocess.run(command, stdin=packed.stdout, capture_output=True, text=True, check=False)
    if packed.returncode or done.returncode:
        raise DemoError(f"{archive}: cannot be unpacked, expected a package; remove it and run again")
    return done.stdout


def unpack_archive(archive: Path, root: Path) -> str:
    """Unpacks one package into `root` and into dpkg's info folder; returns its stanza for the status."""
    printed = unpack_files(archive, root)
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=info.parent) as folder:
        subprocess.run(["dpkg-deb", "-e", str(archive), folder], check=True)
        control = (Path(folder) / "control").read_text()
        name = info_name(control)
        for path in Path(folder).iterdir():
            if path.name != "control":
                path.rename(info / f"{name}.{path.name}")
    (info / f"{name}.list").write_text(listed_paths(printed))
    conffiles = info / f"{name}.conffiles"
    lines = conffiles.read_text().splitlines() if conffiles.exists() else []
    return database_entry(control, conffile_digests(lines, root))


def conffile_digests(lines: list[str], root: Path) -> dict[str, str]:
    """The MD5 sums of a package's configuration files, by which dpkg knows whether a person changed them."""
    paths = [line for line in lines if line.startswith("/") and (root / line[1:]).is_file()]
    return {path: hashlib.md5((root / path[1:]).read_bytes()).hexdigest() for path in paths}


def merge_usr(root: Path, arch: str) -> None:
    """Makes /bin, /lib and /sbin links into /usr before anything is unpacked, as Debian's installers do."""
    for name in (*MERGED, *(["lib64"] if arch == "amd64" else [])):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def make_rootfs(wanted: RootFs, apt: Apt, folder: Path) -> Layer:
    """The root file system for `apt`'s architecture as a layer; made once, then kept in `folder`."""
    record = folder / f"{wanted.key()}-{apt.arch}.json"
    target = record.with_suffix(".tar.gz")
    if record.exists():
        return dataclasses.replace(Layer(**json.loads(record.read_text())), path=str(target))
    archives = apt.download_system((*BASE, *wanted.packages))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="making-") as name:
        root = Path(name)
        root.chmod(0o755)
        merge_usr(root, apt.arch)
        status = "".join(unpack_archive(archive, root) for archive in archives)
        (root / "var/lib/dpkg/status").write_text(status)
        settle(root, apt, wanted.users)
        layer = pack(root, target)
    # Written last: it says that the layer beside it is whole.
    write_file(record, json.dumps(dataclasses.asdict(layer)) + "\n")
    return layer
