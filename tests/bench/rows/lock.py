"""Lock: resolve the parents of a catalog in a far registry, compared with one call of another tool per parent."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dfgen.catalog import lockfile as locks
from dfgen.catalog.lockfile import LOCK_FILE, LockedParent
from dfgen.oci.manifest import OCI_INDEX, Index, parse
from tests.bench.loops import loop, output_file
from tests.bench.measure import Contestant, Series, alternately
from tests.bench.row import Bench, Row, Target
from tests.bench.serving import PROGRAM, ROUND_TRIP, Served, far, serve
from tests.fakes.images import AMD64, ARM64, image, index_of

REPOSITORIES, TAGS = 20, 10
PARENTS = REPOSITORIES * TAGS
SAMPLE = 10  # parents that the loops of other tools resolve
_TITLE = "lock"
_WORK = (
    f"{PARENTS} parents for two architectures in a registry {ROUND_TRIP * 1000:.0f} ms away; loops of other tools"
    f" resolve {SAMPLE} of them"
)
_PEERS = {
    "crane digest": ("crane", "digest"),
    "crane manifest": ("crane", "manifest"),
    "skopeo inspect --raw": ("skopeo", "inspect", "--raw", "--tls-verify=false"),
    "docker buildx imagetools inspect --raw": ("docker", "buildx", "imagetools", "inspect", "--raw"),
}


def _fill(near: Served) -> None:
    for number in range(REPOSITORIES):
        repository = f"library/parent-{number}"
        pairs = [
            [image(one, annotations={"of": f"{repository}:{tag}"}) for one in (AMD64, ARM64)]
            for tag in range(TAGS)
        ]
        near.upload(repository, [one for pair in pairs for one in pair])
        for tag, pair in enumerate(pairs):
            near.tag(f"{repository}:{tag}", index_of([one.descriptor for one in pair]))


def _write_catalog(root: Path, address: str) -> None:
    """Write a catalog with one version for each parent; nothing is locked."""
    lines = [
        "template: base.j2",
        f'parent: "{address}/library/parent-{{{{ repository }}}}:{{{{ tag }}}}"',
        "versions:",
        *(
            f'  "{number}.{tag}": {{variables: {{repository: {number}, tag: {tag}}}}}'
            for number in range(REPOSITORIES)
            for tag in range(TAGS)
        ),
    ]
    (root / "templates").mkdir(parents=True)
    (root / "templates/base.j2").write_text("FROM {{ parent }}\n", encoding="utf-8")
    (root / "bases/family").mkdir(parents=True)
    (root / "bases/family/base.yaml").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _agrees(name: str, path: Path, locked: LockedParent) -> bool:
    """Return whether the output of a tool, a digest or an index, matches the lock file."""
    raw = path.read_bytes()
    if name == "crane digest":
        return raw.decode().strip() == str(locked.digest)
    found = parse(raw, OCI_INDEX)
    pins = {one.platform: one.digest for one in found.images} if isinstance(found, Index) else {}
    return locked.digest.matches(raw) and pins == {one: pin.digest for one, pin in locked.platforms.items()}


def _is_same(root: Path, folders: Mapping[str, Path], sample: Sequence[str]) -> bool:
    parents = locks.read(root).parents
    return len(parents) == PARENTS and all(
        _agrees(name, output_file(folder, number), parents[one])
        for name, folder in folders.items()
        for number, one in enumerate(sample)
    )


def _targets(ours: Sequence[Series], others: Sequence[Series]) -> Iterator[Target]:
    for best in sorted(others, key=lambda other: other.seconds)[:1]:
        for one in ours:
            ratio = best.ratio(one) * PARENTS / SAMPLE
            what = f"{best.name} / {one.name}, per parent"
            yield Target(what=what, measured=ratio, limit=10, unit="times", at_least=True)


def _concurrent_crane(bench: Bench, away: Served) -> Sequence[Contestant]:
    """Return the fastest that a shell can do: as many calls at a time as dfgen sends requests. It has no target."""
    if not bench.peers.find("crane"):
        return ()
    names = bench.folder / "lock/names"
    names.write_text(
        "".join(
            f"{away.address}/library/parent-{number}:{tag}\n"
            for number in range(REPOSITORIES)
            for tag in range(TAGS)
        )
    )
    script = f"xargs -P 16 -n 1 crane manifest < {shlex.quote(str(names))}"
    return (Contestant(name="crane manifest, all, 16 at once", command=("sh", "-c", script)),)


def _measure(bench: Bench, away: Served, root: Path) -> Row:
    lock = root / LOCK_FILE
    _write_catalog(root, away.address)
    sample = [f"{away.address}/library/parent-{number}:{TAGS - 1}" for number in range(SAMPLE)]
    present = {name: words for name, words in _PEERS.items() if bench.peers.find(words[0])}
    prefix = {name: "docker://" if words[0] == "skopeo" else "" for name, words in present.items()}
    folders = {name: bench.folder / f"lock-{number}" for number, name in enumerate(present)}
    cold = Contestant(
        name="dfgen lock", command=bench.dfgen(root, "lock"), before=lambda: lock.unlink(missing_ok=True)
    )
    unchanged = Contestant(name="dfgen lock --check", command=bench.dfgen(root, "lock", "--check"))
    loops = [
        loop(name, [(*words, f"{prefix[name]}{one}") for one in sample], folders[name])
        for name, words in present.items()
    ]
    concurrent = _concurrent_crane(bench, away)
    ours, again, *rest = alternately([cold, unchanged, *concurrent, *loops], bench.runs)
    same = _is_same(root, folders, sample)
    return Row(
        title=_TITLE,
        work=_WORK,
        series=(ours, again, *rest),
        targets=list(_targets((ours, again), rest[len(concurrent) :])),
        same=same,
        absent=[name for name in _PEERS if name not in present],
    )


def measure(bench: Bench) -> Row:
    """Measure the row."""
    if bench.peers.find(PROGRAM) is None:
        return Row.left_out(_TITLE, _WORK, [PROGRAM])
    with serve(bench, "lock") as near, far(near, ROUND_TRIP) as away:
        _fill(near)
        return _measure(bench, away, bench.folder / "lock/catalog")
