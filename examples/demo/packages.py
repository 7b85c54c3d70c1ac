"""Debian packages: the mirror that the machine uses, and apt-get with the demo's own configuration.

The machine's apt.conf still applies (proxies, certificates, date checks); only the sources, package lists,
archives and the dpkg status are the demo's own.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from home import DemoError, write_file

# Python 3.11.2 (Debian 12) has no extraction filters; apt has verified the packages' signatures anyway.
_FILTER: dict[str, str] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
CONF = """\
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{folder}/sources.d";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "{folder}/none";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "{folder}/archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
#clear APT::Architectures;
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One entry of the machine's apt sources."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""
    """The path of a keyring, or a key block in deb822's multi-line form; empty for apt's trusted keys."""


def read_one_line(text: str) -> Iterator[Source]:
    """Read the binary-package entries of a `sources.list` (one-line format)."""
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<rest>[^#]+)", line)
        words = found["rest"].split() if found else []
        if found is None or len(words) < 2:
            continue
        options = dict(word.partition("=")[::2] for word in (found["options"] or "").split())
        signed_by = options.get("signed-by", "")
        yield Source(uri=words[0], suites=(words[1],), components=tuple(words[2:]), signed_by=signed_by)


def read_deb822(text: str) -> Iterator[Source]:
    """Read the enabled binary-package entries of a `.sources` file (deb822)."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        pairs = re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        fields = {name.lower(): value for name, value in pairs}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").strip() == "no":
            continue
        for uri in fields.get("uris", "").split():
            yield Source(
                uri=uri,
                suites=tuple(fields.get("suites", "").split()),
                components=tuple(fields.get("components", "").split()),
                signed_by=fields.get("signed-by", "").rstrip(),
            )


def machine_sources(etc: Path = Path("/etc/apt")) -> list[Source]:
    """Return all entries of the machine's apt sources, in the order in which apt reads them."""
    parts = sorted((etc / "sources.list.d").glob("*"))
    main = etc / "sources.list"
    found = list(read_one_line(main.read_text())) if main.exists() else []
    for path in parts:
        if path.suffix == ".sources":
            found += read_deb822(path.read_text())
        elif path.suffix == ".list":
            found += read_one_line(path.read_text())
    return found


def resolve_mirror_list(source: Source) -> Source:
    """Replace a `mirror+file:` URI, common in cloud images, with the first mirror of the list it names."""
    if not source.uri.startswith("mirror+file:"):
        return source
    listed = Path(unquote(urlsplit(source.uri.removeprefix("mirror+")).path))
    lines = listed.read_text().splitlines() if listed.exists() else []
    uris = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    return dataclasses.replace(source, uri=uris[0]) if uris else source


def choose_mirror(sources: Sequence[Source], codename: str) -> Source:
    """Return the entry of the machine's release; the same mirror also has Debian's other suites."""
    usable = [
        source
        for source in map(resolve_mirror_list, sources)
        if source.uri.startswith(("http://", "https://")) and "main" in source.components
    ]
    own = [source for source in usable if codename in source.suites]
    if not own:
        raise DemoError(
            f"apt sources: no http or https entry has suite {codename!r} and component 'main';"
            " add the mirror of this release to /etc/apt/sources.list"
        )
    return own[0]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Apt:
    """apt-get with the demo's own configuration, for one suite and one Debian architecture (amd64, arm64)."""

    folder: Path
    """The parent of one folder for each suite and architecture."""
    suite: str
    arch: str
    mirror: Source

    @property
    def own(self) -> Path:
        """The folder with the configuration, lists and archives of this suite and architecture."""
        return self.folder / f"{self.suite}-{self.arch}"

    def prepare(self) -> None:
        """Write the configuration, the apt source and an empty dpkg status."""
        for folder in ("none", "state", "lists/partial", "cache", "archives/partial", "download"):
            (self.own / folder).mkdir(parents=True, exist_ok=True)
        signed = f"Signed-By: {self.mirror.signed_by}\n" if self.mirror.signed_by else ""
        stanza = f"Types: deb\nURIs: {self.mirror.uri}\nSuites: {self.suite}\nComponents: main\n{signed}"
        write_file(self.own / "sources.d" / "demo.sources", stanza)
        write_file(self.own / "status", "")
        write_file(self.own / "apt.conf", CONF.format(folder=self.own, arch=self.arch))

    def get(self, *arguments: str) -> str:
        """Run apt-get with this configuration; return its output."""
        command = ["apt-get", "-c", str(self.own / "apt.conf"), "-qq", "-y", *arguments]
        done = subprocess.run(command, cwd=self.own / "download", capture_output=True, text=True, check=False)
        # `apt-get update` exits with 0 if it cannot fetch a list, and only warns.
        if done.returncode or "Failed to fetch" in done.stderr:
            raise DemoError(f"apt-get {arguments[0]}: {first_error(done.stderr)}")
        return done.stdout

    def with_lists(self, *arguments: str) -> str:
        """Run apt-get; if there are no package lists or it fails, fetch them and try again."""
        if not any((self.own / "lists").glob("*_Packages*")):
            self._get_from_mirror("update")
        try:
            return self.get(*arguments)
        except DemoError:
            self._get_from_mirror("update")
            return self._get_from_mirror(*arguments)

    def _get_from_mirror(self, *arguments: str) -> str:
        try:
            return self.get(*arguments)
        except DemoError as error:
            raise DemoError(
                f"Debian {self.suite} ({self.arch}) at {without_secrets(self.mirror.uri)}: {error};"
                " check the network and the machine's apt sources"
            ) from error

    def download(self, packages: Sequence[str]) -> list[Path]:
        """Download packages without their dependencies."""
        shutil.rmtree(self.own / "download", ignore_errors=True)
        self.prepare()
        self.with_lists("download", *packages)
        return sorted((self.own / "download").glob("*.deb"))

    def download_system(self, packages: Sequence[str]) -> list[Path]:
        """Download a complete system: the essential packages, the named packages and their dependencies."""
        wanted = ["install", "?essential", *packages]
        self.prepare()
        self.with_lists("--download-only", *wanted)
        planned = self.get("--simulate", *wanted)
        return [self.own / "archives" / name for name in archive_names(planned)]


def archive_names(simulated: str) -> list[str]:
    """Return the file names of the packages that `apt-get --simulate install` would install.

    It prints lines `Inst NAME (VERSION ORIGIN [ARCH])`. File names contain %3a for a colon in the version.
    """
    found = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) .*\[(\S+)\]\)", simulated, re.MULTILINE)
    return sorted(
        f"{name.partition(':')[0]}_{version.replace(':', '%3a')}_{arch}.deb" for name, version, arch in found
    )


