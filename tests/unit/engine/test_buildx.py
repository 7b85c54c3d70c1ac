"""The command lines for buildx, and how its failures are classified."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from dfgen.catalog.model import BuildCache, Builder
from dfgen.engine.buildx import Buildx, Warned, check
from dfgen.engine.nodes import Nodes
from dfgen.engine.request import BuildRequest
from dfgen.errors import CheckError, DfgenError, ExternalError, InputError
from dfgen.findings import Level
from dfgen.oci.digest import Digest
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import OCI_MANIFEST, Descriptor
from tests.unit.engine.scripted import Answer, ScriptedProcesses
from tests.unit.models import ARM64

PIN = Digest.of(b"pin")


def request(root: Path) -> BuildRequest:
    return BuildRequest(
        platform=ARM64,
        dockerfile=PurePosixPath("bases/a/1/Dockerfile_arm64"),
        context=PurePosixPath("bases/a"),
        log=root / "dist" / "logs" / "a-1-arm64.log",
        annotations={"org.example.note": 'one, "two"', "dev.dfgen.inputs": "sha256:1"},
        source_date_epoch=5,
        provenance="",
        contexts={},
    )


def buildx(root: Path, answer: Answer = "") -> Buildx:
    return Buildx(root, Layout(root / "dist"), Nodes({}, ScriptedProcesses({"docker": answer})))


def test_the_command_line(tmp_path: Path) -> None:
    words = buildx(tmp_path).command(request(tmp_path), Path("/out"))
    at = words.index("--output") + 1
    assert next(csv.reader([words[at]])) == [
        "type=oci",
        "tar=false",
        "rewrite-timestamp=true",
        "dest=/out",
        "annotation.dev.dfgen.inputs=sha256:1",
        'annotation.org.example.note=one, "two"',
    ]
    words[at] = "OUTPUT"
    assert words == [
        *("docker", "buildx", "build", "--platform", "linux/arm64", "--progress=plain"),
        *("--file", f"{tmp_path}/bases/a/1/Dockerfile_arm64"),
        *("--provenance=false", "--sbom=false", "--build-arg", "SOURCE_DATE_EPOCH=5"),
        *("--output", "OUTPUT", f"{tmp_path}/bases/a"),
    ]


def test_a_layout_with_a_special_character_in_its_path_is_named_by_its_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "job@2"
    root.mkdir()
    built = replace(request(root), contexts={f"localhost/b:1@{PIN}": PIN})
    with pytest.raises(InputError) as caught:
        buildx(root).command(built, Path("/out"))
    advice = "run dfgen in the catalog's folder, without -C, or move the catalog"
    assert str(caught.value) == (
        f"{root}/dist: buildx cannot read parents from a path with ':' or '@'; {advice}"
    )
    monkeypatch.chdir(root)
    assert f"localhost/b:1@{PIN}=oci-layout://dist@{PIN}" in buildx(root).command(built, Path("/out"))


def test_a_parent_is_read_from_the_layout(tmp_path: Path) -> None:
    built = replace(request(tmp_path), contexts={f"localhost/b:1@{PIN}": PIN})
    words = buildx(tmp_path).command(built, Path("/out"))
    at = words.index("--build-context")
    assert words[at + 1] == f"localhost/b:1@{PIN}=oci-layout://{tmp_path}/dist@{PIN}"


def test_the_build_cache_is_imported_and_exported(tmp_path: Path) -> None:
    cache = BuildCache(sources=("type=gha", "type=local,src=/c"), targets=("type=gha,mode=max",))
    words = buildx(tmp_path).command(replace(request(tmp_path), cache=cache), Path("/out"))
    at = words.index("--cache-from")
    assert words[at : at + 6] == [
        *("--cache-from", "type=gha", "--cache-from", "type=local,src=/c"),
        *("--cache-to", "type=gha,mode=max"),
    ]


def test_an_sbom_is_requested_from_the_configured_generator(tmp_path: Path) -> None:
    words = buildx(tmp_path).command(replace(request(tmp_path), sbom=f"x/scan@{PIN}"), Path("/out"))
    assert f"--attest=type=sbom,generator=x/scan@{PIN}" in words
    assert "--sbom=false" not in words


def test_provenance_and_no_cache(tmp_path: Path) -> None:
    words = buildx(tmp_path).command(
        replace(request(tmp_path), provenance="max", no_cache=True), Path("/out")
    )
    assert "--provenance=mode=max" in words
    assert "--no-cache" in words


@pytest.mark.parametrize(
    ("builder", "expected"),
    [
        (Builder(context="big"), ["docker", "--context", "big", "buildx", "build", "--platform"]),
        (Builder(builder="farm"), ["docker", "buildx", "build", "--builder", "farm", "--platform"]),
    ],
)
def test_a_node_is_selected(tmp_path: Path, builder: Builder, expected: list[str]) -> None:
    words = buildx(tmp_path).command(replace(request(tmp_path), node=builder), Path("/out"))
    assert words[: len(expected)] == expected


OUTPUT = """\
#0 building with "default" instance using docker driver
#1 [internal] load build definition from Dockerfile_arm64
#1 DONE 0.0s
#2 [context localhost/b:1] OCI load from client
#5 [1/3] FROM 127.0.0.1:5000/busybox:1
#5 DONE 0.1s
#6 [2/3] COPY files/ /files/
#7 [stage 3/3] RUN echo '#9 [9/9] NOT A STEP'
#7 0.404 [10/10] output of the program
#6 [2/3] COPY files/ /files/
#8 exporting to oci image format
#8 exporting layers done
"""


def test_steps_are_reported_and_all_output_is_logged(tmp_path: Path) -> None:
    steps: list[str] = []
    with pytest.raises(DfgenError):
        buildx(tmp_path, (1, OUTPUT)).build(request(tmp_path), steps.append)
    assert steps == [
        "[1/3] FROM 127.0.0.1:5000/busybox:1",
        "[2/3] COPY files/ /files/",
        "[stage 3/3] RUN echo '#9 [9/9] NOT A STEP'",
        "[2/3] COPY files/ /files/",
        "exporting to oci image format",
    ]
    assert request(tmp_path).log.read_text() == OUTPUT


FAILED = """\
#7 [3/3] RUN exit 3
#7 0.101 Get:1 list
#6 0.200 another step
#7 0.300
#7 0.300 E: no such package
#7 ERROR: process "/bin/sh -c exit 3" did not complete successfully: exit code: 3
------
Dockerfile_arm64:4
--------------------
   4 | >>> RUN exit 3
