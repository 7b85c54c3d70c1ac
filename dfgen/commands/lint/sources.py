"""Connect lint to a catalog, its templates, hadolint and BuildKit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from dfgen.catalog.context import ContextReader
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import Catalog, Image
from dfgen.catalog.variables import PinnedParent, template_variables
from dfgen.commands.explain import template_lines
from dfgen.commands.lint.dockerfile import unpinned_from
from dfgen.commands.lint.records import ExternalHit, Hit, Sources
from dfgen.commands.plan import Planning, plan
from dfgen.commands.plan.inputs import build_request
from dfgen.commands.render import TemplatesFor, render_unchecked, stand_in
from dfgen.dockerfile import parse
from dfgen.engine import buildx, hadolint
from dfgen.engine.buildx import Buildx
from dfgen.engine.process import Processes
from dfgen.errors import InputError
from dfgen.filetree import Folder
from dfgen.templating import Templates


def lint_sources(catalog: Catalog, lock: Lock, templates: Templates, templates_for: TemplatesFor) -> Sources:
    """Return the sources for linting a catalog; with hadolint if it is installed, without BuildKit.

    `templates` are read for unused macros, blocks and variables; `templates_for` returns those of an image,
    with its family's options.
    """
    return Sources(
        render=partial(_render, catalog, lock, templates_for),
        origins=partial(template_lines, catalog, lock, templates_for),
        context=partial(ContextReader, Folder(catalog.root), catalog.versions),
        variables=partial(_variables, catalog),
        usages=templates.usages(),
        functions=templates.functions,
        hadolint=_hadolint_hits if hadolint.installed() else None,
    )


def _render(catalog: Catalog, lock: Lock, templates_for: TemplatesFor, image: Image) -> str:
    # A missing digest of a parent that is not built yet is the only thing that cannot be checked.
    rendered = render_unchecked(catalog, image, lock, templates_for(image), stand_in)
    try:
        rendered.check()
    except InputError:
        # The rule `unpinned-from` reports unpinned images with their line; rendering knows only the template.
        if not any(unpinned_from(parse(rendered.text, image.path))):
            raise
    return rendered.text


def _variables(catalog: Catalog, image: Image) -> Collection[str]:
    """Return the names of the variables of an image's template; needs no lock."""
    parent = PinnedParent(image.parent.reference, image.parent.platform)
    return template_variables(catalog, image, {"parent": parent}).keys()


def _hadolint_hits(texts: Mapping[str, str]) -> Iterator[ExternalHit]:
    for path, code, level, message, line in hadolint.check(Processes(), texts):
        yield path, Hit(rule=code, message=message, line=line), level


def buildkit_hits(
    images: Sequence[Image], lock: Lock, how: Planning, builder: Buildx
) -> Iterator[ExternalHit]:
    """Run BuildKit's own checks on the Dockerfiles of images, each on a node of its platform.

    Raises ExternalError if an engine or registry does not respond.
    """
    selected = {image.name for image in images}
    steps = [step for step in plan(images, lock, how).steps if step.image.name in selected]
    requests = [build_request(step, lock, how.catalog, Path()) for step in steps]
    nodes = builder.nodes.check(request.platform for request in requests).usable
    assigned = [replace(one, node=next(iter(nodes[one.platform]))) for one in requests]
    for path, code, level, message, line in buildx.check(builder, assigned):
        yield path, Hit(rule=code, message=message, line=line), level
