"""Parents of the integration tests: busybox for two architectures, in the local registry."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

sys.path.append(str(Path(__file__).parents[2] / "examples" / "demo"))
import packages  # of examples/demo: apt-get with the machine's mirror

ARCHITECTURES = ("amd64", "arm64")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Published:
    """A published parent: its reference without a digest, and the digests of its index and its images."""

    reference: str
    index: str
    platforms: Mapping[str, str]


def root_filesystems(folder: Path) -> dict[str, bytes]:
    """Make a layer for each architecture: busybox, and a link for each of its applets."""
    mirror = packages.choose_mirror(packages.machine_sources(), _codename())
    programs: dict[str, bytes] = {}
    for arch in ARCHITECTURES:
        apt = packages.Apt(folder=folder / "apt", suite=_codename(), arch=arch, mirror=mirror)
        packages.unpack(apt.download(["busybox-static"]), folder / arch)
        programs[arch] = (folder / arch / "bin" / "busybox").read_bytes()
    listed = subprocess.run(
        [folder / "amd64" / "bin" / "busybox", "--list"], capture_output=True, text=True, check=True
    )
    return {arch: _layer(program, listed.stdout.split()) for arch, program in programs.items()}


def publish(
    registry: str, name: str, layers: Mapping[str, bytes], note: str = "", onbuild: Sequence[str] = ()
) -> Published:
    """Publish an index of the layers as `name:1`; the note changes the digests of its images."""
    entries = []
    for arch, layer in layers.items():
        configuration = {
            "architecture": arch,
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], "Labels": {"note": note}, "OnBuild": onbuild},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _put_blob(registry, name, json.dumps(configuration).encode(), _CONFIG),
            "layers": [_put_blob(registry, name, layer, _LAYER)],
        }
        entry = _put_manifest(registry, name, "", manifest)
        entries.append({**entry, "platform": {"os": "linux", "architecture": arch}})
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}
    found = _put_manifest(registry, name, "1", index)
    platforms = {arch: entry["digest"] for arch, entry in zip(layers, entries, strict=True)}
    return Published(f"{registry}/{name}:1", found["digest"], platforms)


def _codename() -> str:
    release = dict(
        line.partition("=")[::2] for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    )
    return release["VERSION_CODENAME"]


def _layer(program: bytes, applets: list[str]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for folder in ("bin", "etc", "tmp"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        member = tarfile.TarInfo("bin/busybox")
        member.size, member.mode = len(program), 0o755
        tar.addfile(member, io.BytesIO(program))
        for applet in (one for one in applets if one != "busybox"):
            member = tarfile.TarInfo(f"bin/{applet}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(member)
    return content.getvalue()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _send(method: str, url: str, data: bytes = b"", media_type: str = "application/octet-stream") -> str:
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": media_type})
    with urllib.request.urlopen(request, timeout=30) as response:
        return urljoin(url, response.headers.get("Location", ""))


def _put_blob(registry: str, name: str, data: bytes, media_type: str) -> dict[str, object]:
    location = _send("POST", f"http://{registry}/v2/{name}/blobs/uploads/")
    separator = "&" if "?" in location else "?"
    _send("PUT", f"{location}{separator}digest={_digest(data)}", data)
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _put_manifest(registry: str, name: str, tag: str, manifest: Mapping[str, object]) -> dict[str, str]:
    raw = json.dumps(manifest).encode()
    media_type = str(manifest["mediaType"])
    _send("PUT", f"http://{registry}/v2/{name}/manifests/{tag or _digest(raw)}", raw, media_type)
    return {"mediaType": media_type, "digest": _digest(raw), "size": len(raw)}  # type: ignore[dict-item]
