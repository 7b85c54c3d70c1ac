"""Merge: publish the index of many versions, compared with loops of other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dfgen.oci.manifest import Index
from dfgen.oci.reference import Reference
from dfgen.registry import NoCredentials, Registry
from tests.bench.loops import Call, loop
from tests.bench.measure import Contestant, Series, alternately
from tests.bench.row import Bench, Row, Target
from tests.bench.serving import PROGRAM, ROUND_TRIP, Served, far, serve
from tests.fakes.images import AMD64, ARM64, image

FAMILIES, VERSIONS = 10, 10
MERGES = FAMILIES * VERSIONS
NEAR, FAR = 10, 3  # merges in the loops: of slow tools in a near registry, of all tools in a far one
_SUFFIXES = {AMD64: "x86_64", ARM64: "aarch64"}
_TITLE = "merge"
_WORK = (
    f"{MERGES} versions for two architectures, not merged yet, in a registry on this machine and in one"
    f" {ROUND_TRIP * 1000:.0f} ms away; loops of slow tools merge fewer versions"
)

Found = Mapping[str, frozenset[str]]  # tag to `platform@digest` of all images in its index


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peer:
    """A tool, its calls to merge one version, and the number of merges to time in a near registry."""

    program: str
    calls: Callable[[str, Sequence[str]], Iterable[Call]]
    near: int = NEAR


def _imagetools(target: str, children: Sequence[str]) -> Iterator[Call]:
    yield ("docker", "buildx", "imagetools", "create", "-t", target, *children)


def _docker_manifest(target: str, children: Sequence[str]) -> Iterator[Call]:
    yield ("docker", "manifest", "create", "--insecure", target, *children)
    yield ("docker", "manifest", "push", "--insecure", "--purge", target)


def _crane(target: str, children: Sequence[str]) -> Iterator[Call]:
    yield ("crane", "index", "append", "-t", target, *(word for one in children for word in ("-m", one)))


_PEERS = {
    "crane index append": _Peer(program="crane", calls=_crane, near=MERGES),
    "docker manifest create + push": _Peer(program="docker", calls=_docker_manifest),
    "docker buildx imagetools create": _Peer(program="docker", calls=_imagetools),
}


class _Check:
    """Check after every run that all tags have an index of the expected images and platforms."""

    def __init__(self, wanted: Found, address: str) -> None:
        self._wanted, self._address, self.same = wanted, address, True

    def __call__(self, merges: int) -> None:
        registry = Registry(credentials=NoCredentials())
        for name in list(self._wanted)[:merges]:
            found = registry.current(Reference.parse(f"{self._address}/{name}"))
            images = found.images if isinstance(found, Index) else ()
            actual = {f"{one.platform}@{one.digest}" for one in images}
            self.same = self.same and actual == self._wanted[name]


def _fill(served: Served) -> Found:
    """Publish every image under its own tag; return the expected merged tags."""
    wanted: dict[str, frozenset[str]] = {}
    for number in range(FAMILIES):
        family = f"team/family-{number}"
        made = {
            (version, suffix): image(one, (f"{family} {version} {suffix}".encode(),), config={"n": version})
            for version in range(VERSIONS)
            for one, suffix in _SUFFIXES.items()
        }
        served.upload(family, list(made.values()))
        for (version, suffix), one in made.items():
            served.tag(f"{family}:{version}.0-{suffix}", one.raw, one.media_type)
            name, bound = f"{family}:{version}.0", f"{one.platform}@{one.descriptor.digest}"
            wanted[name] = wanted.get(name, frozenset()) | {bound}
    return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setup:
    """A near or far registry, and the merges to make in it."""

    bench: Bench
    served: Served
    check: _Check
    restore: Callable[[], None]
    names: Sequence[str]
    where: str
    folder: Path

    def merges(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield each merged tag with the tags of its images."""
        for name in self.names:
            target = f"{self.served.address}/{name}"
            yield target, [f"{target}-{suffix}" for suffix in _SUFFIXES.values()]

    def words(self) -> tuple[str, ...]:
        """Return the arguments of dfgen."""
        source = self.folder / "merges"
        self.folder.mkdir(exist_ok=True)
        source.write_text("".join(f"{target} {' '.join(children)}\n" for target, children in self.merges()))
        return ("merge", "--from", str(source))

    def measure(self, peers: Mapping[str, _Peer]) -> tuple[Sequence[Series], Sequence[Target]]:
        """Time dfgen and the loops; the target compares dfgen with the fastest tool per merge."""
        counts = [peer.near if not self.where else FAR for peer in peers.values()]
        loops = [
            loop(
                f"{name}, {merges} merges{self.where}",
                [call for merge in list(self.merges())[:merges] for call in peer.calls(*merge)],
                self.folder / peer.calls.__name__,
                before=self.restore,
                after=partial(self.check, merges),
            )
            for (name, peer), merges in zip(peers.items(), counts, strict=True)
        ]
        command = self.bench.dfgen(self.folder, *self.words())
        name = f"dfgen merge --from, {MERGES} merges{self.where}"
        dfgen = Contestant(name=name, command=command, before=self.restore, after=partial(self.check, MERGES))
        ours, *others = alternately([dfgen, *loops], self.bench.runs)
        ratios = [other.ratio(ours) * MERGES / merges for other, merges in zip(others, counts, strict=True)]
        what = f"fastest other tool / dfgen, per merge{self.where}"
        targets = (
            [Target(what=what, measured=min(ratios), limit=5, unit="times", at_least=True)] if ratios else []
        )
        return (ours, *others), targets


def measure(bench: Bench) -> Row:
    """Measure the row."""
    if bench.peers.find(PROGRAM) is None:
        return Row.left_out(_TITLE, _WORK, [PROGRAM])
    peers = {name: peer for name, peer in _PEERS.items() if bench.peers.find(peer.program)}
    with serve(bench, "merge") as near, far(near, ROUND_TRIP) as away:
        wanted = _fill(near)
        check, restore = _Check(wanted, near.address), near.snapshot()
        setups = [
            _Setup(
                bench=bench,
                served=served,
                check=check,
                restore=restore,
                names=list(wanted),
                where=where,
                folder=bench.folder / f"merge-{number}",
            )
            for number, (served, where) in enumerate(
                ((near, ""), (away, f", {ROUND_TRIP * 1000:.0f} ms away"))
            )
        ]
        found = [setup.measure(peers) for setup in setups]
    return Row(
        title=_TITLE,
        work=_WORK,
        series=[one for series, _ in found for one in series],
        targets=[target for _, targets in found for target in targets],
        same=check.same,
        absent=[name for name in _PEERS if name not in peers],
    )
