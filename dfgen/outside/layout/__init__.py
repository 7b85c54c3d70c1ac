"""The embedded store `dist/`: an OCI image layout that skopeo, crane and regctl read as well."""

from dfgen.commands.publish.ledger import Ledger
from dfgen.oci.layout import Layout
from dfgen.oci.manifest import INPUTS

__all__ = ["INPUTS", "Layout", "Ledger"]
