"""Connect lint to a catalog, its templates, hadolint and BuildKit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from dfgen.catalog.context import ContextReader
from dfgen.catalog.lockfile import Lock
from dfgen.catalog.model import BASES, Catalog, Image
from dfgen.catalog.variables import PinnedParent, template_variables
from dfgen.commands.explain import template_lines
from dfgen.commands.lint.dockerfile import unpinned_from
from dfgen.commands.lint.records import ExternalHit, Hit, Sources
from dfgen.commands.plan.inputs import Reason, Step, build_request
from dfgen.commands.render import TemplatesFor, render_unchecked, render_with_jinja_whitespace, stand_in
from dfgen.dockerfile import parse
from dfgen.engine import buildx, hadolint
from dfgen.engine.buildx import Buildx
from dfgen.engine.process import Processes
from dfgen.errors import DfgenError, ExternalError, InputError, Place, Problem
from dfgen.filetree import Folder
from dfgen.templating import Templates


def lint_sources(catalog: Catalog, lock: Lock, templates: Templates, templates_for: TemplatesFor) -> Sources:
    """Return the sources for linting a catalog; with hadolint if it is installed, without BuildKit.

    `templates` are read for unused macros, blocks and variables; `templates_for` returns those of an image,
    with its family's options.
    """
    return Sources(
        render=partial(_render, catalog, lock, templates_for),
        with_jinja_whitespace=lambda image: render_with_jinja_whitespace(
            catalog, image, lock, templates_for(image)
        ),
        origins=partial(template_lines, catalog, lock, templates_for),
        context=partial(ContextReader, Folder(catalog.root), catalog.versions, upstream=lock.triggers),
        variables=partial(_variables, catalog),
        usages=templates.usages(),
        functions=templates.functions,
        strays=partial(_strays, catalog),
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


def _strays(catalog: Catalog) -> Iterator[Problem]:
    """Find folders in bases/ that dfgen ignores, apart from those that a family has as its build context."""
    contexts = [family.context for family in catalog.families.values()]
    for folder in sorted((catalog.root / BASES).iterdir()):
        path = PurePosixPath(BASES, folder.name)
        if folder.name.startswith(".") or not folder.is_dir() or folder.name in catalog.families:
            continue
        is_context = any(one.is_relative_to(path) or path.is_relative_to(one) for one in contexts)
        if is_context or not any(one.is_file() for one in folder.rglob("*")):
            continue
        nested = next(iter(sorted(folder.glob("*/**/base.yaml"))), None)
        similar = next(iter(sorted(folder.glob("*base.y*"))), None)
        advice = "add one, or remove the folder"
        if nested:
            shown = nested.parent.relative_to(catalog.root).as_posix()
            advice = f"a family is a folder directly in {BASES}/: move {shown} there"
        elif similar:
            advice = f"rename {similar.name}, or remove the folder"
        yield Problem(Place(f"{path}/"), f"the folder is ignored, because it has no base.yaml; {advice}")


def _variables(catalog: Catalog, image: Image) -> Collection[str]:
    """Return the names of the variables of an image's template; needs no lock."""
    pins = {name: PinnedParent(one.reference, one.platform) for name, one in image.stages.items()}
    return template_variables(catalog, image, pins).keys()


def _hadolint_hits(texts: Mapping[str, str]) -> Iterator[ExternalHit]:
    for path, code, level, message, line in hadolint.check(Processes(), texts):
        yield path, Hit(rule=code, message=message, line=line), level


def buildkit_hits(
    images: Sequence[Image], lock: Lock, catalog: Catalog, builder: Buildx, texts: Mapping[str, str]
) -> tuple[list[ExternalHit], list[Problem]]:
    """Run BuildKit's own checks on the texts of images, by path, each on a node of its platform.

    Also returns the Dockerfiles that could not be checked, and why.
    """
    requests = {
        image.path: build_request(Step(image=image, reason=Reason.NEW), lock, catalog, Path())
        for image in images
        if image.path in texts
    }
    try:
        nodes = builder.nodes.check(request.platform for request in requests.values()).usable
    except ExternalError as error:
        return [], [Problem(Place(path), str(error)) for path in requests]
    assigned = {path: replace(one, node=next(iter(nodes[one.platform]))) for path, one in requests.items()}
    hits: list[ExternalHit] = []
    unchecked: list[Problem] = []
    for path, found in buildx.check(builder, assigned, texts):
        if isinstance(found, DfgenError):
            unchecked.append(Problem(Place(path), str(found)))
        else:
            hits += (
                (path, Hit(rule=one.rule, message=one.message, line=one.line), one.level) for one in found
            )
    return hits, unchecked
