"""The blast radius: which images are rebuilt, and why, through the catalog's graph."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from dfgen.catalog.context import BuildInputs, ContextReader
from dfgen.catalog.graph import find, in_order
from dfgen.catalog.lockfile import LOCK_FILE
from dfgen.catalog.model import TEMPLATES, Catalog, Image, Parent
from dfgen.commands.review.records import Radius, Rebuild, State
from dfgen.errors import Problem
from dfgen.filetree import printable_path, within
from dfgen.templating.usage import TemplateUsage, made_from, usages

_NOTHING = BuildInputs(dockerfile=None, files={})
_BUILT_WITH = ("source_date_epoch", "provenance", "sbom")  # what decides beside a Dockerfile and its context


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two states whose catalogs both load, and the Dockerfiles that the state after gives when rendered.

    `unrendered` are the paths of changed ones that it does not give yet: their parent is to be built, or they
    fail.
    """

    before: State
    after: State
    old: Catalog
    new: Catalog
    rendered: Mapping[str, str] = field(default_factory=dict)
    unrendered: frozenset[str] = frozenset()

    @cached_property
    def earlier(self) -> Mapping[str, Image]:
        """The images of the state before, by name."""
        return {image.name: image for image in self.old.images}

    @cached_property
    def changed_files(self) -> frozenset[str]:
        """The context files that came, went or differ."""
        old, new = self.before.files, self.after.files
        return frozenset(path for path in {*old, *new} if old.get(path) != new.get(path))

    @cached_property
    def changed_templates(self) -> frozenset[str]:
        """The templates that came, went or differ."""
        old, new = self.before.templates, self.after.templates
        return frozenset(name for name in {*old, *new} if old.get(name) != new.get(name))

    @cached_property
    def _usages(self) -> tuple[dict[str, TemplateUsage], dict[str, TemplateUsage]]:
        return usages(self.before.templates), usages(self.after.templates)

    @cached_property
    def _made_from(self) -> dict[str, list[str]]:
        return {}

    def templates(self, image: Image) -> list[str]:
        """The changed templates that an image is rendered from."""
        if not self.changed_templates:
            return []
        name = image.template
        if name not in self._made_from:
            both = frozenset[str]().union(*(made_from(name, side) for side in self._usages))
            self._made_from[name] = sorted(both & self.changed_templates)
        return self._made_from[name]

    @cached_property
    def _readers(self) -> tuple[ContextReader, ContextReader] | None:
        """What reads the context of either state; that of the state after sees what is rendered."""
        before, after = self.before.context, self.after.context
        return (before, after.overlaid(self.rendered)) if before and after else None

    @cached_property
    def _changed_paths(self) -> frozenset[str]:
        """Every path that differs between the states, as far as a build may read it."""
        old, new = self.before, self.after
        was = {**old.settings, **old.dockerfiles, LOCK_FILE: old.lock_text}
        now = {**new.settings, **new.dockerfiles, **self.rendered, LOCK_FILE: new.lock_text}
        texts = {path for path in {*was, *now} if was.get(path) != now.get(path)}
        return frozenset(texts | self.unrendered | self.changed_files)

    def _may_differ(self, old: Image, new: Image) -> bool:
        """Whether what an image takes from its context may differ: most images need not be looked at."""
        if old.family.context != new.family.context or old.path in self._changed_paths:
            return True
        parents = (find(parent, self.new.versions) for parent in new.all_parents)
        if any(parent.path in self._changed_paths for parent in parents if parent):
            return True
        if new.family.name not in self._touched:
            places = (str(new.family.context), str(new.family.folder))
            self._touched[new.family.name] = any(
                place == "." or path.startswith(f"{place}/")
                for path in self._changed_paths
                for place in places
            )
        return self._touched[new.family.name]

    @cached_property
    def _touched(self) -> dict[str, bool]:
        return {}

    def _taken(self, image: Image) -> tuple[BuildInputs, BuildInputs] | None:
        """Read what an image takes from its context, before and after; None if nothing about it changed."""
        if image.name not in self._takes:
            old = self.earlier.get(image.name)
            found = None
            if self._readers and (old is None or self._may_differ(old, image)):
                before, after = self._readers
                found = (before.inputs(old) if old else _NOTHING, after.inputs(image))
            self._takes[image.name] = found
        return self._takes[image.name]

    @cached_property
    def _takes(self) -> dict[str, tuple[BuildInputs, BuildInputs] | None]:
        return {}

    def context(self, image: Image) -> list[str]:
        """List the files that an image takes from its context in one state only, or that differ.

        What BuildKit would refuse counts for what it takes all the same.
        """
        taken = self._taken(image)
        if taken is None or image.name not in self.earlier:
            return []
        was, now = taken
        paths = _differing_paths(was.files, now.files)
        where = str(image.family.context).removeprefix(".")
        beside = f"{image.dockerfile.parent}/"
        named = [printable_path(path if path.startswith(beside) else within(where, path)) for path in paths]
        if was.dockerfile != now.dockerfile:  # which says itself that it takes other files
            named = [path for path in named if path in self._changed_paths]
        return named

    def refused(self, image: Image) -> list[Problem]:
        """List what BuildKit would refuse of an image's context, and would not before."""
        taken = self._taken(image)
        if taken is None or taken[1].dockerfile is None:
            return []
        known = {problem.message for problem in taken[0].problems}
        return [problem for problem in taken[1].problems if problem.message not in known]

    def text(self, image: Image) -> str:
        """What the image's Dockerfile says once it is rendered."""
        path = image.path
        return self.rendered.get(path, self.after.dockerfiles.get(path, ""))


