"""Expand a family into images: merge layers, evaluate conditions, and fill in texts."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from dfgen.catalog import layers as settings
from dfgen.catalog import schema
from dfgen.catalog.layers import Layer, Layers
from dfgen.catalog.model import Family, Image, Parent, SmokeTest
from dfgen.catalog.variables import PlatformName, TemplatePlatform
from dfgen.catalog.versions import Version
from dfgen.catalog.yaml import Document
from dfgen.dockerfile.ignore import Pattern, PatternError
from dfgen.errors import Gathering, InputError, Place, Problem, listing, nearest, placed
from dfgen.oci.platform import Platform, aliases

DEFAULT_PLATFORMS = ("linux/amd64", "linux/arm64")

SCRATCH = "scratch"  # value of `parent` for images without one


_MAX_COMBINATIONS = 10_000  # of one matrix; a family of 2,000 versions is a large one
_MAX_COMPARISONS = 10_000_000  # of these with the entries of exclude or include: a few seconds

# Names that dfgen defines in every template; a catalog cannot use them for variables.
RESERVED = ("image", "parent", "parents")

Value = TypeVar("Value")
Combination = dict[str, Any]  # one value for each axis of a matrix, and further variables
# Renders a version's name from a combination: (template text, variables, place of the text) -> name.
Namer = Callable[[str, Mapping[str, Any], Place], str]


class Expressions(Protocol):
    """Evaluates the catalog's conditions and texts in the templates' sandboxed environment."""

    def expression(self, text: str, variables: Mapping[str, object], place: Place) -> object:
        """Evaluate an expression, for example `java >= 17 and kind == "jre"`."""

    def text(self, text: str, variables: Mapping[str, object], place: Place) -> str:
        """Fill in a text, for example `eclipse-temurin:{{ java }}-jre`."""


@dataclass(frozen=True, slots=True, eq=False)
class Expander:
    """Expands one family.

    `defaults` is the layer of `catalog.yaml`. `templates` are the names of existing templates. `resolve`
    converts the text of a parent into a record, and knows the catalog's families.
    """

    document: Document
    family: Family
    defaults: Layer
    expressions: Expressions
    templates: frozenset[str]
    resolve: Callable[[str, Platform, Place], Parent]
    gathering: Gathering = field(default_factory=Gathering)

    def images(self) -> Iterator[Image]:
        """Yield all images in the order of versions and platforms. Raises InputError with all problems."""
        self.gathering.problems.extend(self._reserved_names())
        base = (self.defaults, Layer(self.document, (), self.document.data))
        with self.gathering.step():
            found = versions(self.document, self._version_name)
            with self.gathering.step():
                _check_case(self.document, found)
            for version, own in found.items():
                for platform, layers in self._platforms(version, base, own):
                    image = self._image(version, platform, layers)
                    if image:
                        yield image
        self.gathering.check()

    def _attempt(self, compute: Callable[[], Value]) -> Value | None:
        """Compute a part of an image; if it fails, collect its problems and return None."""
        try:
            return compute()
        except InputError as error:
            self.gathering.problems.extend(error.problems)
            return None

    def _reserved_names(self) -> Iterator[Problem]:
        for path in self.document.keys:
            if path[-1] in RESERVED and len(path) >= 2 and path[-2] in ("variables", "axes"):
                place = self.document.place(path, key=True)
                yield Problem(place, f"{path[-1]!r} is reserved by dfgen; choose another name")

    def _version_name(self, text: str, variables: Mapping[str, Any], place: Place) -> str:
        names = {
            **(self.defaults.settings.get("variables") or {}),
            **_variables(self.document),
            **variables,
        }
        return self.expressions.text(text, {**names, "family": self.family.name}, place)

    def _platforms(self, version: str, base: Layers, own: Layers) -> Iterator[tuple[Platform, Layers]]:
        """Yield the platforms of a version, each with its layers; later layers override earlier ones."""
        found = settings.last((*base, *own), "platforms")
        wanted, layer = found or (DEFAULT_PLATFORMS, base[0])
        for position, alias in enumerate(wanted):
            at = layer.place("platforms", alias if isinstance(wanted, dict) else position)
            with self.gathering.step():
                platform = _platform(alias, at)
                layers = (*base, *_of_platform(base[-1], platform), *own)
                for version_layer in own:
                    layers = (*layers, *_of_platform(version_layer, platform))
                names = self._names(version, platform, layers)
                # `when` counts only in the mapping that selects the platforms, not in those of other layers.
                conditions = [one for one in _of_platform(layer, platform) if "when" in one.settings]
                if all(self._holds(one, names) for one in conditions):
                    yield from self._overridden(platform, layers, names)

    def _overridden(
        self, platform: Platform, layers: Layers, names: Mapping[str, Any]
    ) -> Iterator[tuple[Platform, Layers]]:
        """Add the overrides whose condition is true; yields nothing if one of them excludes the platform."""
        for position, override in enumerate(self.document.data.get("overrides") or ()):
            layer = Layer(self.document, ("overrides", position), override)
            if not self._holds(layer, names):
                continue
            only = override.get("platforms")
            if only is not None and platform not in _all_platforms(only, layer):
                return
            layers = (*layers, layer)
            # Conditions of later overrides see the variables of earlier ones.
            names = {**names, **(override.get("variables") or {})}
        yield platform, layers

    def _names(self, version: str, platform: Platform, layers: Layers) -> dict[str, Any]:
        """Return the names that a condition or text can use; the catalog's variables override dfgen's."""
        shown = _in_template(platform)
        own = {"family": self.family.name, "version": Version(version), "platform": shown}
        return {**own, "arch": shown.architecture, **settings.merged(layers, "variables")}

    def _holds(self, layer: Layer, names: Mapping[str, Any]) -> bool:
        """Evaluate a layer's condition; an invalid one counts as false, and its problem is kept."""
        return bool(self._attempt(lambda: self._evaluate(layer, names)))

    def _evaluate(self, layer: Layer, names: Mapping[str, Any]) -> bool:
        condition, place = layer.settings["when"], layer.place("when")
        if isinstance(condition, str):
            return bool(self.expressions.expression(condition, names, place))
        for key in condition:
            if key not in names:
                self._check_variable(key, names, layer.place("when", key, on_key=True))
        return all(
            key in names and _equals(key, names[key], value, layer.place("when", key))
            for key, value in condition.items()
        )

    def _check_variable(self, key: str, names: Mapping[str, Any], place: Place) -> None:
        """Raises InputError if nothing in the family's file defines a condition's variable.

        Other versions or platforms may define it, so it can be missing from `names` and still be valid.
        """
        sections = ("variables", "axes", "<<")
        defined = {
            str(path[-1])
            for path in self.document.keys
            if len(path) > 1 and (path[-2] in sections or path[:2] == ("matrix", "include"))
        }
        if key not in defined:
            hint = nearest(key, sorted({*defined, *names}))
            raise InputError(Problem(place, f"{key!r} is not defined{hint}"))

    def _image(self, version: str, platform: Platform, layers: Layers) -> Image | None:
        names = self._names(version, platform, layers)
        place = _required(settings.last(layers, "template"))[1].place("template")
        template = self._attempt(lambda: self._template(names, layers))
        parent = self._attempt(lambda: [self._main_parent(platform, names, layers)])
        parents = {
            name: self._attempt(lambda: self._stage(entry, platform, names, layer.place("parents", name)))  # noqa: B023
            for name, (entry, layer) in settings.merged_with_layers(layers, "parents").items()
        }
        foreign = self._attempt(lambda: _foreign_programs(layers)) or {}
        tests = [self._attempt(lambda: self._test(entry, names, at)) for entry, at in settings.tests(layers)]  # noqa: B023
        end_of_life = self._attempt(lambda: _end_of_life(layers))
        # After the first problem, no image is created, but the checks above still run for all of them.
        if self.gathering.problems or template is None or parent is None:
            return None
        return Image(
            family=self.family,
            version=version,
            platform=platform,
            template=template,
            parent=parent[0],
            parents={name: stage for name, stage in parents.items() if stage},
            variables=settings.merged(layers, "variables"),
            packages=settings.packages(layers),
            labels=settings.merged(layers, "labels"),
            tests=tuple(test for test in tests if test),
            immutable=bool((settings.last(layers, "immutable") or (False,))[0]),
            end_of_life=end_of_life or "",
            place=place,
            layers=layers,
            foreign_programs=foreign,
            locks_packages=bool((settings.last(layers, "package_lock") or (False,))[0]),
        )

    def _template(self, names: Mapping[str, Any], layers: Layers) -> str:
        text, layer = _required(settings.last(layers, "template"))
        name, place = self.expressions.text(text, names, layer.place("template")), layer.place("template")
        if name not in self.templates:
            known = sorted(self.templates)
            inside = name.removeprefix("templates/")
            hint = f"; write {inside}, without templates/" if inside in known else nearest(name, known)
            hint = hint or f"; templates/ contains {listing(known)}"
            raise InputError(Problem(place, f"template {name!r} does not exist{hint}"))
        return name

    def _main_parent(self, platform: Platform, names: Mapping[str, Any], layers: Layers) -> Parent | None:
        """Return the image's own parent; None if it has none, which is also written as `scratch`."""
        found = settings.last(layers, "parent")
        if found is None:
            return None
        place = found[1].place("parent")
        text = self.expressions.text(found[0], names, place)
        return None if text == SCRATCH else self.resolve(text, platform, place)

    def _parent(self, text: str, platform: Platform, names: Mapping[str, Any], place: Place) -> Parent:
        return self.resolve(self.expressions.text(text, names, place), platform, place)

    def _stage(self, entry: Any, platform: Platform, names: Mapping[str, Any], place: Place) -> Parent:
        if isinstance(entry, str):
            return self._parent(entry, platform, names, place)
        fixed = entry.get("platform")
        return self._parent(entry["image"], _platform(fixed, place) if fixed else platform, names, place)

    def _test(self, entry: Mapping[str, Any], names: Mapping[str, Any], place: Place) -> SmokeTest:
        run, arguments = entry.get("run", ()), entry.get("args")
        expect, logs = (
            self.expressions.text(entry[key], names, place) if key in entry else ""
            for key in ("expect", "logs")
        )
        test = SmokeTest(
            name=entry.get("name") or _name(entry),
            command=run if isinstance(run, str) else tuple(run),
            args=None if arguments is None else tuple(arguments),
            expect=expect,
            exit=entry.get("exit", 0),
            healthy=entry.get("healthy", 0),
            starts=entry.get("starts", 0),
            ports=tuple(entry.get("ports", ())),
            logs=logs,
            network=entry.get("network", False),
            timeout=entry.get("timeout", 60),
            place=place,
        )
        _check_test(test, has_exit="exit" in entry)
        return test


