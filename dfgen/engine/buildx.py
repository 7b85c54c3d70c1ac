"""Run `docker buildx build`: build one image for one platform into the layout, or check a Dockerfile."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from dfgen.engine.client import DISK_FULL
from dfgen.engine.nodes import Nodes, is_unreachable
from dfgen.engine.process import CommandError
from dfgen.engine.request import BuildRequest, OnStep
from dfgen.errors import CheckError, DfgenError, ExternalError, InputError, Place, Problem
from dfgen.filetree.files import temporary_folder
from dfgen.findings import Level
from dfgen.oci.layout import Layout, writing
from dfgen.oci.manifest import Descriptor

# Off for reproducible builds: git info would make a build depend on more than its inputs. Metadata provenance
# only costs time.
_ENVIRONMENT = {"BUILDX_GIT_INFO": "false", "BUILDX_METADATA_PROVENANCE": "disabled"}
_CONCURRENT_CHECKS = 4  # each check uses the engine, and the registry of the parents

_ABORTED = "the build was aborted: "

# The regular expressions below match the output of `docker buildx build --progress=plain`.
_STEP = re.compile(r"#\d+ (\[(?!internal\]|context ).+|exporting to .+)")
_CACHED = re.compile(r"^#(\d+) CACHED$", re.MULTILINE)
_FAILED_LINE = re.compile(r"^Dockerfile\S*:(\d+)$", re.MULTILINE)
_FINAL_ERROR = re.compile(r"^ERROR: (?:failed to build: )?(?:failed to solve: )?(.+)$", re.MULTILINE)
_UPSTREAM = re.compile(r"failed to resolve source metadata for (\S+): (.+)")
# Failures of the engine, network or disk instead of the Dockerfile; matched against the final error only,
# because a build's own commands can print the same words.
_EXTERNAL = re.compile(
    r"no space left on device|disk quota exceeded|code = Unavailable|error reading from server"
    r"|toomanyrequests|failed to (?:do request|copy|fetch|authorize)|unexpected status|i/o timeout"
    r"|dial tcp|invalid response status 5\d\d|snapshot \S+ does not exist",
    re.IGNORECASE,
)
# Transient failures: the same build may succeed on a retry. While BuildKit cancels the build of a killed
# client, the next build of the same step can lose its snapshot.
_TRANSIENT = re.compile(
    r"toomanyrequests|too many requests|i/o timeout|TLS handshake timeout|connection reset|unexpected EOF"
    r"|(?:unexpected|response) status.*\b5\d\d\b|temporary failure in name resolution|connection refused"
    r"|snapshot \S+ does not exist",
    re.IGNORECASE,
)
_PROCESS = re.compile(r'process ".*" did not complete successfully: (?:exit code: (\d+)|(.+))', re.DOTALL)
_FAILED_STEP = re.compile(r'^#(\d+) ERROR: process "', re.MULTILINE)
_OUTPUT = 10  # last lines of a failed command's output to show
# BuildKit quotes the failed command, which can contain any text; it is removed before matching.
_COMMAND = re.compile(r'process ".*" did not complete successfully|executor failed running \[.*\]')
# buildx itself only writes the export, into the layout's `.partial`; the engine writes all other files.
_EXPORT = re.compile(r"\bwrite (/.+)/\.partial/.+")


@dataclass(frozen=True, slots=True, eq=False)
class Buildx:
    """Runs builds on a catalog's nodes, and exports them into the layout."""

    root: Path
    layout: Layout
    nodes: Nodes

    def build(self, request: BuildRequest, on_step: OnStep) -> tuple[Descriptor, ...]:
        """Build an image into the layout. Returns the image, followed by its attestations.

        No tag in the layout refers to them yet. Calls `on_step` for each build step.
        Raises CheckError if the Dockerfile fails, ExternalError if the engine or a registry does.
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
        """The command line that runs BuildKit's checks on a Dockerfile without building it."""
        return [
            *(*self._build(request), "--call=check,format=json"),
            *("--platform", str(request.platform), "--file", str(self.root / request.dockerfile)),
            *self._contexts(request),
            str(self.root / request.context),
        ]

    def command(self, request: BuildRequest, destination: Path) -> list[str]:
        """The command line of a build that is exported to the folder `destination`."""
        return [
            *self._build(request),
            *("--platform", str(request.platform), "--progress=plain"),
            *("--file", str(self.root / request.dockerfile)),
            f"--provenance=mode={request.provenance}" if request.provenance else "--provenance=false",
            f"--attest=type=sbom,generator={request.sbom}" if request.sbom else "--sbom=false",
            *("--build-arg", f"SOURCE_DATE_EPOCH={request.source_date_epoch}"),
            *("--output", export_options(request.annotations, str(destination))),
            *self._contexts(request),
            *(word for source in request.cache.sources for word in ("--cache-from", source)),
            *(word for target in request.cache.targets for word in ("--cache-to", target)),
            *(["--no-cache"] if request.no_cache else []),
            str(self.root / request.context),
        ]

    def _build(self, request: BuildRequest) -> list[str]:
        builder = ["--builder", request.node.builder] if request.node.builder else []
        return [*self.nodes.buildx(request.node), "build", *builder]

    def _contexts(self, request: BuildRequest) -> list[str]:
        """Options that make BuildKit read parents from the layout instead of a registry."""
        layout = _layout_path(self.layout.root) if request.contexts else ""
        words: list[str] = []
        for reference, digest in sorted(request.contexts.items()):
            words += ["--build-context", f"{reference}=oci-layout://{layout}@{digest}"]
        return words


