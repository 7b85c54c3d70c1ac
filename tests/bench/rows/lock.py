"""Lock: the parents of a catalog in a registry that is 50 ms away, against one call of a peer for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from dfgen.model.lock import LOCK_FILE
from dfgen.values.digest import Digest
from tests.bench.counts import count
from tests.bench.loops import loop, out
from tests.bench.measure import Contestant, alternately
from tests.bench.row import Aim, Bench, Row
from tests.bench.serving import PROGRAM, TRIP, Served, far, serve
from tests.fakes.images import AMD64, ARM64, image, index_of

REPOSITORIES, TAGS = 20, 10
PARENTS = REPOSITORIES * TAGS
SAMPLE = 10  # of the parents, with which the peers' loops are timed
_TITLE = "lock"
_WORK = (
    f"{PARENTS} parents of two architectures each, in a registry {TRIP * 1000:.0f} ms away; the peers' loops with"
    f" {SAMPLE} of them"
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
    """Write a version for each parent; nothing is locked."""
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


def _locked(root: Path) -> Mapping[str, str]:
    parents = json.loads((root / LOCK_FILE).read_text(encoding="utf-8"))["parents"]
    return {name: entry["digest"] for name, entry in parents.items()}


def _found(name: str, path: Path) -> str:
    """The digest that a peer found: it prints it, or the index itself."""
    raw = path.read_bytes()
    return raw.decode().strip() if name == "crane digest" else str(Digest.of(raw))


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
    ours, again, *others = alternately([cold, unchanged, *loops], bench.runs)
    locked = _locked(root)
    same = len(locked) == PARENTS and all(
        _found(name, out(folder, number)) == locked[one]
        for name, folder in folders.items()
        for number, one in enumerate(sample)
    )
    aims = [
        Aim(
            what=f"{other.name} / {one.name}, a parent",
            measured=other.ratio(one) * PARENTS / SAMPLE,
            limit=10,
            unit="times",
            at_least=True,
        )
        for other in sorted(others, key=lambda other: other.seconds)[:1]
        for one in (ours, again)
    ]
    lock.unlink()
    return Row(
        title=_TITLE,
        work=_WORK,
        series=(ours, again, *others),
        aims=aims,
        same=same,
        absent=[name for name in _PEERS if name not in present],
        counts=count(root, "lock"),
        counted="dfgen lock",
    )


def measure(bench: Bench) -> Row:
    """Measure the row."""
    if bench.peers.find(PROGRAM) is None:
        return Row.left_out(_TITLE, _WORK, [PROGRAM])
    with serve(bench, "lock") as near, far(near, TRIP) as away:
        _fill(near)
        return _measure(bench, away, bench.folder / "lock/catalog")
