"""Debian packages: the mirror that the machine uses, and an apt of the demo's own beside the machine's.

The machine's apt.conf stays in force (proxies, certificates, checks of dates); only the sources, the
lists, the archives and dpkg's state are the demo's.
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

# Debian 12's own Python is older than tarfile's filters; there, apt's signatures alone vouch for a package.
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
    """A keyring's path, or a key block in deb822's multi-line form; empty for apt's trusted keys."""


def read_one_line(text: str) -> Iterator[Source]:
    """The binary-package entries of a `sources.list` in the one-line form."""
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<rest>[^#]+)", line)
        words = found["rest"].split() if found else []
        if found is None or len(words) < 2:
            continue
        options = dict(word.partition("=")[::2] for word in (found["options"] or "").split())
        signed_by = options.get("signed-by", "")
        yield Source(uri=words[0], suites=(words[1],), components=tuple(words[2:]), signed_by=signed_by)


def read_deb822(text: str) -> Iterator[Source]:
    """The enabled binary-package entries of a `.sources` file (deb822)."""
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
    """All entries of the machine's apt sources, in the order in which apt reads them."""
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
    """The entry with the first mirror of its list, for `mirror+file:` entries as cloud images have them."""
    if not source.uri.startswith("mirror+file:"):
        return source
    listed = Path(unquote(urlsplit(source.uri.removeprefix("mirror+")).path))
    lines = listed.read_text().splitlines() if listed.exists() else []
    uris = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    return dataclasses.replace(source, uri=uris[0]) if uris else source


def choose_mirror(sources: Sequence[Source], codename: str) -> Source:
    """The entry that the machine's own release comes from; its mirror has Debian's other suites too."""
    usable = [
        source
        for source in map(resolve_mirror_list, sources)
        if source.uri.startswith(("http://", "https://")) and "main" in source.components
    ]
    own = [source for source in usable if codename in source.suites]
    if not own:
        raise DemoError(
            f"apt sources: none has the suite {codename!r} with the component 'main' over http or https,"
            " expected the mirror of this release; add it to /etc/apt/sources.list"
        )
    return own[0]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Apt:
    """An apt of the demo's own, for one suite and one architecture (Debian's name: amd64, arm64)."""

    folder: Path
    """Holds a folder for each suite and architecture."""
    suite: str
    arch: str
    mirror: Source

    @property
    def own(self) -> Path:
        """The folder with this suite's configuration, lists and archives."""
        return self.folder / f"{self.suite}-{self.arch}"

    def prepare(self) -> None:
        """Writes the configuration, the source and an empty dpkg status."""
        for folder in ("none", "state", "lists/partial", "cache", "archives/partial", "download"):
            (self.own / folder).mkdir(parents=True, exist_ok=True)
        signed = f"Signed-By: {self.mirror.signed_by}\n" if self.mirror.signed_by else ""
        stanza = f"Types: deb\nURIs: {self.mirror.uri}\nSuites: {self.suite}\nComponents: main\n{signed}"
        write_file(self.own / "sources.d" / "demo.sources", stanza)
        write_file(self.own / "status", "")
        write_file(self.own / "apt.conf", CONF.format(folder=self.own, arch=self.arch))

    def get(self, *arguments: str) -> str:
        """Runs apt-get with this configuration; returns what it printed."""
        command = ["apt-get", "-c", str(self.own / "apt.conf"), "-qq", "-y", *arguments]
        done = subprocess.run(command, cwd=self.own / "download", capture_output=True, text=True, check=False)
        # A list that cannot be fetched is only a warning to `apt-get update`.
        if done.returncode or "Failed to fetch" in done.stderr:
            raise DemoError(f"apt-get {arguments[0]}: {last_error(done.stderr)}")
        return done.stdout

    def with_lists(self, *arguments: str) -> str:
        """Runs apt-get on the lists at hand; fetches them when there are none or they are out of date."""
        if not any((self.own / "lists").glob("*_Packages*")):
            self._tell_mirror("update")
        try:
            return self.get(*arguments)
        except DemoError:
            self._tell_mirror("update")
            return self._tell_mirror(*arguments)

    def _tell_mirror(self, *arguments: str) -> str:
        try:
            return self.get(*arguments)
        except DemoError as error:
            raise DemoError(
                f"Debian {self.suite} ({self.arch}) at {without_secrets(self.mirror.uri)}: {error};"
                " expected a Debian mirror that has it; check the network and the machine's apt sources"
            ) from error

    def download(self, packages: Sequence[str]) -> list[Path]:
        """Downloads the packages alone, without what they depend on."""
        shutil.rmtree(self.own / "download", ignore_errors=True)
        self.prepare()
        self.with_lists("download", *packages)
        return sorted((self.own / "download").glob("*.deb"))

    def download_system(self, packages: Sequence[str]) -> list[Path]:
        """Downloads a whole system: the essential packages, the named ones and what they depend on."""
        wanted = ["install", "?essential", *packages]
        self.prepare()
        self.with_lists("--download-only", *wanted)
        planned = self.get("--simulate", *wanted)
        return [self.own / "archives" / name for name in archive_names(planned)]


def archive_names(simulated: str) -> list[str]:
    """The file names of the packages that `apt-get --simulate install` would install.

    Its lines: `Inst NAME (VERSION ORIGIN [ARCH])`; a colon of the version is written %3a in the file name.
    """
    found = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) .*\[(\S+)\]\)", simulated, re.MULTILINE)
    return sorted(
        f"{name.partition(':')[0]}_{version.replace(':', '%3a')}_{arch}.deb" for name, version, arch in found
    )


def last_error(stderr: str) -> str:
    """The first error that apt-get told, on one line."""
    lines = [line for line in stderr.splitlines() if line.startswith("E:")] or stderr.splitlines()
    return without_secrets(lines[0].removeprefix("E:").strip()) if lines else "failed without a word"


def without_secrets(text: str) -> str:
    """A text without the user names and passwords of the URLs in it."""
    return re.sub(r"://[^/@\s]*@", "://", text)


def unpack(archives: Sequence[Path], folder: Path, wanted: Container[str] | None = None) -> set[str]:
    """Unpacks the files of packages, or the wanted ones alone (`usr/bin/docker`); returns what it unpacked.

    None of the packages' scripts runs.
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
    """Installs packages of the machine's own release, with its own apt; needs root."""
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["apt-get", "-qq", "-y", *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    wanted = ("install", "--no-install-recommends", *packages)
    done = run(*wanted)
    if done.returncode:
        # A new machine has no package lists yet, or old ones.
        run("update")
        done = run(*wanted)
    if done.returncode:
        command = f"apt-get install {' '.join(packages)}"
        raise DemoError(
            f"{command}: {last_error(done.stderr)};"
            f" check the network and the machine's apt sources, then run: {command}"
        )
