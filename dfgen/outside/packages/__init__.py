"""The packages of an image, read from its layers without unpacking them, and their bill of materials."""

from dfgen.outside.packages.bills import Bills

__all__ = ["Bills"]
