"""The embedded store `dist/`: an OCI image layout that skopeo, crane and regctl read as well."""

from dfgen.model.annotations import INPUTS
from dfgen.outside.layout.store import Layout

__all__ = ["INPUTS", "Layout"]
