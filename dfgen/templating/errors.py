"""Translates errors in templates into InputErrors: one line, with the template's file and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from jinja2 import (
    Environment,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplatesNotFound,
    TemplateSyntaxError,
)
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.runtime import StrictUndefined
from jinja2.utils import missing

from dfgen.errors import InputError, Place, Problem, nearest
from dfgen.templating.wording import kind_of, python_error, syntax_error
from dfgen.untrusted import brief

_DEPTH = 4


class MissingNameError(UndefinedError):
    """A variable, attribute or item does not exist; `owner` is `missing` for a variable."""

    def __init__(self, name: object, owner: object) -> None:
        super().__init__(f"{brief(name)} is not defined")
        self.name = name
        self.owner = owner

    def describe(self, variables: Mapping[str, object]) -> str:
        """Describe the error, with the most similar existing name."""
        name = str(self.name)[:_LONGEST]
        if self.owner is missing and name == "parent":
            return "'parent' is not defined; set `parent` in base.yaml"
        if self.owner is missing:
            return f"{name!r} is not defined{nearest(name, sorted(variables))}"
        path = next(_paths(self.owner, variables), "")
        owner = repr(path) if path else kind_of(self.owner)
        advice = "; declare it under parents in base.yaml" if path == "parents" else ""
        return f"{owner} has no {brief(self.name)}{nearest(name, _names(self.owner))}{advice}"


class Missing(StrictUndefined):
    """StrictUndefined whose error keeps the missing name and its owner."""

    __slots__ = ()

    def __init__(self, hint: Any = None, obj: Any = missing, name: Any = None, exc: Any = None) -> None:
        if hint is None and exc is None:

            def exc(_message: object) -> MissingNameError:
                # Jinja only passes its own message.
                return MissingNameError(name, obj)

        super().__init__(hint, obj, name, exc or UndefinedError)

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"{brief(self._undefined_name)} is not defined"


def _names(owner: object) -> list[str]:
    if isinstance(owner, Mapping):
        return sorted(str(key) for key in owner)
    return sorted(name for name in dir(owner) if not name.startswith("_"))


def _paths(owner: object, variables: Mapping[str, object]) -> Iterator[str]:
    """Yield the shortest path of an object in the variables: `java`, `java.jvm`."""
    level: dict[str, Mapping[str, object]] = {"": variables}
    seen: set[int] = set()  # a mapping can be an item of another one many times
    for _ in range(_DEPTH):
        below: dict[str, Mapping[str, object]] = {}
        for prefix, mapping in level.items():
            for key, value in mapping.items():
                if value is owner:
                    yield f"{prefix}{key}"
                if isinstance(value, Mapping) and id(value) not in seen:
                    seen.add(id(value))
                    below[f"{prefix}{key}."] = value
        level = below


# Everything that template code can raise: Jinja's errors, and Python's from operators, filters and methods.
TEMPLATE_ERRORS = (
    TemplateError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)
_LONGEST = 80  # characters of a name in a message; more are cut, and need no suggestion either
_LONGEST_TEXT = 2000
_Running = tuple[Template, int, dict[str, Any]]
_LOCAL = re.compile(r"l_\d+_(\w+)")
_UNKNOWN = re.compile(r"No (filter|test) named '([^']*)'\.?")


def _frames(traceback: TracebackType | None) -> list[_Running]:
    """Return the running templates, outermost first: template, line and local variables."""
    found = []
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            line = template.get_corresponding_lineno(traceback.tb_lineno)
            found.append((template, line, traceback.tb_frame.f_locals))
        traceback = traceback.tb_next
    return found


def _visible(variables: Mapping[str, object], frames: Sequence[_Running]) -> dict[str, object]:
    """Return the names that exist in the innermost template."""
    seen = dict(variables)
    if frames:
        template, _, local = frames[-1]
        seen.update(template.globals)
        if (context := local.get("context")) is not None:
            seen.update(context.get_all())
        seen.update((found[1], value) for name, value in local.items() if (found := _LOCAL.fullmatch(name)))
    return {name: value for name, value in seen.items() if value is not missing}


def _unknown_name(message: str, known: Mapping[str, Sequence[str]]) -> str:
    """Add the most similar filter or test to Jinja's message about an unknown one."""
    found = _UNKNOWN.fullmatch(message)
    if found is None:
        return message
    return f"unknown {found[1]} {found[2]!r}{nearest(found[2], known[found[1]])}"


def _missing_template(error: TemplateNotFound, names: Sequence[str]) -> str:
    wanted = error.templates if isinstance(error, TemplatesNotFound) else [error.name]
    first = str(wanted[0])[:_LONGEST] if wanted else ""
    return f"template {first!r} not found{nearest(first, names)}"


def _describe(
    error: BaseException, variables: Mapping[str, object], names: Callable[[], Sequence[str]]
) -> str:
    """Describe an error in one line; `names` returns the existing templates."""
    text = python_error(error)
    match error:
        case MissingNameError():
            text = error.describe(variables)
        case TemplateSyntaxError():
            text = " ".join((error.message or "").split())
        case TemplateNotFound():
            text = _missing_template(error, names())
        case MemoryError():
            text = "this machine has too little memory for the template"
        case RecursionError():
            text = "infinite recursion; a macro or an include needs a condition that stops it"
        case ZeroDivisionError():
            text = "division by zero"
        case KeyError():
            text = f"key not found: {error}"
        case SecurityError():
            text = f"not allowed in a template: {error}"
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


class ErrorTranslator:
    """Translates the errors of one folder of templates; `shown` is the folder in messages."""

    def __init__(self, shown: str, environment: Environment) -> None:
        self.shown = shown
        self.environment = environment
        self.known = {"filter": sorted(environment.filters), "test": sorted(environment.tests)}

    def translate(
        self,
        error: BaseException,
        variables: Mapping[str, object],
        names: Callable[[], Sequence[str]],
        place: Place,
    ) -> InputError:
        """Return an InputError at the innermost running template, or at `place`."""
        frames = _frames(error.__traceback__)
        if isinstance(error, TemplateSyntaxError):
            message = _unknown_name(_describe(error, {}, tuple), self.known)
            line, message = syntax_error(message, error.lineno, error.source or "", self.environment)
            at = self.place(error.name, line) if error.name else place
            return InputError(Problem(at, message))
        if frames and frames[-1][0].name:
            place = self.place(frames[-1][0].name, frames[-1][1])
        return InputError(Problem(place, _describe(error, _visible(variables, frames), names)))

    def place(self, template: str, line: int = 0) -> Place:
        """Return the place of a line of a template."""
        return Place(f"{self.shown}/{template}", line)
