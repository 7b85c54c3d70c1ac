"""The rules for templates and settings: unused, undefined and lost ones, and unused `ignore` entries."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dfgen.catalog import schema
from dfgen.catalog.layers import Layer, ignore_place, ignored
from dfgen.catalog.model import TEMPLATES, Image
from dfgen.commands.lint.records import RULES, Usages, finding
from dfgen.dockerfile.ignore import PatternError, glob
from dfgen.dockerfile.sources import context_sources
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
# A template that names another kind of file than a Dockerfile: nginx.conf.j2, but not java.Dockerfile.j2.
_OTHER_FILE = re.compile(r"\.(?!dockerfile\.)[a-z]\w*\.(?:j2|jinja2?)$", re.IGNORECASE)
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


def unused_templates(
    usages: Usages, images: Sequence[Image], dockerfile: Callable[[Image], str]
) -> Iterator[Finding]:
    """Report templates that no image uses; `dockerfile` returns the text of an image, "" if it has none.

    Other programs render the templates of other files, for example entrypoint.sh.j2, and copied ones.
    """
    wanted = {image.template for image in images}
    used = {usage.template for name in wanted for usage in _used_by(name, usages)}
    unused = [name for name in usages if name not in used and _SUFFIX.search(name)]
    copied = _copied(images, dockerfile) if unused else ()
    for name in unused:
        usage = usages[name]
        if not _OTHER_FILE.search(name) and not any(one.fullmatch(f"{TEMPLATES}/{name}") for one in copied):
            message = "no family uses this template; remove it"
            yield finding("unused-template", message, _place(usage, 0))


def overridden_platforms(images: Iterable[Image]) -> Iterator[Finding]:
    """Report settings of a platform that a version replaces for all platforms.

    A version counts more than a platform of the family, which is easily overlooked.
    """
    for image in images:
        for path, (*earlier, (value, layer)) in _set_by(image).items():
            lost = [one for one in earlier if one[1].path[:1] == ("platforms",)]
            for_all = layer.path[:1] in (("versions",), ("matrix",)) and "platforms" not in layer.path
            if lost and for_all and lost[-1][0] != value:
                other, platform = lost[-1]
                message = (
                    f"{'.'.join(path)} {value!r} of the version replaces {other!r}, which"
                    f" {platform.place(*path)} sets for {image.platform}; set it under platforms of the"
                    " version, or remove one of them"
                )
                yield finding("overridden-platform", message, layer.place(*path))


def _set_by(image: Image) -> dict[tuple[str, ...], list[tuple[Any, Layer]]]:
    """Return all values of each setting, with the layers that set them; the last one counts."""
    found: dict[tuple[str, ...], list[tuple[Any, Layer]]] = {}
    for layer in image.layers:
        for key in ("parent", "template"):
            if layer.settings.get(key) is not None:
                found.setdefault((key,), []).append((layer.settings[key], layer))
        for key in ("variables", "labels", "parents"):
            for name, value in (layer.settings.get(key) or {}).items():
                found.setdefault((key, name), []).append((value, layer))
    return found


def _copied(images: Iterable[Image], dockerfile: Callable[[Image], str]) -> list[re.Pattern[str]]:
    """Return patterns for the paths that images read from contexts which contain templates."""
    found: dict[str, re.Pattern[str]] = {}
    for image in images:
        context = str(image.family.context)
        if context in (".", TEMPLATES) or context.startswith(f"{TEMPLATES}/"):
            for source in context_sources(dockerfile(image), image.path, platform=image.platform):
                path = posixpath.normpath(posixpath.join(context, source.path))
                with suppress(PatternError):
                    text = glob(path).pattern if source.is_pattern else re.escape(path)
                    found[path] = re.compile(".*" if path == "." else f"(?:{text})(?:/.*)?")
    return [*found.values()]


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
