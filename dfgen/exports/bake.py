"""Export a plan as a buildx bake file: `docker buildx bake` builds the same digests as dfgen.

Format: https://docs.docker.com/build/bake/reference/
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dfgen.catalog.graph import find
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.commands.plan.inputs import Plan, build_request
from dfgen.engine.buildx import export_options
from dfgen.engine.request import BuildRequest
from dfgen.exports.ci import check_pinned, plain_names, versions_of, waves


def bake(plan: Plan, lock: Lock, catalog: Catalog, folder: str) -> str:
    """Return a bake file with a target for each image, even if it is up to date: bake has its own cache.

    Paths are relative to the catalog's root. Each target is exported to its own layout below `folder`. There
    is a group for each wave, `wave-1` and so on, because children are built on those layouts: with a
    `target:` as parent, BuildKit would write their layers and history differently.
    Raises InputError for images whose parents have no pin yet.
    """
    check_pinned(plan.steps)
    folders = {name: f"{folder}/{plain}" for name, plain in plain_names(plan).items()}
    versions = versions_of(plan)
    targets = {}
    for step in plan.steps:
        request = build_request(step, lock, catalog, Path())
        target = _target(request, folders[step.image.name])
        contexts = _contexts(step.image, lock, versions, folders)
        targets[step.image.name] = {**target, **({"contexts": contexts} if contexts else {})}
    return _document(plan, targets)


def wave_names(plan: Plan) -> tuple[str, ...]:
    """The groups of a bake file, in the order in which they must be built."""
    return tuple(f"wave-{number}" for number, _ in enumerate(waves(plan.steps), start=1))


def bake_command(plan: Plan) -> str:
    """The command that builds a bake file, with `FILE` in place of its path."""
    return " && ".join(f"docker buildx bake -f FILE {wave}" for wave in wave_names(plan))


def _document(plan: Plan, targets: Mapping[str, Any]) -> str:
    names = plain_names(plan)
    groups = {
        group: {"targets": [names[step.image.name] for step in steps]}
        for group, steps in zip(wave_names(plan), waves(plan.steps), strict=True)
    }
    document = {"group": groups, "target": {names[name]: target for name, target in targets.items()}}
    return f"{json.dumps(_literal(document), indent=2, ensure_ascii=False)}\n"


def _target(request: BuildRequest, destination: str) -> dict[str, Any]:
    provenance = f"mode={request.provenance}" if request.provenance else "disabled=true"
    sbom = f"type=sbom,generator={request.sbom}" if request.sbom else "type=sbom,disabled=true"
    context = str(request.context)
    return {
        "context": context,
        # Bake resolves this path from the context, not from its working directory.
        "dockerfile": posixpath.relpath(str(request.dockerfile), context),
        "platforms": [str(request.platform)],
        "args": {"SOURCE_DATE_EPOCH": str(request.source_date_epoch)},
        **_caches(request),
        "attest": [f"type=provenance,{provenance}", sbom],
        "output": [export_options(request.annotations, destination)],
    }


def _caches(request: BuildRequest) -> dict[str, list[str]]:
    found = {"cache-from": list(request.cache.sources), "cache-to": list(request.cache.targets)}
    return {key: caches for key, caches in found.items() if caches}


def _contexts(
    image: Image, lock: Lock, versions: Mapping[str, Sequence[Image]], folders: Mapping[str, str]
) -> dict[str, str]:
    """Map each parent from the catalog, as FROM names it, to the layout that its target is exported to."""
    found: dict[str, str] = {}
    for parent in image.all_parents:
        pin, built = lock.pin(parent), find(parent, versions)
        if pin and built:
            layout = f"oci-layout://{folders[built.name]}@{pin.digest}"
            found[str(parent.reference.at(pin.digest))] = layout
    return dict(sorted(found.items()))


def _literal(value: Any) -> Any:
    """Escape `${…}` and `%{…}`, which bake evaluates in strings, as HCL does."""
    if isinstance(value, dict):
        return {key: _literal(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_literal(one) for one in value]
    return value.replace("${", "$${").replace("%{", "%%{")
