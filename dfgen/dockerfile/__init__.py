"""Dockerfiles, read as BuildKit reads them."""

from dfgen.dockerfile.images import ExternalImage, external_images
from dfgen.dockerfile.instructions import Dockerfile, Instruction, parse

__all__ = ["Dockerfile", "ExternalImage", "Instruction", "external_images", "parse"]
