"""The embedded store `dist/`: an OCI image layout that skopeo, crane and regctl read as well."""

from dfgen.images.annotations import INPUTS
from dfgen.outside.layout.ledger import Ledger
from dfgen.outside.layout.store import Layout

__all__ = ["INPUTS", "Layout", "Ledger"]
