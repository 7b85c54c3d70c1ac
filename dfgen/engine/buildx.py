"""Builds through `docker buildx build`: one image for one platform, exported as an OCI layout."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from dfgen.engine.nodes import Nodes, is_unreachable
from dfgen.engine.process import CommandError
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.errors import CheckError, DfgenError, InputError, OutsideError, Place, Problem
from dfgen.findings import Level
from dfgen.oci.layout import Layout, writing
from dfgen.oci.manifest import Descriptor


def output(annotations: Mapping[str, str], destination: str) -> str:
    """Write the options of an export to a layout as buildx reads them: one line of CSV."""
    said = [f"annotation.{name}={value}" for name, value in sorted(annotations.items())]
    row = ["type=oci", "tar=false", "rewrite-timestamp=true", f"dest={destination}", *said]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row)
    return text.getvalue()


# What makes a build depend on anything but its inputs, or slow, is off.
_ENVIRONMENT = {"BUILDX_GIT_INFO": "false", "BUILDX_METADATA_PROVENANCE": "disabled"}

_STEP = re.compile(r"#\d+ (\[(?!internal\]|context ).+|exporting to .+)")
_FAILED_LINE = re.compile(r"^Dockerfile\S*:(\d+)$", re.MULTILINE)
_UPSTREAM = re.compile(r"failed to resolve source metadata for (\S+): (.+)")
# What ends a build and is no fault of its Dockerfile; looked for in BuildKit's own last word alone.
_OUTSIDE = re.compile(
    r"no space left on device|disk quota exceeded|code = Unavailable|error reading from server"
    r"|toomanyrequests|failed to (?:do request|copy|fetch|authorize)|unexpected status|i/o timeout"
    r"|dial tcp|invalid response status 5\d\d",
    re.IGNORECASE,
)
# The network's faults among these, which may well be over in a moment.
_PASSING = re.compile(
    r"toomanyrequests|too many requests|i/o timeout|TLS handshake timeout|connection reset|unexpected EOF"
    r"|(?:unexpected|response) status.*\b5\d\d\b|temporary failure in name resolution|connection refused",
    re.IGNORECASE,
)
# A command's own text is none of BuildKit's words, whatever it says.
_COMMAND = re.compile(r'process ".*" did not complete successfully|executor failed running \[.*\]')
_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
# What buildx itself writes is the export, into the layout; all else is written by the engine.
_EXPORTED = re.compile(r"\bwrite (/.+)/\.partial/.+")
_SAID = re.compile(r"^ERROR: (?:failed to build: )?(?:failed to solve: )?(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class Buildx:
    """Builds on the nodes that a catalog names."""

    root: Path
    layout: Layout
    nodes: Nodes

    def build(self, request: BuildRequest, on_step: OnStep) -> tuple[Descriptor, ...]:
        """Build an image into the layout, where nothing names it yet: the image, and its attestations.

        Errors: CheckError for a Dockerfile that fails, OutsideError for an engine or a registry that does.
        """
        destination = self.layout.scratch()
        try:
            self._run(self.command(request, destination), request, on_step)
            return self.layout.adopt(destination)
        finally:
            shutil.rmtree(destination, ignore_errors=True)

    def _run(self, command: list[str], request: BuildRequest, on_step: OnStep) -> None:
        with writing(request.log):
            request.log.parent.mkdir(parents=True, exist_ok=True)
            with request.log.open("w", encoding="utf-8") as log:
                try:
                    self.nodes.processes.follow(command, _listener(log, on_step), _ENVIRONMENT)
                except CommandError as error:
                    raise failure(error, request) from error

    def check_command(self, request: BuildRequest) -> list[str]:
        """The command line that has BuildKit check a Dockerfile, and builds nothing."""
        builder = ["--builder", request.node.builder] if request.node.builder else []
        return [
            *(*self.nodes.buildx(request.node), "build", *builder, "--call=check,format=json"),
            *("--platform", str(request.platform), "--file", str(self.root / request.dockerfile)),
            *self._contexts(request),
            str(self.root / request.context),
        ]

    def command(self, request: BuildRequest, destination: Path) -> list[str]:
        """The command line of a build that is exported to a folder, to run or to show."""
        node = request.node
        builder = ["--builder", node.builder] if node.builder else []
        return [
            *(*self.nodes.buildx(node), "build", *builder),
            *("--platform", str(request.platform), "--progress=plain"),
            *("--file", str(self.root / request.dockerfile)),
            f"--provenance=mode={request.provenance}" if request.provenance else "--provenance=false",
            f"--attest=type=sbom,generator={request.sbom}" if request.sbom else "--sbom=false",
            *("--build-arg", f"SOURCE_DATE_EPOCH={request.source_date_epoch}"),
            *("--output", output(request.annotations, str(destination))),
            *self._contexts(request),
            *(word for source in request.cache.sources for word in ("--cache-from", source)),
            *(word for target in request.cache.targets for word in ("--cache-to", target)),
            *(["--no-cache"] if request.no_cache else []),
            str(self.root / request.context),
        ]

    def _contexts(self, request: BuildRequest) -> list[str]:
        """Name the layout for each reference in FROM that lies there."""
        layout = _layout_path(self.layout.root) if request.contexts else ""
        words: list[str] = []
        for reference, digest in sorted(request.contexts.items()):
            words += ["--build-context", f"{reference}=oci-layout://{layout}@{digest}"]
        return words


def _layout_path(root: Path) -> str:
    """Write a layout's path as buildx reads it: from a `:` or `@` on it would be a tag or a digest."""
    absolute = str(root.resolve())
    # CI systems have such folders of their own, `job@2`: from where dfgen runs, the path is without them.
    for path in (absolute, os.path.relpath(absolute)):
        if not set(path) & {":", "@"}:
            return path
    advice = "run dfgen in the catalog's folder, without -C, or move it"
    raise InputError(f"{absolute}: buildx takes no parent from a path with ':' or '@'; {advice}")


