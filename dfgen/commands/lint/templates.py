"""What templates and families define and nobody uses, and what templates use and nobody defines."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dfgen.catalog.model import TEMPLATES, Image
from dfgen.commands.lint.records import RULES
from dfgen.errors import Place, nearest
from dfgen.findings import Finding
from dfgen.templating.usage import TemplateUsage, made_from

# Codes of hadolint and of ShellCheck, which it brings, and BuildKit's names of its checks: whether one was
# looked for is known where they ran.
HADOLINT = re.compile(r"(?:DL|SC)\d{4}")
BUILDKIT = re.compile(r"(?:[A-Z]+[a-z]+){2,}")


def unused_ignores(
    images: Sequence[Image],
    everything: Sequence[Image],
    used: set[tuple[str, str]],
    ran: Mapping[re.Pattern[str], bool],
) -> Iterator[Finding]:
    """What a family switches off and what was not found, where all of the family was looked at.

    `used` are families and rules of which something was found; `ran` says of which other program's codes that
    is known.
    """
    chosen = {id(image) for image in images}
    partial = {image.family.name for image in everything if id(image) not in chosen}
    for image in {image.family.name: image for image in images}.values():
        document = image.layers[1].document
        for rule in image.family.lint:
            whose = [pattern for pattern in ran if pattern.fullmatch(rule)]
            known = rule in RULES or whose
            looked = not any(not ran[pattern] for pattern in whose)
            if (image.family.name, rule) in used or image.family.name in partial or not looked:
                continue
            message = (
                f"{rule} is switched off, and nothing is found by it; remove it"
                if known
                else f"there is no rule {rule!r}{nearest(rule, sorted(RULES))}; docs/lint.md lists them"
            )
            place = document.place(("lint", "ignore", rule), key=True)
            yield Finding(rule="unused-ignore", level=RULES["unused-ignore"], message=message, place=place)


_WORD = re.compile(r"[A-Za-z_]\w*")
# What the language itself gives, also to what is included.
_SPECIAL = ("caller", "kwargs", "loop", "self", "super", "varargs")
_SUFFIX = re.compile(r"\.(?:j2|jinja2?)$")


Usages = Mapping[str, TemplateUsage]


def reached(template: str, usages: Usages) -> list[TemplateUsage]:
    """Return what is known of the templates that a template is made from."""
    return [usages[name] for name in sorted(made_from(template, usages)) if name in usages]


def _finding(rule: str, message: str, place: Place) -> Finding:
    return Finding(rule=rule, level=RULES[rule], message=message, place=place)


def _place(usage: TemplateUsage, line: int) -> Place:
    return Place(f"{TEMPLATES}/{usage.template}", line)


def unused_macros(usages: Usages) -> Iterator[Finding]:
    """A macro that no template calls."""
    called = {name for usage in usages.values() for name in usage.calls}
    if any(usage.is_opaque for usage in usages.values()):
        return
    for usage in usages.values():
        for name, line in usage.macros.items():
            if name not in called and not usage.is_computed:
                message = f"macro {name} is called nowhere; remove it"
                yield _finding("unused-macro", message, _place(usage, line))


def unused_blocks(usages: Usages) -> Iterator[Finding]:
    """A block that none of the templates has that its template extends, so that it is never rendered."""
    for usage in usages.values():
        above = _extended(usage, usages)
        if not above or any(one.is_computed for one in (usage, *above)):
            continue
        known = {name for one in above for name in one.blocks}
        for name, line in usage.blocks.items():
            if name not in known and name not in usage.calls:
                hint = nearest(name, sorted(known))
                message = f"block {name} is in none of the templates that this one extends{hint}; remove it"
                yield _finding("unused-block", message, _place(usage, line))


def _extended(usage: TemplateUsage, usages: Usages) -> list[TemplateUsage]:
    found: list[TemplateUsage] = []
    while usage.extends in usages and usages[usage.extends] not in found:
        usage = usages[usage.extends]
        found.append(usage)
    return found


def unused_templates(usages: Usages, images: Iterable[Image]) -> Iterator[Finding]:
    """A template that no image is made from."""
    wanted = {image.template for image in images}
    used = {usage.template for name in wanted for usage in reached(name, usages)}
    for name, usage in usages.items():
        if name not in used and _SUFFIX.search(name):
            message = "no family is made from this template; remove it"
            yield _finding("unused-template", message, _place(usage, 0))


def undefined_variables(
    usages: Usages, variables: Mapping[str, Collection[str]], known: Collection[str]
) -> Iterator[Finding]:
    """A variable that no version of a template's family defines.

    `variables` are all that any image defines, by the template it is made from; `known` are the functions
    that every template has.
    """
    told: set[tuple[str, str]] = set()
    for template, given in variables.items():
        found = reached(template, usages)
        here = {*given, *known, *_SPECIAL, *(name for usage in found for name in usage.defined)}
        # What a template asks for, or has a default for, may be left undefined by intent.
        here |= {name for usage in found for name in usage.optional}
        for usage in found:
            for name, line in usage.names.items():
                if name not in here and (usage.template, name) not in told:
                    told.add((usage.template, name))
                    message = f"{name} is defined by no version{nearest(name, sorted(given))}"
                    yield _finding("undefined-variable", message, _place(usage, line))


def unused_variables(usages: Usages, images: Iterable[Image], *, shared: bool) -> Iterator[Finding]:
    """A variable that the file of a family, or of all when `shared`, sets and that nothing reads.

    `images` are all those that the file is for.
    """
    images = list(images)
    document = images[0].layers[0 if shared else 1].document
    read = {
        name
        for one in {image.template for image in images}
        for use in reached(one, usages)
        for name in use.reads
    }
    for layer in {id(image.layers[1].document): image.layers[1] for image in images}.values():
        read |= set(_mentioned(layer.document.data))
    told: set[str] = set()
    for path in document.keys:
        name = str(path[-1])
        if len(path) > 1 and path[-2] in ("variables", "axes") and name not in read and name not in told:
            told.add(name)
            message = f"variable {name} is read by no template and in no text of the family; remove it"
            yield _finding("unused-variable", message, document.place(path, key=True))


def _mentioned(value: Any, *, is_condition: bool = False) -> Iterator[str]:
    """The words of every text that is filled in, and of every condition."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _mentioned(str(key), is_condition=is_condition)
            yield from _mentioned(item, is_condition=is_condition or key in ("when", "exclude"))
    elif isinstance(value, list):
        for item in value:
            yield from _mentioned(item, is_condition=is_condition)
    elif isinstance(value, str) and (is_condition or "{" in value):
        yield from _WORD.findall(value)
