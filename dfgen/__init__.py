"""dfgen: generate, build, test and publish per-architecture base images from Jinja templates."""

__version__ = "0.1.0"
