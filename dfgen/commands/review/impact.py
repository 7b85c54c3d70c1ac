"""The impact of a change: which images are rebuilt, and why, through the catalog's graph."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from dfgen.catalog import packagelock
from dfgen.catalog.context import BuildInputs, ContextReader
from dfgen.catalog.graph import find, in_order
from dfgen.catalog.lockfile import LOCK_FILE
from dfgen.catalog.model import TEMPLATES, Catalog, Image
from dfgen.catalog.packagelock import Move, PackageLock
from dfgen.commands.review.records import Impact, Rebuild, State
from dfgen.errors import InputError, Problem
from dfgen.filetree import printable_path, within
from dfgen.templating.usage import TemplateUsage, made_from, usages

_NOTHING = BuildInputs(dockerfile=None, files={})
_BUILD_SETTINGS = ("source_date_epoch", "provenance", "sbom")  # not visible in any Dockerfile


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two states whose catalogs both load, and the rendered Dockerfiles of the new one.

    `unrendered` are the paths of changed Dockerfiles that cannot be rendered yet: their parent is not built,
    or rendering fails. `waiting` are the texts, without the digest of a parent, of all that wait for a build.
    """

    before: State
    after: State
    old: Catalog
    new: Catalog
    rendered: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    unrendered: frozenset[str] = frozenset()

    @cached_property
    def earlier(self) -> Mapping[str, Image]:
        """The images of the old state, by name."""
        return {image.name: image for image in self.old.images}

    @cached_property
    def changed_files(self) -> frozenset[str]:
        """The context files that were added, removed or changed."""
        old, new = self.before.files, self.after.files
        return frozenset(path for path in {*old, *new} if old.get(path) != new.get(path))

    @cached_property
    def changed_templates(self) -> frozenset[str]:
        """The templates that were added, removed or changed."""
        old, new = self.before.templates, self.after.templates
        return frozenset(name for name in {*old, *new} if old.get(name) != new.get(name))

    @cached_property
    def _usages(self) -> tuple[dict[str, TemplateUsage], dict[str, TemplateUsage]]:
        return usages(self.before.templates), usages(self.after.templates)

    @cached_property
    def _made_from(self) -> dict[str, list[str]]:
        return {}

    def templates(self, image: Image) -> list[str]:
        """Return the changed templates from which an image is rendered."""
        if not self.changed_templates:
            return []
        name = image.template
        if name not in self._made_from:
            both = frozenset[str]().union(*(made_from(name, side) for side in self._usages))
            self._made_from[name] = sorted(both & self.changed_templates)
        return self._made_from[name]

    @cached_property
    def _readers(self) -> tuple[ContextReader, ContextReader] | None:
        """The context readers of both states; the new one reads the rendered Dockerfiles."""
        before, after = self.before.context, self.after.context
        return (before, after.overlaid({**self.rendered, **self.waiting})) if before and after else None

    @cached_property
    def _changed_paths(self) -> frozenset[str]:
        """Every path that differs between the states and that a build may read."""
        old, new = self.before, self.after
        was = {**old.settings, **old.dockerfiles, LOCK_FILE: old.lock_text}
        now = {**new.settings, **new.dockerfiles, **self.rendered, LOCK_FILE: new.lock_text}
        texts = {path for path in {*was, *now} if was.get(path) != now.get(path)}
        return frozenset(texts | self.unrendered | self.changed_files)

    def _may_differ(self, old: Image, new: Image) -> bool:
        """Return whether an image may read other files than before; cheap, and False for most images."""
        if old.family.context != new.family.context or old.path in self._changed_paths:
            return True
        parents = (find(parent, self.new.versions) for parent in new.all_parents)
        if any(parent.path in self._changed_paths for parent in parents if parent):
            return True
        if new.family.name not in self._touched:
            folders = (str(new.family.context), str(new.family.folder))
            self._touched[new.family.name] = any(
                folder == "." or path.startswith(f"{folder}/")
                for path in self._changed_paths
                for folder in folders
            )
        return self._touched[new.family.name]

    @cached_property
    def _touched(self) -> dict[str, bool]:
        return {}

    def _taken(self, image: Image) -> tuple[BuildInputs, BuildInputs] | None:
        """Return what an image reads from its context in both states; None if it cannot differ."""
        if image.name not in self._taken_by:
            old = self.earlier.get(image.name)
            found = None
            if self._readers and (old is None or self._may_differ(old, image)):
                before, after = self._readers
                found = (before.inputs(old) if old else _NOTHING, after.inputs(image))
            self._taken_by[image.name] = found
        return self._taken_by[image.name]

    @cached_property
    def _taken_by(self) -> dict[str, tuple[BuildInputs, BuildInputs] | None]:
        return {}

    def context_changes(self, image: Image) -> list[str]:
        """Return the context files of an image that were added, removed or changed.

        Files that BuildKit would reject count too.
        """
        taken = self._taken(image)
        if taken is None or image.name not in self.earlier:
            return []
        was, now = taken
        paths = _differing_paths(was.files, now.files)
        root = str(image.family.context).removeprefix(".")
        version = f"{image.dockerfile.parent}/"
        named = [printable_path(path if path.startswith(version) else within(root, path)) for path in paths]
        if was.dockerfile != now.dockerfile:
            # A changed COPY may select other, unchanged files; the change of the Dockerfile already shows it.
            named = [path for path in named if path in self._changed_paths]
        return named

    def context_problems(self, image: Image) -> list[Problem]:
        """Return the problems of an image's context that BuildKit would reject, apart from old ones."""
        taken = self._taken(image)
        if taken is None or taken[1].dockerfile is None:
            return []
        old = {problem.message for problem in taken[0].problems}
        return [problem for problem in taken[1].problems if problem.message not in old]

    def package_locks(self, image: Image) -> tuple[PackageLock, PackageLock] | None:
        """Return an image's package locks in both states if they differ; None for a new or unreadable one."""
        path = image.package_lock
        before, after = (side.package_locks.get(path) for side in (self.before, self.after))
        if not image.locks_packages or before == after or before is None or after is None:
            return None
        try:
            return packagelock.parse(before, path), packagelock.parse(after, path)
        except InputError:  # reported as a risk, see `broken_package_locks`
            return None

    def package_moves(self, image: Image) -> list[Move]:
        """Return the packages that moved in an image's package lock."""
        locks = self.package_locks(image)
        return [*locks[1].moves_from(locks[0])] if locks else []

    def broken_package_locks(self) -> Iterator[Problem]:
        """Yield the problems of package locks that cannot be read."""
        for image in self.new.images:
            text = self.after.package_locks.get(image.package_lock)
            if image.locks_packages and text is not None:
                try:
                    packagelock.parse(text, image.package_lock)
                except InputError as error:
                    yield from error.problems

    def text(self, image: Image) -> str:
        """Return the text of the image's Dockerfile, rendered if possible."""
        path = image.path
        return self.rendered.get(path, self.after.dockerfiles.get(path, ""))


