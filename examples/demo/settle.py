"""What the scripts of Debian's packages would have set up in a root file system, for a stand-in parent."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from packages import Apt

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
HOST_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# The link that update-alternatives would have made, and the program behind it.
ALTERNATIVES = {"awk": "mawk", "which": "which.debianutils"}
# The machine's apt settings that a build needs too, to reach the same mirror.
TRANSPORT = r"Acquire::(?:https?::Proxy|Check-Valid-Until|Check-Date) .*"


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def transport_settings(dumped: str) -> str:
    """The lines of `apt-config dump` that a build needs; a proxy on loopback cannot be reached from one."""
    lines = re.findall(rf"^{TRANSPORT}$", dumped, re.MULTILINE)
    return "".join(f"{line}\n" for line in lines if not re.search(r"//(localhost|127\.|\[::1])", line))


def settle_triggers(database: Path) -> None:
    """Which package wants to hear of which trigger; without this dpkg would run every one of them at once.

    A package's interest in a path lies in triggers/File, that in a named trigger in a file of that name.
    """
    triggers = database / "triggers"
    triggers.mkdir(exist_ok=True)
    (triggers / "File").touch()
    for path in sorted((database / "info").glob("*.triggers")):
        for kind, name in re.findall(r"^interest(\S*)\s+(\S+)", path.read_text(), re.MULTILINE):
            listener = path.stem + ("/noawait" if kind == "-noawait" else "")
            is_path = name.startswith("/")
            with (triggers / ("File" if is_path else name)).open("a") as file:
                file.write(f"{name} {listener}\n" if is_path else f"{listener}\n")


def settle_dpkg(root: Path) -> None:
    """The rest of dpkg's database, and the links of its alternatives."""
    database = root / "var/lib/dpkg"
    settle_triggers(database)
    for name in ("updates", "alternatives"):
        (database / name).mkdir(exist_ok=True)
    for name in ("available", "diversions", "statoverride"):
        (database / name).touch()
    (database / "info/format").write_text("1\n")
    (root / "etc/dpkg/dpkg.cfg.d").mkdir(parents=True, exist_ok=True)
    excluded = "".join(f"path-exclude=/usr/share/{name}/*\n" for name in ("doc", "man", "info", "locale"))
    (root / "etc/dpkg/dpkg.cfg.d/stand-in").write_text(excluded)
    for name, program in ALTERNATIVES.items():
        if (root / "usr/bin" / program).exists():
            _link(root / "etc/alternatives" / name, f"/usr/bin/{program}")
            _link(root / "usr/bin" / name, f"/etc/alternatives/{name}")


def settle_base(root: Path) -> None:
    """What base-files, libc-bin, tzdata and adduser set up."""
    shared = root / "usr/share"
    for name, target in (
        ("base-files/profile", "etc/profile"),
        ("base-files/dot.bashrc", "root/.bashrc"),
        ("base-files/dot.profile", "root/.profile"),
        ("base-files/nsswitch.conf", "etc/nsswitch.conf"),
        ("libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
        ("adduser/adduser.conf", "etc/adduser.conf"),
    ):
        if (shared / name).exists():
            shutil.copyfile(shared / name, root / target)
    for name, target in (("var/run", "/run"), ("var/lock", "/run/lock")):
        _link(root / name, target)
    _link(root / "etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
    (root / "etc/timezone").write_text("Etc/UTC\n")
    # Upstream images have this locale; its characters are the same, its formats are C's here.
    _link(root / "usr/lib/locale/en_US.utf8", "C.utf8")


def settle_users(root: Path, users: tuple[str, ...]) -> None:
    """The accounts of base-passwd, apt's own, and the given lines of /etc/passwd."""
    masters = root / "usr/share/base-passwd"
    own = ("_apt:x:42:65534::/nonexistent:/usr/sbin/nologin", *users)
    accounts = [*(masters / "passwd.master").read_text().replace(":*:", ":x:").splitlines(), *own]
    groups = (masters / "group.master").read_text().replace(":*:", ":x:").splitlines()
    groups += [":".join((fields[0], "x", fields[3], "")) for fields in (line.split(":") for line in users)]
    shadow = [f"{line.partition(':')[0]}:*:19723:0:99999:7:::" for line in accounts]
    gshadow = [f"{line.partition(':')[0]}:*::" for line in groups]
    for name, lines, mode in (
        ("passwd", accounts, 0o644),
        ("group", groups, 0o644),
        ("shadow", shadow, 0o640),
        ("gshadow", gshadow, 0o640),
    ):
        path = root / "etc" / name
        path.write_text("".join(f"{line}\n" for line in lines))
        path.chmod(mode)
    for line in users:
        (root / line.split(":")[5].lstrip("/")).mkdir(parents=True, exist_ok=True)


def settle_certificates(root: Path) -> None:
    """The certificate authorities: the machine's own, so that its mirror is trusted; else Debian's."""
    shared = root / "usr/share/ca-certificates"
    found = sorted(shared.rglob("*.crt"))
    (root / "etc/ca-certificates.conf").write_text("".join(f"{path.relative_to(shared)}\n" for path in found))
    source = [HOST_CERTIFICATES] if HOST_CERTIFICATES.exists() else found
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(path.read_text() for path in source))
    # Java's trust store is not kept up to date in a stand-in: its hook would run java at every change.
    (root / "etc/ca-certificates/update.d/jks-keystore").unlink(missing_ok=True)


def settle_apt(root: Path, apt: Apt) -> None:
    """The sources and settings with which apt works in a build."""
    for name in ("lists/partial", "mirrors/partial", "periodic"):
        (root / "var/lib/apt" / name).mkdir(parents=True, exist_ok=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True, exist_ok=True)
    entry = f"deb [signed-by={KEYRING}] {apt.mirror.uri} {apt.suite} main\n"
    (root / "etc/apt/sources.list").write_text(entry)
    dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    settings = f'Acquire::Languages "none";\n{transport_settings(dumped)}'
    (root / "etc/apt/apt.conf.d/90stand-in").write_text(settings)


def settle_java(root: Path) -> None:
    """Java where the upstream image has it: /opt/java/openjdk."""
    for home in (root / "usr/lib/jvm").glob("java-*-openjdk-*"):
        if not home.is_symlink():
            _link(root / "opt/java/openjdk", f"/usr/lib/jvm/{home.name}")


def settle_nginx(root: Path) -> None:
    """The cache of nginx where the upstream image has it: /var/cache/nginx."""
    own = root / "var/lib/nginx"
    if own.is_dir():
        (root / "var/cache/nginx").mkdir()
        shutil.rmtree(own)
        _link(own, "/var/cache/nginx")


def settle(root: Path, apt: Apt, users: tuple[str, ...]) -> None:
    """Sets up everything in `root` that no package script did."""
    settle_dpkg(root)
    settle_base(root)
    settle_users(root, users)
    settle_certificates(root)
    settle_apt(root, apt)
    settle_java(root)
    settle_nginx(root)
