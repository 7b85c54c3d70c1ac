"""dfgen: explicit, per-architecture Dockerfiles from templates, and the images that they say."""

__version__ = "0.1.0"