def inputs(of: Comparison, image: Image) -> Iterator[str]:
    """Yield the changed inputs of rendering an image: templates, settings, pins."""
    old = of.earlier.get(image.name)
    if old is None:
        yield "new image"
        return
    if old.template != image.template:
        yield f"template {TEMPLATES}/{old.template} → {TEMPLATES}/{image.template}"
    else:
        yield from (f"template {TEMPLATES}/{name}" for name in of.templates(image))
    yield from _pins(of, old, image)
    if old is not image:  # unchanged settings are loaded once, for both states
        yield from _settings(of, old, image)


def _pins(of: Comparison, old: Image, new: Image) -> Iterator[str]:
    """Yield the parents that were replaced, or whose pin for the platform of their stage changed."""
    before, after = old.stages, new.stages
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
    stages = ([(name, parent.platform) for name, parent in one.stages.items()] for one in (old, new))
    if operator.ne(*stages):
        found.append("stage parents")
    if old.family.description != new.family.description:
        found.append("description")
    for name in ("registry", "mirrors"):
        if getattr(of.old, name) != getattr(of.new, name):
            found.append(f"catalog setting {name}")
    options = ((one.family.jinja, one.family.snippets, one.end_of_life) for one in (old, new))
    if len({*options}) > 1:
        found.append("family settings")
    yield from found or _order(old, new)


def _order(old: Image, new: Image) -> Iterator[str]:
    # A template can read the order of settings, and tell the number 1 from the text "1" and from `true`.
    written = (
        repr((one.variables, one.labels, [(package.name, package.version) for package in one.packages]))
        for one in (old, new)
    )
    if operator.ne(*written):
        yield "order or types of settings"


def _differing_paths(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the paths that differ; a folder only if nothing inside of it differs."""
    paths = sorted(path for path in {*old, *new} if old.get(path) != new.get(path))
    inside = {str(above) for path in paths for above in PurePosixPath(path).parents}
    return [path for path in paths if path not in inside]


def _differing(what: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name not in old or name not in new or old[name] != new[name]:
            yield f"{what} {name}"


def _reasons(of: Comparison, image: Image, rebuilt: Mapping[str, object]) -> Iterator[str]:
    if image.name not in of.earlier:
        yield "new image"  # everything else about it is new, too
        return
    path, text = image.path, of.text(image)
    # The committed Dockerfile is built, and the rendered one will be committed.
    same = of.before.dockerfiles.get(path, "") == of.after.dockerfiles.get(path, "") == text
    if not same or path in of.unrendered:
        edited = of.before.dockerfiles.get(path) != of.after.dockerfiles.get(path)
        yield from [*inputs(of, image)] or [f"Dockerfile {'edited' if edited else 'not rendered'}"]
    yield from (f"context file {path}" for path in of.context_changes(image))
    if of.package_moves(image):
        yield "packages moved"
    for name in _BUILD_SETTINGS:
        if getattr(of.old, name) != getattr(of.new, name):
            yield f"catalog setting {name}"
    for parent in image.all_parents:
        own = find(parent, of.new.versions)
        if own and own.name in rebuilt:
            yield f"rebuild of {own.name}"


def impact_of(of: Comparison, seconds: Mapping[str, float]) -> Impact:
    """Return the images to build, in build order, each with its reasons and its entry in `seconds`."""
    rebuilt: dict[str, Rebuild] = {}
    for image in in_order(of.new.images):
        reasons = tuple(dict.fromkeys(_reasons(of, image, rebuilt)))
        if reasons:
            last = seconds.get(image.name)
            rebuilt[image.name] = Rebuild(image=image.name, reasons=reasons, seconds=last)
    left = {image.name for image in of.new.images}
    return Impact(
        rebuilt=tuple(rebuilt.values()),
        removed=tuple(name for name in of.earlier if name not in left),
        untouched=len(left) - len(rebuilt),
    )