def has_cached_commands(log: Path) -> bool:
    """Whether the build with this log took a RUN instruction from BuildKit's cache."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    commands = set(re.findall(r"^#(\d+) \[[^\]]+\] RUN ", text, re.MULTILINE))
    return any(number in commands for number in _CACHED.findall(text))


def export_options(annotations: Mapping[str, str], destination: str) -> str:
    """Format the value of `--output` for an export to an OCI layout; buildx parses it as one CSV row."""
    added = [f"annotation.{name}={value}" for name, value in sorted(annotations.items())]
    row = ["type=oci", "tar=false", "rewrite-timestamp=true", f"dest={destination}", *added]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row)
    return text.getvalue()


def _layout_path(root: Path) -> str:
    """Return a layout's path without `:` and `@`, where buildx would start to parse a tag or digest."""
    absolute = str(root.resolve())
    # Some CI systems use folders such as `job@2`; the path relative to the current folder avoids them.
    for path in (absolute, os.path.relpath(absolute)):
        if not set(path) & {":", "@"}:
            return path
    advice = "run dfgen in the catalog's folder, without -C, or move the catalog"
    raise InputError(f"{absolute}: buildx cannot read parents from a path with ':' or '@'; {advice}")


def _listener(log: TextIO, on_step: OnStep) -> Callable[[str], None]:
    last = ""

    def listen(line: str) -> None:
        """Log a line, and report a build step once, although it prints many lines."""
        nonlocal last
        log.write(f"{line}\n")
        log.flush()
        found = _STEP.fullmatch(line)
        if found and found[1] != last:
            last = found[1]
            on_step(last)

    return listen


def failure(error: CommandError, request: BuildRequest) -> DfgenError:
    """Convert a buildx error: CheckError if the Dockerfile failed, ExternalError if the environment did."""
    shown = str(request.dockerfile)
    message = _final(error)
    matched = _COMMAND.sub("", message)
    upstream = _UPSTREAM.search(matched)
    if upstream:
        text = f"parent {upstream[1]} cannot be read: {upstream[2]}"
        if upstream[1] == request.sbom:
            advice = "check its name, or set `sbom: packages` in bases/catalog.yaml"
            text = f"SBOM generator {upstream[1]} cannot be read: {upstream[2]}; {advice}"
        return _external(Place(shown), text, upstream[2])
    if _EXTERNAL.search(matched) or is_unreachable(matched) or error.code is None or error.code < 0:
        return _external(Place(shown), f"{_ABORTED}{_with_advice(message, request)}", matched)
    line = _FAILED_LINE.findall(error.output)
    place = Place(shown, int(line[-1]) if line else 0)
    process = _PROCESS.fullmatch(message)
    if not process:
        return CheckError(Problem(place, f"the build failed: {message}"))
    *before, last = _step_output(error.output) or [""]
    status, cause = process.groups()
    printed = f": {last}" if last else " and printed nothing"
    failed = CheckError(
        Problem(place, f"RUN failed: {cause}" if cause else f"RUN exited with {status}{printed}")
    )
    failed.excerpt = () if cause else tuple(before[-_OUTPUT:])
    return failed


