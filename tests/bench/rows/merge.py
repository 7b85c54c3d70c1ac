"""Merge: the images of many versions, each bound under its version's tag, against loops of the peers."""

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
from tests.bench.row import Aim, Bench, Row
from tests.bench.serving import PROGRAM, TRIP, Served, far, serve
from tests.fakes.images import AMD64, ARM64, image

FAMILIES, VERSIONS = 10, 10
MERGES = FAMILIES * VERSIONS
NEAR, FAR = 10, 3  # merges with which the loops of slow peers are timed, and of all in a registry that is far
_SUFFIXES = {AMD64: "x86_64", ARM64: "aarch64"}
_TITLE = "merge"
_WORK = (
    f"{MERGES} versions of two architectures in one registry, none of them merged yet, on this machine and"
    f" {TRIP * 1000:.0f} ms away; loops with as many as they say"
)

Found = Mapping[str, frozenset[str]]  # by name, `platform@digest` of all that its index binds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peer:
    """A tool, the calls that merge one version with it, and how many are timed with a registry that is near."""

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
    """Whether every run of everyone bound the same images for the same platforms."""

    def __init__(self, wanted: Found, address: str) -> None:
        self._wanted, self._address, self.same = wanted, address, True

    def __call__(self, merges: int) -> None:
        registry = Registry(credentials=NoCredentials())
        for name in list(self._wanted)[:merges]:
            found = registry.current(Reference.parse(f"{self._address}/{name}"))
            bound = found.images if isinstance(found, Index) else ()
            held = {f"{one.platform}@{one.digest}" for one in bound} == self._wanted[name]
            self.same = self.same and held


def _fill(served: Served) -> Found:
    """Publish the images under tags of their own; returns what the merged tags have to be."""
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
class _Place:
    """A registry at some distance, and the merges that are to be made in it."""

    bench: Bench
    served: Served
    check: _Check
    restore: Callable[[], None]
    names: Sequence[str]
    where: str
    folder: Path

    def merges(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Each tag with the tags that it binds."""
        for name in self.names:
            target = f"{self.served.address}/{name}"
            yield target, [f"{target}-{suffix}" for suffix in _SUFFIXES.values()]

    def words(self) -> tuple[str, ...]:
        """The arguments of dfgen."""
        source = self.folder / "merges"
        self.folder.mkdir(exist_ok=True)
        source.write_text("".join(f"{target} {' '.join(children)}\n" for target, children in self.merges()))
        return ("merge", "--from", str(source))

    def measure(self, peers: Mapping[str, _Peer]) -> tuple[Sequence[Series], Sequence[Aim]]:
        """Time everyone; the aim is held against the peer that is the fastest a merge."""
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
        what = f"the fastest peer / dfgen, a merge{self.where}"
        aims = [Aim(what=what, measured=min(ratios), limit=5, unit="times", at_least=True)] if ratios else []
        return (ours, *others), aims


def measure(bench: Bench) -> Row:
    """Measure the row."""
    if bench.peers.find(PROGRAM) is None:
        return Row.left_out(_TITLE, _WORK, [PROGRAM])
    peers = {name: peer for name, peer in _PEERS.items() if bench.peers.find(peer.program)}
    with serve(bench, "merge") as near, far(near, TRIP) as away:
        wanted = _fill(near)
        check, restore = _Check(wanted, near.address), near.keep()
        places = [
            _Place(
                bench=bench,
                served=served,
                check=check,
                restore=restore,
                names=list(wanted),
                where=where,
                folder=bench.folder / f"merge-{number}",
            )
            for number, (served, where) in enumerate(((near, ""), (away, f", {TRIP * 1000:.0f} ms away")))
        ]
        found = [place.measure(peers) for place in places]
    return Row(
        title=_TITLE,
        work=_WORK,
        series=[one for series, _ in found for one in series],
        aims=[aim for _, aims in found for aim in aims],
        same=check.same,
        absent=[name for name in _PEERS if name not in peers],
    )