def inputs(of: Comparison, image: Image) -> Iterator[str]:
    """Yield what of an image's own inputs to rendering changed: templates, settings, pins."""
    old = of.earlier.get(image.name)
    if old is None:
        yield "new image"
        return
    if old.template != image.template:
        yield f"template {TEMPLATES}/{old.template} → {TEMPLATES}/{image.template}"
    else:
        yield from (f"template {TEMPLATES}/{name}" for name in of.templates(image))
    yield from _pins(of, old, image)
    if old is not image:  # it is, where nothing that a catalog is loaded from changed
        yield from _settings(of, old, image)


def _pins(of: Comparison, old: Image, new: Image) -> Iterator[str]:
    """Yield the parents that are others now, or have another pin for the platform of their stage."""
    before, after = _stages(old), _stages(new)
    for stage, parent in after.items():
        was = before.get(stage)
        if was and was.key != parent.key:
            yield f"parent {was.key} → {parent.key}"
        elif was and of.before.lock.pin(was) != of.after.lock.pin(parent):
            yield f"pin of {parent.key}"


def _settings(of: Comparison, old: Image, new: Image) -> Iterator[str]:
    found = [
        *_differing("variable", old.variables, new.variables),
        *_differing("label", old.labels, new.labels),
    ]
    packages = ({one.name: one.version for one in side.packages} for side in (old, new))
    found += _differing("package", *packages)
    stages = ([(name, parent.platform) for name, parent in _stages(one).items()] for one in (old, new))
    if operator.ne(*stages):
        found.append("parents of its stages")
    if old.family.description != new.family.description:
        found.append("description")
    for name in ("registry", "mirrors"):
        if getattr(of.old, name) != getattr(of.new, name):
            found.append(f"{name} of the catalog")
    options = ((one.family.jinja, one.family.snippets, one.end_of_life) for one in (old, new))
    if len({*options}) > 1:
        found.append("settings of its family")
    yield from found or _order(old, new)


def _order(old: Image, new: Image) -> Iterator[str]:
    """A template sees in which order things stand, and whether 1 is a number, a text or a switch."""
    written = (
        repr((one.variables, one.labels, [(package.name, package.version) for package in one.packages]))
        for one in (old, new)
    )
    if operator.ne(*written):
        yield "order or types of its settings"


def _stages(image: Image) -> dict[str, Parent]:
    """The parents of all stages by name, that of the image itself first."""
    return {"": image.parent, **image.parents}


def _differing_paths(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """List the paths that differ; a folder only if nothing in it does."""
    paths = sorted(path for path in {*old, *new} if old.get(path) != new.get(path))
    inside = {str(above) for path in paths for above in PurePosixPath(path).parents}
    return [path for path in paths if path not in inside]


def _differing(what: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name not in old or name not in new or old[name] != new[name]:
            yield f"{what} {name}"


def _reasons(of: Comparison, image: Image, rebuilt: Mapping[str, object]) -> Iterator[str]:
    if image.name not in of.earlier:
        yield "new image"  # all else about it is new too
        return
    path, text = image.path, of.text(image)
    # What is committed is what gets built, and what is rendered is what will be committed.
    same = of.before.dockerfiles.get(path, "") == of.after.dockerfiles.get(path, "") == text
    if not same or path in of.unrendered:
        edited = of.before.dockerfiles.get(path) != of.after.dockerfiles.get(path)
        yield from [*inputs(of, image)] or [f"Dockerfile {'edited' if edited else 'not rendered'}"]
    yield from (f"context file {path}" for path in of.context(image))
    for name in _BUILT_WITH:
        if getattr(of.old, name) != getattr(of.new, name):
            yield f"{name} of the catalog"
    for parent in image.all_parents:
        own = find(parent, of.new.versions)
        if own and own.name in rebuilt:
            yield f"rebuild of {own.name}"


def radius(of: Comparison, seconds: Mapping[str, float]) -> Radius:
    """Find every image that is built again, in build order, with the reasons of each."""
    rebuilt: dict[str, Rebuild] = {}
    for image in in_order(of.new.images):
        reasons = tuple(dict.fromkeys(_reasons(of, image, rebuilt)))
        if reasons:
            known = seconds.get(image.name)
            rebuilt[image.name] = Rebuild(image=image.name, reasons=reasons, seconds=known)
    left = {image.name for image in of.new.images}
    return Radius(
        rebuilt=tuple(rebuilt.values()),
        removed=tuple(name for name in of.earlier if name not in left),
        untouched=len(left) - len(rebuilt),
    )
