"""Lint: templates, the catalog and what they render, held against the rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from dfgen.catalog.model import TEMPLATES, Image
from dfgen.commands.lint import dockerfile as rules
from dfgen.commands.lint import parity, templates
from dfgen.commands.lint.dockerfile import Inherited
from dfgen.commands.lint.records import RULES, SAME, Hit
from dfgen.commands.lint.templates import BUILDKIT, HADOLINT, Usages, unused_ignores
from dfgen.dockerfile import Dockerfile, parse
from dfgen.errors import InputError, Place, Problem
from dfgen.findings import Finding, Level

_MANY_ALIKE = re.compile(r"sha256:[0-9a-f]{64}|linux/[a-z0-9/]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What lint works with.

    `render` gives the whole text of an image's Dockerfile, also of one that takes what is not pinned;
    it raises InputError. `origins` give for each line of it the template's, None for those of the header.
    `variables` are all that an image's template may read. `hadolint` checks files of these texts, by path;
    `buildkit` checks those that lie rendered.
    """

    render: Callable[[Image], str]
    origins: Callable[[Image], Sequence[Place | None]]
    variables: Callable[[Image], Collection[str]]
    usages: Usages
    functions: frozenset[str]
    hadolint: Callable[[Mapping[str, str]], Iterable[tuple[str, Hit, Level]]] | None = None
    buildkit: Callable[[], Iterable[tuple[str, Hit, Level]]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What was found, sorted by place; one finding stands for all files that have it, and says how many."""

    findings: tuple[Finding, ...]
    files: int

    def fails(self, *, strict: bool) -> bool:
        """Whether a finding is an error, or, when strict, a warning."""
        failing = (Level.ERROR, Level.WARNING) if strict else (Level.ERROR,)
        return any(one.level in failing for one in self.findings)


@dataclass(slots=True, eq=False)
class _Group:
    """The same hit in the Dockerfiles of one family and template."""

    image: Image
    hit: Hit
    level: Level
    count: int = 0


@dataclass(slots=True, eq=False)
class _Lint:
    sources: Sources
    images: Sequence[Image]
    everything: Sequence[Image]
    texts: dict[str, str] = field(default_factory=dict)
    parsed: dict[str, Dockerfile] = field(default_factory=dict)
    own: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    known: set[tuple[str, str]] = field(default_factory=set)  # what hadolint cannot know better, by file
    findings: list[tuple[Image | None, Finding]] = field(default_factory=list)
    groups: dict[tuple[object, ...], _Group] = field(default_factory=dict)

    def read(self) -> None:
        """Render and parse every file, once each."""
        for image in self.images:
            path = str(image.dockerfile)
            try:
                self.texts[path] = self.sources.render(image)
                self.parsed[path] = parse(self.texts[path], path)
            except InputError as error:
                self.texts.pop(path, None)
                self.unreadable(image, error.problems)

    def unreadable(self, image: Image, problems: Iterable[Problem]) -> None:
        """Tell what is wrong with a template, or with what it renders."""
        hits: list[tuple[Hit, Level]] = []
        for one in problems:
            place = one.place or Place(f"{TEMPLATES}/{image.template}")
            if place.file == str(image.dockerfile):
                hit = Hit(rule="does-not-render", message=one.message, line=place.line)
                hits.append((hit, RULES[hit.rule]))
            else:
                self.find(image, "does-not-render", one.message, place)
        self.hits(image, hits)

    def dockerfile(self, image: Image) -> Dockerfile | None:
        """The Dockerfile of an image that others are built on, looked at itself or not."""
        path = str(image.dockerfile)
        if path in self.parsed:
            return self.parsed[path]
        with suppress(InputError):
            return parse(self.sources.render(image), path)
        return None

    def find(self, image: Image | None, rule: str, message: str, place: Place) -> None:
        """Add a finding at a place of its own: no file like it is grouped with it."""
        finding = Finding(rule=rule, level=RULES[rule], message=message, place=place)
        self.findings.append((image, finding))

    def hits(self, image: Image, found: Iterable[tuple[Hit, Level]]) -> None:
        """Add the hits of one file to those of the others that are alike."""
        seen: dict[tuple[object, ...], int] = {}
        for hit, level in found:
            alike = _MANY_ALIKE.sub("", hit.message)
            key = (hit.rule, alike, image.template, image.family.name)
            seen[key] = seen.get(key, 0) + 1
            group = self.groups.setdefault((*key, seen[key]), _Group(image, hit, level))
            group.count += 1

    def check(self) -> None:
        """Hold every file, and the platforms of every version, against the rules."""
        inherited = Inherited(self.everything, self.dockerfile)
        for image in self.images:
            dockerfile = self.parsed.get(str(image.dockerfile))
            if dockerfile:
                above = inherited.above(image)
                own = rules.check(dockerfile, above)
                if any("pipefail" in shell for shell in above.shells.values()):
                    self.known.add(("DL4006", str(image.dockerfile)))
                self.own[str(image.dockerfile)] = {(hit.rule, hit.line) for hit in own}
                self.hits(image, ((hit, RULES[hit.rule]) for hit in own))
            for parent in image.all_parents:
                if parent.reference.tag == "latest" and not parent.family:
                    message = f"parent {parent.key} is another image tomorrow; name a version"
                    self.find(image, "latest-tag", message, parent.place)

    def add(self, foreign: Iterable[tuple[str, Hit, Level]]) -> None:
        """Add what hadolint found, less what a rule of dfgen's own says of the same line."""
        images = {str(image.dockerfile): image for image in self.images}
        found: dict[str, list[tuple[Hit, Level]]] = {}
        for path, hit, level in foreign:
            is_said = (SAME.get(hit.rule, ""), hit.line) in self.own[path] or (hit.rule, path) in self.known
            if not is_said or hit.rule in images[path].family.lint:
                found.setdefault(path, []).append((hit, level))
        for path, hits in found.items():
            self.hits(images[path], hits)

    def compare(self) -> None:
        """Compare the platforms of each version, each with the first."""
        versions: dict[str, list[Image]] = {}
        for image in self.images:
            versions.setdefault(image.merged_name, []).append(image)
        for first, *others in versions.values():
            for other in others:
                if first.template == other.template:
                    found = [*self.parity(first, other)]
                    for side, image in enumerate((first, other)):
                        self.hits(image, ((hit, RULES[hit.rule]) for at, hit in found if at == side))

    def parity(self, here: Image, there: Image) -> Iterator[tuple[int, Hit]]:
        """Find what differs by more than each platform's own values explain; 0 is `here`, 1 is `there`."""
        mine, theirs = (self.parsed.get(str(image.dockerfile)) for image in (here, there))
        platforms = here.platform, there.platform
        if not mine or not theirs or not any(parity.differences(mine, theirs, platforms)):
            return
        # What the other image has, on this platform: what differs still is declared nowhere.
        try:
            text = self.sources.render(replace(there, platform=here.platform))
            swapped = parse(text, str(here.dockerfile))
        except InputError:
            return
        own = {one.text: one.line for one in mine.instructions}
        for side, hit in parity.differences(swapped, theirs, platforms, own=mine):
            shown = next((one.text for one in swapped.instructions if one.line == hit.line), "")
            yield side, hit if side else replace(hit, line=own.get(shown, 0))

    def origin(self, image: Image, line: int) -> Place:
        """Find the template's line of a line of an image's Dockerfile."""
        origins: Sequence[Place | None] = ()
        with suppress(InputError):
            origins = self.sources.origins(image)
        found = origins[line - 1] if 0 < line <= len(origins) else None
        return found or Place(f"{TEMPLATES}/{image.template}")

    def place(self, group: _Group) -> Finding:
        """Find the template's line of a group's first file."""
        path, line = str(group.image.dockerfile), group.hit.line
        return Finding(
            rule=group.hit.rule,
            level=group.level,
            message=group.hit.message + (f" (in {group.count} files)" if group.count > 1 else ""),
            place=self.origin(group.image, line),
            generated=Place(path, line) if line else Place(path),
        )

    def ignored(self) -> tuple[list[Finding], set[tuple[str, str]]]:
        """Part what is to be told from what a family has switched off; the second are family and rule."""
        used: set[tuple[str, str]] = set()
        kept: list[Finding] = []
        for group in self.groups.values():
            if group.hit.rule in group.image.family.lint:
                used.add((group.image.family.name, group.hit.rule))
            else:
                kept.append(self.place(group))
        for image, finding in self.findings:
            if image and finding.rule in image.family.lint:
                used.add((image.family.name, finding.rule))
            else:
                kept.append(finding)
        return kept, used


def _templates(
    found: _Lint, everything: Sequence[Image], *, whole: bool
) -> Iterator[tuple[Image | None, Finding]]:
    """What templates and families define and use; what nobody uses only where all of it is looked at."""
    usages, sources = found.sources.usages, found.sources
    families: dict[str, list[Image]] = {}
    for image in everything:
        families.setdefault(image.family.name, []).append(image)
    chosen = {image.family.name for image in found.images}
    for name in families.keys() & chosen:
        images = families[name]
        given: dict[str, set[str]] = {}
        for image in images:
            given.setdefault(image.template, set()).update(sources.variables(image))
        for finding in templates.undefined_variables(usages, given, sources.functions):
            yield images[0], finding
        for finding in templates.unused_variables(usages, images, shared=False):
            yield images[0], finding
    if whole:
        for finding in (
            *templates.unused_macros(usages),
            *templates.unused_blocks(usages),
            *templates.unused_templates(usages, everything),
            *templates.unused_variables(usages, everything, shared=True),
        ):
            yield None, finding


def uneven(images: Sequence[Image], sources: Sources) -> tuple[Finding, ...]:
    """Find only what `lint` says of differences between the platforms of a version."""
    found = _Lint(sources, images, images)
    found.read()
    found.compare()
    kept, _ = found.ignored()
    return tuple(dict.fromkeys(one for one in kept if one.rule == "arch-parity"))


def lint(images: Sequence[Image], everything: Sequence[Image], sources: Sources, *, whole: bool) -> Linted:
    """Check the images, of all that the catalog has; what is wrong is found, never raised.

    `whole` when nothing was selected: what nobody uses is looked for too.
    """
    found = _Lint(sources, images, everything)
    found.read()
    found.check()
    found.compare()
    if sources.hadolint:
        found.add(sources.hadolint(found.texts))
    if sources.buildkit:
        found.add(sources.buildkit())
    found.findings += _templates(found, everything, whole=whole)
    kept, used = found.ignored()
    ran = {HADOLINT: sources.hadolint is not None, BUILDKIT: sources.buildkit is not None}
    kept += unused_ignores(images, everything, used, ran)
    findings = sorted(dict.fromkeys(kept), key=lambda one: (one.place, one.rule, one.message))
    return Linted(findings=tuple(findings), files=len(images))
