"""Dockerfiles, read as BuildKit reads them."""

from dfgen.dockerfile.parser import Dockerfile, Instruction, parse
from dfgen.dockerfile.references import ExternalImage, external_images

__all__ = ["Dockerfile", "ExternalImage", "Instruction", "external_images", "parse"]