def _name(entry: Mapping[str, Any]) -> str:
    """Name a smoke test after its command, or after what the started image must do."""
    run = entry.get("run", ())
    if run:
        return run if isinstance(run, str) else " ".join(run)
    if "healthy" in entry:
        return "becomes healthy"
    if "ports" in entry:
        return f"listens on {listing(map(str, entry['ports']))}"
    if "logs" in entry:
        return f"logs {entry['logs']}"
    if "starts" in entry:
        return "stays up"
    return " ".join(["starts with", *entry["args"]]) if entry["args"] else "runs its own command"


def _check_test(test: SmokeTest, *, has_exit: bool) -> None:
    """Raises InputError if keys of a smoke test contradict each other, or one would have no effect."""
    if test.command and test.args is not None and not test.keeps_running:
        message = "'run' replaces the ENTRYPOINT that 'args' is for; use one of them, or start the image"
        raise InputError(Problem(test.place, f"{message} with 'starts', 'healthy', 'ports' or 'logs'"))
    if has_exit and not test.ends:
        message = "'exit' has no effect, because the test does not wait until the image ends; remove it"
        raise InputError(Problem(test.place, message))
    try:
        re.compile(test.logs)
    except re.error as error:
        message = f"'logs': {test.logs!r} is not a regular expression: {error}"
        raise InputError(Problem(test.place, message)) from None


