"""The embedded store `dist/`: an OCI image layout that skopeo, crane and regctl read as well."""

from dfgen.oci.layout import Layout
from dfgen.oci.manifest import INPUTS
from dfgen.outside.layout.ledger import Ledger

__all__ = ["INPUTS", "Layout", "Ledger"]