def _step_output(output: str) -> list[str]:
    """Find the output of the build step that failed, without empty lines."""
    failed = _FAILED_STEP.findall(output)
    lines = re.findall(rf"^#{failed[-1]} \d+\.\d+ (.+)$", output, re.MULTILINE) if failed else []
    return [line for line in lines if line.strip()]


def _final(error: CommandError) -> str:
    """Return the last error that buildx printed."""
    found: list[str] = _FINAL_ERROR.findall(error.output)
    return (found or [str(error)])[-1].strip()


def _with_advice(message: str, request: BuildRequest) -> str:
    """Add to a "disk full" error which disk is full and how to free space on it."""
    full = DISK_FULL.search(message)
    if not full:
        return message
    layout = _EXPORT.search(message)
    if layout:
        return f"{layout[1]}: {full[0]}; free up space (for example with `dfgen gc`), then rebuild"
    node = f"node {request.node.name!r}"
    return f"{message}; free up space on {node} (for example with `docker system prune`), then rebuild"


def _external(place: Place, message: str, cause: str) -> ExternalError:
    error = ExternalError(Problem(place, message))
    error.is_transient = _TRANSIENT.search(cause) is not None
    return error


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A warning or an error of BuildKit about a Dockerfile; `line` is 0 for the whole file."""

    rule: str
    level: Level
    message: str
    line: int


REJECTED = "BuildError"  # in place of a rule's name: BuildKit cannot parse or convert the Dockerfile
_PARSE_ERROR = re.compile(r"dockerfile parse error(?: on line \d+)?: ")


def check(
    buildx: Buildx, requests: Mapping[str, BuildRequest], texts: Mapping[str, str]
) -> Iterator[tuple[str, list[Warned] | DfgenError]]:
    """Run BuildKit's checks on texts of Dockerfiles; yields each path with its findings, in order.

    An error in place of findings is the reason why BuildKit could not check the Dockerfile.
    """
    with temporary_folder("dfgen-check-") as folder, ThreadPoolExecutor(_CONCURRENT_CHECKS) as pool:

        def run(at: int, path: str) -> list[Warned] | DfgenError:
            # The text instead of the file on disk: lines are those that the template renders.
            file = folder / str(at) / "Dockerfile"
            file.parent.mkdir()
            file.write_text(texts[path], encoding="utf-8")
            request = replace(requests[path], dockerfile=PurePosixPath(file))
            try:
                return _findings(buildx, request)
            except ExternalError as error:
                return error

        yield from zip(requests, pool.map(run, range(len(requests)), requests), strict=True)


def _findings(buildx: Buildx, request: BuildRequest) -> list[Warned]:
    """Return the findings of one Dockerfile. Raises ExternalError if BuildKit could not check it."""
    error: CommandError | None = None
    try:
        output = buildx.nodes.processes.read(buildx.check_command(request), timeout=300)
    except CommandError as failed:  # buildx also exits with 1 if there are warnings
        output, error = failed.output, failed
    if error and not output.startswith("{"):
        raise _unchecked(error, request) from error
    try:
        found, _ = json.JSONDecoder().raw_decode(output)  # stderr may follow the JSON
    except ValueError as problem:
        raise ExternalError("docker buildx: its output is not JSON; run `docker buildx version`") from problem
    result = [
        _converted(one["ruleName"], Level.WARNING, one["detail"], one) for one in found.get("warnings") or ()
    ]
    if rejected := found.get("buildError"):
        message = _PARSE_ERROR.sub("", rejected["message"])
        one = _converted(REJECTED, Level.ERROR, f"BuildKit rejects it: {message}", rejected)
        reason = error or CommandError((), 1, f"ERROR: {rejected['message']}")
        if not one.line or isinstance(failure(reason, request), ExternalError):
            raise _unchecked(reason, request)
        result.append(one)
    return result


def _converted(rule: str, level: Level, message: str, found: Mapping[str, Any]) -> Warned:
    ranges = (found.get("location") or {}).get("ranges") or []
    return Warned(rule=rule, level=level, message=message, line=ranges[0]["start"]["line"] if ranges else 0)


def _unchecked(error: CommandError, request: BuildRequest) -> ExternalError:
    found = failure(error, request)
    if isinstance(found, ExternalError):
        messages = (one.message.removeprefix(_ABORTED) for one in found.problems)
        return ExternalError(Problem(None, message) for message in messages)
    return ExternalError(_final(error))
