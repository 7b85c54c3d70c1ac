"""Jinja2 templates whose values cannot escape the place in a Dockerfile where they stand."""

from dfgen.templating.templates import TemplateOptions, Templates

__all__ = ["TemplateOptions", "Templates"]
