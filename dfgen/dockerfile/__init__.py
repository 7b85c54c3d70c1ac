"""Reads Dockerfiles exactly as BuildKit does, which is the definition of the language."""

from dfgen.dockerfile.parser import Dockerfile, Instruction, parse
from dfgen.dockerfile.references import ExternalImage, external_images

__all__ = ["Dockerfile", "ExternalImage", "Instruction", "external_images", "parse"]