--------------------
ERROR: failed to build: failed to solve: process "/bin/sh -c exit 3" did not complete \
successfully: exit code: 3
"""
WORDS = "no space left on device, i/o timeout, Cannot connect to the Docker daemon: code = Unavailable"
MISLEADING = f"""\
#7 0.1 failed to resolve source metadata for a:1: not found
ERROR: failed to build: failed to solve: process "/bin/sh -c echo \\"{WORDS}\\"; false" did not complete \
successfully: exit code: 1
"""
UNRESOLVED = """\
ERROR: failed to build: failed to solve: mirror.example.com/x:1: failed to resolve source metadata for \
mirror.example.com/x:1: dial tcp: lookup mirror.example.com: no such host
"""


def test_the_error_has_the_output_before_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(CheckError) as caught:
        buildx(tmp_path, (1, FAILED)).build(request(tmp_path), print)
    assert caught.value.excerpt == ("Get:1 list",)


@pytest.mark.parametrize(
    ("answer", "kind", "expected"),
    [
        (
            (1, FAILED),
            CheckError,
            "bases/a/1/Dockerfile_arm64:4: RUN exited with 3: E: no such package",
        ),
        (
            (1, MISLEADING),
            CheckError,
            "bases/a/1/Dockerfile_arm64: RUN exited with 1 and printed nothing",
        ),
        (
            (1, FAILED.replace("exit code: 3", "unable to find user app: invalid argument")),
            CheckError,
            "bases/a/1/Dockerfile_arm64:4: RUN failed: unable to find user app: invalid argument",
        ),
        (
            (1, "ERROR: failed to solve: failed to load cache key: invalid response status 404\n"),
            CheckError,
            "bases/a/1/Dockerfile_arm64: the build failed: failed to load cache key: invalid response status 404",
        ),
        (
            (1, "ERROR: something new\n"),
            CheckError,
            "bases/a/1/Dockerfile_arm64: the build failed: something new",
        ),
        (
            (1, UNRESOLVED),
            ExternalError,
            "bases/a/1/Dockerfile_arm64: parent mirror.example.com/x:1 cannot be read: dial tcp: lookup"
            " mirror.example.com: no such host",
        ),
        (
            (1, f"ERROR: failed to resolve source metadata for x/scan:1@{PIN}: x/scan:1@{PIN}: not found\n"),
            ExternalError,
            f"bases/a/1/Dockerfile_arm64: SBOM generator x/scan:1@{PIN} cannot be read: x/scan:1@{PIN}: not"
            " found; check its name, or set `sbom: packages` in bases/catalog.yaml",
        ),
        (
            (1, "ERROR: Cannot connect to the Docker daemon at unix:///x. Is it running?\n"),
            ExternalError,
            "bases/a/1/Dockerfile_arm64: the build was aborted: Cannot connect to the Docker daemon at"
            " unix:///x. Is it running?",
        ),
        (
            (
                1,
                "ERROR: failed to receive status: rpc error: code = Unavailable desc ="
                " error reading from server: EOF",
            ),
            ExternalError,
            "bases/a/1/Dockerfile_arm64: the build was aborted: failed to receive status: rpc error:"
            " code = Unavailable desc = error reading from server: EOF",
        ),
        (
            (1, "ERROR: failed to solve: write /var/lib/x: no space left on device\n"),
            ExternalError,
            "bases/a/1/Dockerfile_arm64: the build was aborted: write /var/lib/x: no space left on device;"
            " free up space on node 'default' (for example with `docker system prune`), then rebuild",
        ),
        (
            (1, "ERROR: failed to solve: rpc error: write /c/dist/.partial/x/data: disk quota exceeded\n"),
            ExternalError,
            "bases/a/1/Dockerfile_arm64: the build was aborted: /c/dist: disk quota exceeded;"
            " free up space (for example with `dfgen gc`), then rebuild",
        ),
    ],
)
def test_failures_are_classified(
    tmp_path: Path, answer: Answer, kind: type[DfgenError], expected: str
) -> None:
    with pytest.raises(kind) as caught:
        buildx(tmp_path, answer).build(replace(request(tmp_path), sbom=f"x/scan:1@{PIN}"), print)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("message", "is_transient"),
    [
        ("x:1: failed to resolve source metadata for x:1: dial tcp 10.0.0.1:443: i/o timeout", True),
        (
            "x:1: failed to resolve source metadata for x:1: unexpected status from HEAD request: 503 Busy",
            True,
        ),
        ("failed to copy: read tcp 10.0.0.1:443: connection reset by peer", True),
        ("toomanyrequests: retry-after: 3s", True),
        (
            'failed to load cache key: Get "http://a/x": dial tcp 10.0.0.1:80: connect: connection refused',
            True,
        ),
        ("failed to load cache key: invalid response status 503", True),
        (
            "failed to commit a to b during finalize: failed to stat active key: snapshot a does not exist",
            True,
        ),
        ("x:1: failed to resolve source metadata for x:1: x:1: not found", False),
        ("failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized", False),
        ("write /var/lib/x: no space left on device", False),
    ],
)
def test_transient_failures_are_recognized(tmp_path: Path, message: str, is_transient: bool) -> None:
    with pytest.raises(ExternalError) as caught:
        buildx(tmp_path, (1, f"ERROR: failed to build: failed to solve: {message}\n")).build(
            request(tmp_path), print
        )
    assert caught.value.is_transient is is_transient


def test_a_failed_build_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(CheckError):
        buildx(tmp_path, (1, FAILED)).build(request(tmp_path), print)
    assert list((tmp_path / "dist" / ".partial").iterdir()) == []


def test_the_exported_image_is_in_the_layout(tmp_path: Path) -> None:
    class Exporting(ScriptedProcesses):
        def _answer(self, command: object) -> str:
            assert isinstance(command, list)
            output = next(csv.reader([command[command.index("--output") + 1]]))
            folder = Path(next(word for word in output if word.startswith("dest=")).removeprefix("dest="))
            export(folder)
            return ""

    runner = Buildx(tmp_path, Layout(tmp_path / "dist"), Nodes({}, Exporting({})))
    (image,) = runner.build(request(tmp_path), print)
    assert runner.layout.is_intact(image)
    assert list((tmp_path / "dist" / ".partial").iterdir()) == []


def export(folder: Path) -> None:
    """Write a layout with one image, as buildx exports it."""
    layout = Layout(folder)
    configuration = json.dumps(ARM64.to_json()).encode()
    layout.add(configuration)
    config = Descriptor.of(configuration, "application/vnd.oci.image.config.v1+json").to_json()
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    raw = json.dumps(manifest).encode()
    layout.add(raw)
    layout.tag({"latest": Descriptor.of(raw, OCI_MANIFEST, ARM64)})


def _checked(root: Path, answer: Answer) -> object:
    ((path, found),) = check(buildx(root, answer), {"a": request(root)}, {"a": "FROM x\n"})
    assert path == "a"
    return str(found) if isinstance(found, ExternalError) else found


def _answer(message: str, *lines: int) -> tuple[int, str]:
    location = {"ranges": [{"start": {"line": line}} for line in lines]}
    found = json.dumps({"warnings": None, "buildError": {"message": message, "location": location}})
    return 1, f"{found}\nERROR: {message}\n/x/Dockerfile:2"


def test_what_buildkit_rejects_in_a_check_is_a_finding(tmp_path: Path) -> None:
    message = "dockerfile parse error on line 2: COPY requires at least two arguments"
    text = "BuildKit rejects it: COPY requires at least two arguments"
    found = Warned(rule="BuildError", level=Level.ERROR, message=text, line=2)
    assert _checked(tmp_path, _answer(message, 2)) == [found]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            _answer("x:1: failed to resolve source metadata for x:1: dial tcp: refused", 1),
            "parent x:1 cannot be read: dial tcp: refused",
        ),
        (_answer("rpc error: code = Unknown desc = odd"), "rpc error: code = Unknown desc = odd"),
        (
            (1, "ERROR: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?"),
            "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
        ),
        ("no JSON", "docker buildx: its output is not JSON; run `docker buildx version`"),
        ((None, "timed out after 300 s"), "`docker buildx build --call=check,format=json"),
    ],
)  # fmt: skip
def test_a_check_that_did_not_run_is_no_finding(tmp_path: Path, answer: Answer, message: str) -> None:
    assert str(_checked(tmp_path, answer)).startswith(message)


def test_a_check_without_findings(tmp_path: Path) -> None:
    assert _checked(tmp_path, '{"warnings": null}') == []
