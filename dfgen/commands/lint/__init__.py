"""Check templates, the catalog and the Dockerfiles they render against the lint rules.

Each Dockerfile is rendered and parsed once. A finding points at the line of the template that renders the
reported line; equal findings in the Dockerfiles of one family are reported once, with their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from dfgen.catalog import lifetime
from dfgen.catalog.layers import Layers, ignore_place, ignored
from dfgen.catalog.model import BASES, TEMPLATES, Image, by_version
from dfgen.commands.lint import dockerfile as rules
from dfgen.commands.lint import parity, templates
from dfgen.commands.lint.records import EQUIVALENT, RULES, ExternalHit, Hit, Sources, finding
from dfgen.commands.render import whitespace_hint
from dfgen.dockerfile import Dockerfile, parse
from dfgen.errors import InputError, Place, Problem
from dfgen.findings import Finding, Level

_OF_BROKEN_LINES = ("line-break", "unknown-instruction")
# Messages that differ only in these are the same finding in another Dockerfile.
_VARYING = re.compile(r"sha256:[0-9a-f]{64}|linux/[a-z0-9/]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """The findings, sorted by place, and the number of checked Dockerfiles.

    `unchecked` are the Dockerfiles that BuildKit was asked to check but could not, and why.
    """

    findings: tuple[Finding, ...]
    files: int
    unchecked: tuple[Problem, ...] = ()

    def fails(self, *, strict: bool) -> bool:
        """Whether a finding is an error, or with `strict` a warning."""
        failing = (Level.ERROR, Level.WARNING) if strict else (Level.ERROR,)
        return any(one.level in failing for one in self.findings)


def lint(
    images: Sequence[Image],
    everything: Sequence[Image],
    sources: Sources,
    *,
    is_complete: bool,
    today: str,
    strict: bool,
) -> Linted:
    """Check images; `everything` are all images of the catalog. Problems become findings, not errors.

    `is_complete` if nothing was selected; only then are unused macros, blocks, templates and shared variables
    reported. `today` is a date, YYYY-MM-DD. With `strict`, a version past its end of life is an error.
    """
    run = _Lint(sources, images, everything)
    run.render()
    run.check_dockerfiles()
    run.check_contexts()
    run.compare_platforms()
    if sources.hadolint:
        run.add_external(sources.hadolint(run.texts))
    unchecked: Sequence[Problem] = ()
    if sources.buildkit:
        hits, unchecked = sources.buildkit(run.texts)
        run.add_external(hits)
    run.check_templates(is_complete=is_complete)
    # A child whose parent is not built yet is not among `images`, but its lifetime is known.
    run.check_lifetimes(everything if is_complete else images, today, strict=strict)
    kept, used = run.without_ignored()
    ran = {
        templates.HADOLINT: sources.hadolint is not None,
        templates.BUILDKIT: sources.buildkit is not None and not unchecked,
    }
    kept += templates.unused_ignores(images, everything, used, ran)
    findings = sorted(dict.fromkeys(kept), key=lambda one: (one.place, one.rule, one.message))
    return Linted(findings=tuple(findings), files=len(images), unchecked=tuple(unchecked))


def arch_parity(images: Sequence[Image], sources: Sources) -> tuple[Finding, ...]:
    """Return the findings of the rule `arch-parity` alone."""
    run = _Lint(sources, images, images)
    run.render()
    run.compare_platforms()
    kept, _ = run.without_ignored()
    return tuple(dict.fromkeys(one for one in kept if one.rule == "arch-parity"))


@dataclass(slots=True, eq=False)
class _Group:
    """Equal hits in the Dockerfiles of one family and template; `image` is that of the first one."""

    image: Image
    hit: Hit
    level: Level
    count: int = 0


@dataclass(slots=True, eq=False)
class _Lint:
    """One run of lint; `texts`, `parsed` and `own_hits` are by the path of a Dockerfile."""

    sources: Sources
    images: Sequence[Image]
    everything: Sequence[Image]
    texts: dict[str, str] = field(default_factory=dict)
    parsed: dict[str, Dockerfile] = field(default_factory=dict)
    own_hits: dict[str, set[tuple[str, int]]] = field(default_factory=dict)  # rule and line
    # External rules, with a path, that dfgen can judge better since it knows the parents in the catalog.
    overruled: set[tuple[str, str]] = field(default_factory=set)
    # Findings with the layers whose `ignore` entries apply to them: those of an image, or of its family only.
    findings: list[tuple[Layers, Finding]] = field(default_factory=list)
    groups: dict[tuple[object, ...], _Group] = field(default_factory=dict)
    used: set[Place] = field(default_factory=set)  # `ignore` entries that apply to a finding

    def render(self) -> None:
        """Render and parse the Dockerfile of each image."""
        for image in self.images:
            try:
                self.texts[image.path] = self.sources.render(image)
                self.parsed[image.path] = parse(self.texts[image.path], image.path)
            except InputError as error:
                self.texts.pop(image.path, None)
                self._add_problems(image, error.problems, "does-not-render")

    def check_dockerfiles(self) -> None:
        """Check each Dockerfile, and the tags of upstream parents, against dfgen's rules."""
        inheritance = rules.Inheritance(self.everything, self._dockerfile)
        for image in self.images:
            if dockerfile := self.parsed.get(image.path):
                inherited = inheritance.of(image)
                hits = [
                    *rules.check(dockerfile, inherited),
                    *rules.line_break(dockerfile, self.texts[image.path], inherited),
                ]
                hits = self._with_whitespace_hints(image, dockerfile, hits)
                # hadolint does not know that a parent in the catalog sets pipefail.
                if any("pipefail" in shell for shell in inherited.shells.values()):
                    self.overruled.add(("DL4006", image.path))
                self.own_hits[image.path] = {(hit.rule, hit.line) for hit in hits}
                self._add_hits(image, ((hit, RULES[hit.rule]) for hit in hits))
            for parent in image.all_parents:
                if parent.reference.tag == "latest" and not parent.family:
                    message = f"parent {parent.key} changes without notice; use a version tag"
                    self.findings.append((image.layers, finding("latest-tag", message, parent.place)))

    def check_contexts(self) -> None:
        """Report what BuildKit would reject in the context of each Dockerfile, for example a missing file."""
        reader = self.sources.context(self.texts)
        for image in self.images:
            if image.path in self.parsed:
                self._add_problems(image, reader.inputs(image).problems, "context")

    def compare_platforms(self) -> None:
        """Compare the Dockerfile of each platform with that of the version's first platform."""
        for first, *others in by_version(self.images).values():
            for other in (one for one in others if one.template == first.template):
                found = [*self._differences(first, other)]
                for side, image in enumerate((first, other)):
                    self._add_hits(image, ((hit, RULES[hit.rule]) for at, hit in found if at == side))

    def add_external(self, external: Iterable[ExternalHit]) -> None:
        """Add the hits of hadolint or BuildKit that no equivalent rule of dfgen reports for the same line."""
        images = {image.path: image for image in self.images}
        found: dict[str, list[tuple[Hit, Level]]] = {}
        for path, hit, level in external:
            equivalent = (EQUIVALENT.get(hit.rule, ""), hit.line)
            is_duplicate = equivalent in self.own_hits[path] or (hit.rule, path) in self.overruled
            # A hit that the family ignores is kept, so that its `ignore` entry counts as used.
            if not is_duplicate or hit.rule in ignored(images[path].layers):
                found.setdefault(path, []).append((hit, level))
        for path, hits in found.items():
            self._add_hits(images[path], hits)

    def check_templates(self, *, is_complete: bool) -> None:
        """Check the templates and variables of each family; those of all families if `is_complete`."""
        usages, everything = self.sources.usages, self.everything
        families: dict[str, list[Image]] = {}
        for image in everything:
            families.setdefault(image.family.name, []).append(image)
        for name in families.keys() & {image.family.name for image in self.images}:
            images = families[name]
            defined: dict[str, set[str]] = {}
            for image in images:
                defined.setdefault(image.template, set()).update(self.sources.variables(image))
            for one in (
                *templates.undefined_variables(usages, defined, self.sources.functions),
                *templates.unused_variables(usages, images, shared=False),
                *templates.overridden_platforms(images),
            ):
                self.findings.append((_of_family(images[0]), one))
        if is_complete:
            for one in (
                *templates.unused_macros(usages),
                *templates.unused_blocks(usages),
                *templates.unused_templates(usages, everything, lambda image: self.texts.get(image.path, "")),
                *templates.unused_variables(usages, everything, shared=True),
            ):
                self.findings.append(((), one))
            for stray in self.sources.strays():
                place = stray.place or Place(BASES)
                self.findings.append(((), finding("no-family", stray.message, place)))

    def check_lifetimes(self, images: Sequence[Image], today: str, *, strict: bool) -> None:
        """Report versions that end soon or have ended, and those that outlive a parent."""
        for one in lifetime.endings(images, self.everything, today):
            found = finding("end-of-life", one.message, one.place)
            level = Level.ERROR if strict and one.is_over else found.level
            self.findings.append((one.image.layers, replace(found, level=level)))

    def without_ignored(self) -> tuple[list[Finding], set[Place]]:
        """Return the findings that are not ignored, and the places of the `ignore` entries in use."""
        kept = [self._finding(group) for group in self.groups.values()]
        for layers, one in self.findings:
            if not self._is_ignored(layers, one.rule):
                kept.append(one)
        return kept, self.used

    def _is_ignored(self, layers: Layers, rule: str) -> bool:
        """Whether an `ignore` entry applies; if so, it counts as used."""
        found = ignored(layers).get(rule)
        if found:
            self.used.add(ignore_place(rule, found[1]))
        return found is not None

    def _with_whitespace_hints(self, image: Image, dockerfile: Dockerfile, hits: list[Hit]) -> list[Hit]:
        """Name the `jinja:` setting if Jinja2's own white space options avoid all broken lines."""
        text = self.texts[image.path]
        broken = [hit for hit in hits if hit.rule in _OF_BROKEN_LINES]
        if not broken and not rules.may_have_lost_a_line_break(text):
            return hits
        complete = self.sources.with_jinja_whitespace(image)
        if complete is None:
            return hits
        other = parse(complete, image.path)
        if any(rules.unknown_instruction(other)) or any(rules.line_break(other, complete)):
            return hits
        lines = {hit.line for hit in broken}
        lost = rules.lost_line_breaks(text, complete, dockerfile.escape)
        broken += [hit for hit in lost if hit.line not in lines]
        hint = whitespace_hint(image)
        others = [hit for hit in hits if hit.rule not in _OF_BROKEN_LINES]
        messages = (hit.message.removesuffix(rules.BREAK_THE_LINE) + hint for hit in broken)
        hinted = (replace(hit, message=text) for hit, text in zip(broken, messages, strict=True))
        return [*others, *hinted]

    def _add_problems(self, image: Image, problems: Iterable[Problem], rule: str) -> None:
        """Report errors in a template, in the Dockerfile that it renders, or in its context."""
        hits: list[tuple[Hit, Level]] = []
        is_broken = rule == "does-not-render"  # a file that is missing has nothing to do with white space
        hint = whitespace_hint(image) if is_broken and self.sources.with_jinja_whitespace(image) else ""
        for one in problems:
            place = one.place or Place(f"{TEMPLATES}/{image.template}")
            if place.file == image.path:
                hit = Hit(rule=rule, message=one.message + hint, line=place.line)
                hits.append((hit, RULES[hit.rule]))
            else:
                self.findings.append((image.layers, finding(rule, one.message + hint, place)))
        self._add_hits(image, hits)

    def _add_hits(self, image: Image, found: Iterable[tuple[Hit, Level]]) -> None:
        """Add the hits of one Dockerfile that are not ignored, each to the group of equal ones in others."""
        seen: dict[tuple[object, ...], int] = {}
        for hit, level in found:
            if self._is_ignored(image.layers, hit.rule):
                continue
            key = (hit.rule, _VARYING.sub("", hit.message), image.template, image.family.name)
            # The count keeps equal hits in one Dockerfile apart: the second joins the second ones of others.
            seen[key] = seen.get(key, 0) + 1
            group = self.groups.setdefault((*key, seen[key]), _Group(image, hit, level))
            group.count += 1

    def _dockerfile(self, image: Image) -> Dockerfile | None:
        """Return the Dockerfile of a parent, even if it was not selected; None if it does not render."""
        if image.path in self.parsed:
            return self.parsed[image.path]
        with suppress(InputError):
            return parse(self.sources.render(image), image.path)
        return None

    def _differences(self, here: Image, there: Image) -> Iterator[tuple[int, Hit]]:
        """Yield undeclared differences, each with the image that it is reported for: 0 `here`, 1 `there`."""
        mine, theirs = (self.parsed.get(image.path) for image in (here, there))
        platforms = here.platform, there.platform
        if not mine or not theirs or not any(parity.differences(mine, theirs, platforms)):
            return
        # Render the settings of `there` on the platform of `here`: any difference that remains is not
        # declared in the catalog.
        try:
            swapped = parse(self.sources.render(replace(there, platform=here.platform)), here.path)
        except InputError:
            return
        lines = {one.text: one.line for one in mine.instructions}
        for side, hit in parity.differences(swapped, theirs, platforms, own=mine):
            text = next((one.text for one in swapped.instructions if one.line == hit.line), "")
            yield side, hit if side else replace(hit, line=lines.get(text, 0))

    def _finding(self, group: _Group) -> Finding:
        """Return the finding of a group, at the template line of its first hit."""
        image, line = group.image, group.hit.line
        return Finding(
            rule=group.hit.rule,
            level=group.level,
            message=group.hit.message + (f" (in {group.count} files)" if group.count > 1 else ""),
            place=self._template_line(image, line),
            generated=Place(image.path, line) if line else Place(image.path),
        )

    def _template_line(self, image: Image, line: int) -> Place:
        """Return the template line of a line of a Dockerfile, or the template if the line is not known."""
        origins: Sequence[Place | None] = ()
        with suppress(InputError):
            origins = self.sources.origins(image)
        found = origins[line - 1] if 0 < line <= len(origins) else None
        return found or Place(f"{TEMPLATES}/{image.template}")


def _of_family(image: Image) -> Layers:
    """Return the layers that all versions of a family share: those of catalog.yaml and of base.yaml."""
    return image.layers[:2]
