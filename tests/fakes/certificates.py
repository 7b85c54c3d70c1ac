"""A private certificate authority for tests, made with openssl."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
_NEW = ["openssl", "req", "-x509", "-nodes", "-days", "2", *_CURVE]
_NAMES = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
_LEAF = ["-addext", "basicConstraints=critical,CA:FALSE", *_NAMES]


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: a certificate authority, and the certificate and key of a server on this machine."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Make the files in a folder."""
        made = cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        for name, arguments in {
            "ca": ["-subj", "/CN=test authority"],
            "server": [
                "-subj",
                "/CN=server",
                "-CA",
                str(made.authority),
                "-CAkey",
                f"{folder}/ca.key",
                *_LEAF,
            ],
        }.items():
            files = ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"]
            subprocess.run([*_NEW, *arguments, *files], check=True, capture_output=True)
        return made

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context
