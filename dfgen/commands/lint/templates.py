"""The rules for templates and variables: unused ones, undefined ones, and unused `ignore` entries."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dfgen.catalog import schema
from dfgen.catalog.layers import ignore_place, ignored
from dfgen.catalog.model import TEMPLATES, Image
from dfgen.commands.lint.records import RULES, Usages, finding
from dfgen.errors import Place, nearest
from dfgen.findings import Finding
from dfgen.templating.usage import TemplateUsage, made_from

# Codes of hadolint and of ShellCheck, which hadolint contains, and the names of BuildKit's checks. Only a run
# of these programs shows whether such a rule is still needed.
HADOLINT = re.compile(r"(?:DL|SC)\d{4}")
BUILDKIT = re.compile(r"(?:[A-Z]+[a-z]+){2,}")

_WORD = re.compile(r"[A-Za-z_]\w*")
# Names that Jinja itself defines in macros, loops and blocks, also in templates that these include.
_SPECIAL = ("caller", "kwargs", "loop", "self", "super", "varargs")
_SUFFIX = re.compile(r"\.(?:j2|jinja2?)$")


def undefined_variables(
    usages: Usages, variables: Mapping[str, Collection[str]], functions: Collection[str]
) -> Iterator[Finding]:
    """Report variables that no version of a template's family defines.

    `variables` are those that any image defines, by its template; `functions` are the functions that every
    template can call.
    """
    reported: set[tuple[str, str]] = set()
    for template, given in variables.items():
        found = _used_by(template, usages)
        defined = {*given, *functions, *_SPECIAL, *(name for usage in found for name in usage.defined)}
        # A variable that a template tests with `is defined`, or has a default for, may be undefined.
        defined |= {name for usage in found for name in usage.optional}
        for usage in found:
            for name, line in usage.names.items():
                if name not in defined and (usage.template, name) not in reported:
                    reported.add((usage.template, name))
                    message = f"variable {name} is not defined in any version{nearest(name, sorted(given))}"
                    yield finding("undefined-variable", message, _place(usage, line))


def unused_variables(usages: Usages, images: Iterable[Image], *, shared: bool) -> Iterator[Finding]:
    """Report variables of a family's settings file, or with `shared` of catalog.yaml, that nothing uses.

    `images` are all images that the file applies to.
    """
    images = list(images)
    document = images[0].layers[0 if shared else 1].document
    read = {
        name
        for one in {image.template for image in images}
        for use in _used_by(one, usages)
        for name in use.reads
    }
    for layer in {id(image.layers[1].document): image.layers[1] for image in images}.values():
        read |= set(_words(layer.document.data))
    reported: set[str] = set()
    for path in document.keys:
        name = str(path[-1])
        is_variable = len(path) > 1 and path[-2] in ("variables", "axes")
        if is_variable and name not in read and name not in reported:
            reported.add(name)
            fix = f"move the setting {name} out of {path[-2]}" if name in schema.settings() else "remove it"
            message = f"variable {name} is not used by any template or text of the family; {fix}"
            yield finding("unused-variable", message, document.place(path, key=True))


def _words(value: Any, *, is_condition: bool = False) -> Iterator[str]:
    """Yield the words of all conditions, and of all texts with placeholders."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _words(str(key), is_condition=is_condition)
            yield from _words(item, is_condition=is_condition or key in ("when", "exclude"))
    elif isinstance(value, list):
        for item in value:
            yield from _words(item, is_condition=is_condition)
    elif isinstance(value, str) and (is_condition or "{" in value):
        yield from _WORD.findall(value)


def unused_macros(usages: Usages) -> Iterator[Finding]:
    """Report macros that no template calls."""
    called = {name for usage in usages.values() for name in usage.calls}
    if any(usage.is_opaque for usage in usages.values()):
        return
    for usage in usages.values():
        for name, line in usage.macros.items():
            if name not in called and not usage.is_computed:
                message = f"macro {name} is never called; remove it"
                yield finding("unused-macro", message, _place(usage, line))


def unused_blocks(usages: Usages) -> Iterator[Finding]:
    """Report blocks that exist in none of the extended templates, and so are never rendered."""
    for usage in usages.values():
        extended = _extended(usage, usages)
        if not extended or any(one.is_computed for one in (usage, *extended)):
            continue
        known = {name for one in extended for name in one.blocks}
        for name, line in usage.blocks.items():
            if name not in known and name not in usage.calls:
                hint = nearest(name, sorted(known))
                message = f"block {name} does not exist in any extended template{hint}; rename or remove it"
                yield finding("unused-block", message, _place(usage, line))


def _extended(usage: TemplateUsage, usages: Usages) -> list[TemplateUsage]:
    found: list[TemplateUsage] = []
    while usage.extends in usages and usages[usage.extends] not in found:
        usage = usages[usage.extends]
        found.append(usage)
    return found


def unused_templates(usages: Usages, images: Iterable[Image]) -> Iterator[Finding]:
    """Report templates that no image uses."""
    wanted = {image.template for image in images}
    used = {usage.template for name in wanted for usage in _used_by(name, usages)}
    for name, usage in usages.items():
        if name not in used and _SUFFIX.search(name):
            message = "no family uses this template; remove it"
            yield finding("unused-template", message, _place(usage, 0))


def unused_ignores(
    images: Sequence[Image],
    everything: Sequence[Image],
    used: Collection[Place],
    ran: Mapping[re.Pattern[str], bool],
) -> Iterator[Finding]:
    """Report `ignore` entries that match no finding, for families of which every image was checked.

    `used` are the places of the entries that did match. `ran` tells for each pattern of external rules
    whether the program that checks them ran.
    """
    selected = {id(image) for image in images}
    partial = {image.family.name for image in everything if id(image) not in selected}
    for image in {image.merged_name: image for image in images}.values():
        if image.family.name in partial:
            continue
        for rule, (_, layer) in ignored(image.layers).items():
            place = ignore_place(rule, layer)
            external = [pattern for pattern in ran if pattern.fullmatch(rule)]
            if place in used or not all(ran[pattern] for pattern in external):
                continue
            if rule in RULES or external:
                message = f"rule {rule} is ignored, but finds nothing; remove it"
            else:
                hint = nearest(rule, sorted(RULES))
                message = f"unknown rule {rule!r}{hint}; see docs/reference/lint.md"
            yield finding("unused-ignore", message, place)


def _used_by(template: str, usages: Usages) -> list[TemplateUsage]:
    """Return a template and the templates that it includes, imports or extends, as far as they are valid."""
    return [usages[name] for name in sorted(made_from(template, usages)) if name in usages]


def _place(usage: TemplateUsage, line: int) -> Place:
    return Place(f"{TEMPLATES}/{usage.template}", line)
