"""BuildKit's own checks of a Dockerfile, as lint's hits: `docker buildx build --call=check`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dfgen.errors import OutsideError
from dfgen.findings import Level
from dfgen.images.building import BuildRequest
from dfgen.outside.buildx import Buildx, failure
from dfgen.outside.process import CommandError

_TOGETHER = 4  # checks at once; each asks the engine, and the registry for the parents


def check(buildx: Buildx, requests: Iterable[BuildRequest]) -> Iterator[tuple[str, str, Level, str, int]]:
    """Yield path, rule, level, message and line of what BuildKit warns of, in the order of the requests.

    Errors: OutsideError for an engine or registry that does not answer, CheckError for a Dockerfile that
    BuildKit cannot read.
    """
    with ThreadPoolExecutor(_TOGETHER) as pool:
        for request, warnings in pool.map(lambda one: (one, _warnings(buildx, one)), requests):
            for one in warnings:
                ranges = (one.get("location") or {}).get("ranges") or []
                line = ranges[0]["start"]["line"] if ranges else 0
                yield str(request.dockerfile), one["ruleName"], Level.WARNING, one["detail"], line


def _warnings(buildx: Buildx, request: BuildRequest) -> list[dict[str, Any]]:
    try:
        output = buildx.nodes.processes.read(buildx.check_command(request), timeout=300)
    except CommandError as error:  # it exits with 1 when it warns, too
        output = error.output
        if not output.startswith("{"):
            raise failure(error, request) from error
    try:
        found, _ = json.JSONDecoder().raw_decode(output)
    except ValueError as error:
        raise OutsideError("docker buildx: its check is not JSON; run `docker buildx version`") from error
    warnings: list[dict[str, Any]] = found.get("warnings") or []
    return warnings