def _end_of_life(layers: Layers) -> str:
    """Return the date, or "" without one. Raises InputError for a day that is not in the calendar."""
    found = settings.last(layers, "end_of_life")
    if found is None:
        return ""
    text, layer = found
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise InputError(Problem(layer.place("end_of_life"), f"{text!r} is not a date: {error}")) from None


def _check_case(document: Document, found: Mapping[str, Layers]) -> None:
    """Raises InputError for versions that are one folder where the file system ignores case (macOS)."""
    seen: dict[str, str] = {}
    problems = []
    for version, layers in found.items():
        first = seen.setdefault(version.lower(), version)
        if first != version:
            both = f"versions {first!r} and {version!r} differ only in case"
            message = f"{both}; on some systems they are one folder: rename one"
            problems.append(Problem(_version_place(document, version, layers[-1]), message))
    if problems:
        raise InputError(problems)


def _version_place(document: Document, version: str, layer: Layer) -> Place:
    if layer.path == ("versions",):
        return layer.place(document.data["versions"].index(version))
    if layer.path[:1] == ("versions",):
        return document.place(layer.path, key=True)
    return document.place(("matrix", "version"))


def versions(document: Document, name: Namer) -> dict[str, tuple[Layer, ...]]:
    """Return a family's versions in order, each with its own layers.

    Raises InputError with all invalid combinations or entries.
    """
    found = _matrix_versions(document, name) if document.data.get("matrix") else {}
    written = document.data.get("versions") or {}
    if isinstance(written, list):
        for version in _distinct(document, written):
            found.setdefault(version, (Layer(document, ("versions",), {}),))
        return found
    for version, own in written.items():
        layer = Layer(document, ("versions", version), own or {})
        found[version] = (*found.get(version, ()), layer)
    return found


