"""Jinja2 templates for Dockerfiles. Printed values are quoted for their position, or rejected."""

from dfgen.templating.templates import TemplateOptions, Templates

__all__ = ["TemplateOptions", "Templates"]