def _listener(log: TextIO, on_step: OnStep) -> Callable[[str], None]:
    seen = ""

    def listen(line: str) -> None:
        """Log a line of buildx, and report the step that it begins; a step has many lines."""
        nonlocal seen
        log.write(f"{line}\n")
        log.flush()
        found = _STEP.fullmatch(line)
        if found and found[1] != seen:
            seen = found[1]
            on_step(seen)

    return listen


def failure(error: CommandError, request: BuildRequest) -> DfgenError:
    """Tell a Dockerfile that fails from an engine or a registry that does."""
    shown = str(request.dockerfile)
    said = (_SAID.findall(error.output) or [str(error)])[-1].strip()
    judged = _COMMAND.sub("", said)
    upstream = _UPSTREAM.search(judged)
    if upstream:
        message = f"parent {upstream[1]} cannot be read: {upstream[2]}"
        if upstream[1] == request.sbom:
            advice = "`sbom: packages` in bases/catalog.yaml needs none"
            message = f"the SBOM generator {upstream[1]} cannot be read: {upstream[2]}; {advice}"
        return _outside(Place(shown), message, upstream[2])
    if _OUTSIDE.search(judged) or is_unreachable(judged) or error.code is None or error.code < 0:
        return _outside(Place(shown), f"the build was broken off: {_advised(said, request)}", judged)
    line = _FAILED_LINE.findall(error.output)
    place = Place(shown, int(line[-1]) if line else 0)
    return CheckError(Problem(place, f"the build failed: {said}"))


def _advised(said: str, request: BuildRequest) -> str:
    """Add whose disk is full, and what makes room there."""
    full = _FULL.search(said)
    if not full:
        return said
    layout = _EXPORTED.search(said)
    if layout:
        room = "make room there, such as with `dfgen gc`, and build again"
        return f"{layout[1]}: {full[0]}; {room}"
    room = f"make room for the engine of the node {request.node.name}, such as with `docker system prune`"
    return f"{said}; {room}, and build again"


def _outside(place: Place, message: str, said: str) -> OutsideError:
    error = OutsideError(Problem(place, message))
    error.is_passing = _PASSING.search(said) is not None
    return error


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
