"""The packages of an image, read from its layers without unpacking them, and their bill of materials."""

from dfgen.sbom.generate import Bills

__all__ = ["Bills"]