def _distinct(document: Document, written: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    problems: list[Problem] = []
    for position, version in enumerate(written):
        if version in seen:
            first = document.place(("versions", seen[version])).line
            place = document.place(("versions", position))
            problems.append(Problem(place, f"duplicate version {version!r} (first on line {first})"))
        seen.setdefault(version, position)
    if problems:
        raise InputError(problems)
    return list(seen)


def _matrix_versions(document: Document, name: Namer) -> dict[str, tuple[Layer, ...]]:
    matrix = document.data["matrix"]
    _check_size(document, matrix)
    problems = [*_wrong_axes(document, matrix)]
    if problems:
        raise InputError(problems)
    found: dict[str, tuple[Layer, ...]] = {}
    combinations: dict[str, Combination] = {}
    rule = schema.rule("base", "version_name")
    for combination, layer in _layers(document, matrix):
        place = layer.document.place(("matrix", "version"))
        version = name(matrix["version"], combination, place)
        if not re.fullmatch(rule["pattern"], version):
            message = f"{_write(combination)} produces {version!r}; expected {rule['x-expected']}"
            problems.append(Problem(place, message))
        elif version in found:
            both = f"{_write(combinations[version])} and {_write(combination)}"
            problems.append(Problem(place, f"two combinations produce version {version!r}: {both}"))
        combinations.setdefault(version, combination)
        found.setdefault(version, (layer,))
    if problems:
        raise InputError(problems)
    return found


def _check_size(document: Document, matrix: Mapping[str, Any]) -> None:
    """Raises InputError for a matrix that is too large to compute."""
    combinations = math.prod(map(len, matrix["axes"].values()))
    if combinations > _MAX_COMBINATIONS:
        message = (
            f"the matrix has {combinations:,} combinations; the limit is {_MAX_COMBINATIONS:,}: shorten the"
            " axes, or divide the family"
        )
        raise InputError(Problem(document.place(("matrix", "axes"), key=True), message))
    for kind in ("exclude", "include"):
        entries = matrix.get(kind) or ()
        compared = sum(
            len(value) if isinstance(value, list) else 1 for one in entries for value in one.values()
        )
        if compared * combinations > _MAX_COMPARISONS:
            message = (
                f"{compared:,} values are compared with {combinations:,} combinations; the limit is"
                f" {_MAX_COMPARISONS:,} comparisons: shorten the list, or divide the family"
            )
            raise InputError(Problem(document.place(("matrix", kind), key=True), message))


def _wrong_axes(document: Document, matrix: Mapping[str, Any]) -> Iterator[Problem]:
    axes = matrix["axes"]
    for kind in ("exclude", "include"):
        for position, entry in enumerate(matrix.get(kind) or ()):
            path = ("matrix", kind, position)
            if kind == "include":
                for axis in (axis for axis in axes if axis not in entry):
                    yield Problem(document.place(path), f"axis {axis!r} is missing from this combination")
                continue
            unknown = [key for key in entry if key not in axes]
            for key in unknown:
                message = f"unknown axis {key!r}{nearest(key, list(axes))}; the axes are {listing(axes)}"
                yield Problem(document.place((*path, key), key=True), message)
            if not unknown and not any(_matches(one, entry) for one in _product(axes)):
                yield Problem(document.place(path), "this entry excludes nothing: no combination matches it")


def _layers(document: Document, matrix: Mapping[str, Any]) -> Iterator[tuple[Combination, Layer]]:
    """Yield every combination with its layer: the product of the axes without `exclude`, then `include`.

    An included combination that is already in the product only adds its further variables.
    """
    axes, excluded = matrix["axes"], matrix.get("exclude") or ()
    included = dict(enumerate(matrix.get("include") or ()))
    for combination in _product(axes):
        if any(_matches(combination, entry) for entry in excluded):
            continue
        more = [position for position, entry in included.items() if _matches(entry, combination)]
        added = {key: value for one in more for key, value in included.pop(one).items()}
        variables = {**combination, **added}
        yield variables, Layer(document, ("matrix",), {"variables": variables}, ("matrix", "axes"))
    for position, entry in included.items():
        path = ("matrix", "include", position)
        yield dict(entry), Layer(document, path, {"variables": dict(entry)}, path)


def _product(axes: Mapping[str, list[Any]]) -> Iterator[Combination]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _matches(combination: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether a combination has all values of an entry; a list in an entry matches any of its values."""
    return all(
        key in combination and combination[key] in (value if isinstance(value, list) else [value])
        for key, value in entry.items()
    )


def _write(combination: Combination) -> str:
    return "{" + ", ".join(f"{key}: {_spelled(value)}" for key, value in combination.items()) + "}"


# Cached, because all images of a platform share one value.
_in_template = lru_cache(maxsize=16)(TemplatePlatform)


def _variables(document: Document) -> dict[str, Any]:
    return dict(document.data.get("variables") or {})


def _foreign_programs(layers: Layers) -> Mapping[str, str]:
    """Merge the patterns of all layers. Raises InputError for one that cannot be read."""
    found = settings.merged_with_layers(layers, "foreign_programs")
    for pattern, (_, layer) in found.items():
        try:
            Pattern.parse(pattern.removeprefix("/"))
        except PatternError as error:
            place = layer.place("foreign_programs", pattern, on_key=True)
            raise InputError(Problem(place, f"the pattern {pattern!r} cannot be read: {error}")) from None
    return {pattern: reason for pattern, (reason, _) in found.items()}


def _required(found: tuple[Any, Layer] | None) -> tuple[Any, Layer]:
    if found is None:  # the schema requires one in a family
        raise AssertionError("a family without template")
    return found


def _platform(alias: str, place: Place) -> Platform:
    try:
        return Platform.parse(alias)
    except InputError:
        with placed(place):
            raise


def _all_platforms(aliases: list[str], layer: Layer) -> list[Platform]:
    return [_platform(alias, layer.place("platforms", at)) for at, alias in enumerate(aliases)]


def _of_platform(layer: Layer, platform: Platform) -> Layers:
    """Return the settings for one platform in a layer's mapping `platforms`, under any alias."""
    mapping = layer.settings.get("platforms")
    if not isinstance(mapping, dict):
        return ()
    return tuple(
        Layer(layer.document, (*layer.path, "platforms", alias), entry)
        for alias, entry in mapping.items()
        if entry and _platform(alias, layer.place("platforms", alias)) == platform
    )


def _equals(key: str, value: Any, wanted: Any, place: Place) -> bool:
    """Whether a variable equals a value, or one of a list; a platform matches under any alias."""
    choices = wanted if isinstance(wanted, list) else [wanted]
    if key == "platform":
        return _platform(str(value), place) in [_platform(str(choice), place) for choice in choices]
    if isinstance(value, PlatformName):
        matches = [_is_architecture(value, str(choice), place) for choice in choices]  # checks all of them
        return any(matches)
    return _spelled(value) in map(_spelled, choices)


def _spelled(value: Any) -> str:
    """Return a value as the file spells it, so that `true` equals "true"."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_architecture(value: PlatformName, choice: str, place: Place) -> bool:
    """Compare with an alias; an unknown one would never be equal. Raises InputError for it.

    `arm` is the value of `arch` on linux/arm/v7, although it is not an alias of that platform.
    """
    if choice not in {platform.architecture for platform in aliases().values()}:
        _platform(choice, place)
    return value == choice