def first_error(stderr: str) -> str:
    """Return the first error that apt-get reported, as one line."""
    lines = [line for line in stderr.splitlines() if line.startswith("E:")] or stderr.splitlines()
    return (
        without_secrets(lines[0].removeprefix("E:").strip()) if lines else "failed without an error message"
    )


def without_secrets(text: str) -> str:
    """Remove user names and passwords from the URLs in a text."""
    return re.sub(r"://[^/@\s]*@", "://", text)


def unpack(archives: Sequence[Path], folder: Path, wanted: Container[str] | None = None) -> set[str]:
    """Unpack packages, or only their `wanted` files (`usr/bin/docker`); return the unpacked names.

    No maintainer script runs.
    """
    found = set()
    for archive in archives:
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE) as packed,
            tarfile.open(fileobj=packed.stdout, mode="r|") as content,
        ):
            for member in content:
                name = member.name.removeprefix("./")
                if wanted is None or name in wanted:
                    content.extract(member, folder, **_FILTER)  # type: ignore[arg-type]
                    found.add(name)
    return found


def install(packages: Sequence[str]) -> None:
    """Install packages of the machine's own release with the machine's apt; needs root."""
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["apt-get", "-qq", "-y", *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    wanted = ("install", "--no-install-recommends", *packages)
    done = run(*wanted)
    if done.returncode:
        # A new machine has no package lists yet, or outdated ones.
        run("update")
        done = run(*wanted)
    if done.returncode:
        command = f"apt-get install {' '.join(packages)}"
        raise DemoError(
            f"{command}: {first_error(done.stderr)};"
            f" check the network and the machine's apt sources, then run: {command}"
        )
