"""A private certificate authority for a test, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: an authority's certificate, a server's certificate and its key for this machine."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Make them in a folder."""
        made = cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        new = "openssl req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256".split()
        authority = [
            "-subj",
            "/CN=test authority",
            "-keyout",
            f"{folder}/ca.key",
            "-out",
            f"{made.authority}",
        ]
        signed = ["-CA", f"{made.authority}", "-CAkey", f"{folder}/ca.key"]
        names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-subj", "/CN=server"]
        server = [*signed, *names, *leaf, "-keyout", f"{made.key}", "-out", f"{made.certificate}"]
        for arguments in (authority, server):
            subprocess.run([*new, *arguments], check=True, capture_output=True)
        return made

    def context(self) -> ssl.SSLContext:
        """What a server uses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context
