"""Renders the templates of a folder, and evaluates the expressions and texts of the catalog."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateNotFound
from jinja2.runtime import Undefined

from dfgen.errors import InputError, Place, Problem
from dfgen.templating.environment import FolderLoader, PlainSandbox, TaintingSandbox
from dfgen.templating.errors import TEMPLATE_ERRORS, ErrorTranslator
from dfgen.templating.limits import MAX_LENGTH, METER, STEPS
from dfgen.templating.printing import as_text
from dfgen.templating.quoting import Quoting
from dfgen.templating.taint import SENTINEL, Trusted

if TYPE_CHECKING:
    from dfgen.templating.origins import LineOrigin
    from dfgen.templating.trace import TracingSandbox
    from dfgen.templating.usage import TemplateUsage

# A catalog has thousands of images. Together they may take as many steps as 20 that use up their limit, and
# some more for each.
_STEPS_OF_ALL = 20 * STEPS
_STEPS_EACH = STEPS // 50

_NAMED = re.compile(r"\{\{ *([a-z]\w*) *\}\}")
_RESERVED = frozenset(("true", "false", "none", "not"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateOptions:
    """Jinja2's whitespace options.

    https://jinja.palletsprojects.com/en/stable/templates/#whitespace-control
    """

    trim_blocks: bool = True
    lstrip_blocks: bool = True
    keep_trailing_newline: bool = True


def _copied(value: Any) -> Any:
    """Copy lists and mappings: a template may change them, and the next render must not see that."""
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if type(value) is list:
        return [_copied(item) for item in value]
    return value


def _trusted(value: Any) -> Any:
    """Trust a text, or the texts of a list or mapping, as Dockerfile text."""
    if isinstance(value, str) and not SENTINEL.search(value):
        return Trusted(value)
    if isinstance(value, Mapping):
        return {key: _trusted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_trusted(item) for item in value]
    return value


@lru_cache(maxsize=1024)
def _plain_pieces(text: str) -> tuple[str, ...]:
    """Split text with only `{{ name }}` in it into text, name, text, …; return () for other text.

    Most texts of a catalog are like that, and joining them is much faster than Jinja.
    """
    pieces = _NAMED.split(text)
    special = any("{" in piece or "\n" in piece for piece in pieces[::2])
    return () if special or _RESERVED.intersection(pieces[1::2]) else tuple(pieces)


def _ended(text: str) -> str:
    return text.rstrip("\n") + "\n"


def _forget_modules(environment: TaintingSandbox) -> None:
    """Clear the cached modules of imported templates: a render must not see another one's state."""
    for template in (environment.cache or {}).values():
        template._module = None


class Templates:
    """The templates under `root`, each compiled once; `shown` is this folder in messages.

    `snippets` are the variables that the catalog declares as Dockerfile text.
    """

    def __init__(
        self,
        root: Path,
        shown: str,
        options: TemplateOptions = TemplateOptions(),
        snippets: frozenset[str] = frozenset(),
    ) -> None:
        self._root = root
        self._loader = FolderLoader(root)
        self._options = {**asdict(options), "loader": self._loader}
        self._tainting = TaintingSandbox(**self._options)
        self._plain = PlainSandbox()
        self._shown = shown
        self._errors = ErrorTranslator(shown, self._tainting)
        self._quoting = Quoting(shown, self._tainting.sites)
        self._snippets = snippets
        self._expressions: dict[str, Callable[..., object]] = {}
        self._texts: dict[str, Callable[..., str]] = {}
        self._steps = _STEPS_OF_ALL

    @cached_property
    def with_jinja_whitespace(self) -> Templates | None:
        """The same templates with Jinja2's own defaults for white space; None if they have them."""
        own = {**self._options, "trim_blocks": False, "lstrip_blocks": False}
        if own == self._options:
            return None
        options = TemplateOptions(**{name: own[name] for name in asdict(TemplateOptions())})
        return Templates(self._root, self._shown, options, self._snippets)

    def names(self) -> tuple[str, ...]:
        """Return the names of all templates, sorted, with `/` between folders."""
        return tuple(self._loader.list_templates())

    def is_expression(self, text: str) -> bool:
        """Whether a template could contain this text between `{{` and `}}`."""
        try:
            self._plain.parse(f"{{{{{text}}}}}")
        except TEMPLATE_ERRORS:
            return False
        return True

    def render(self, name: str, variables: Mapping[str, object]) -> str:
        """Render a template to a Dockerfile that ends in one newline; values are quoted for their positions.

        Raises InputError if the template is broken, or if a value cannot be used where it is printed.
        """
        return _ended(self._quoting.write(self._tainted(self._tainting, name, variables), name))

    def origins(self, name: str, variables: Mapping[str, object]) -> tuple[LineOrigin, ...]:
        """Return the source map of a render: the template lines and variables of every line.

        Renders again, in a slower environment that is only created when it is needed. Raises as `render`.
        """
        from dfgen.templating.origins import Origins, check_same

        text = self._tainted(self._tracing, name, variables)
        found = Origins(self._tracing, self._shown).of(text, name)
        check_same(found, self.render(name, variables), Place(f"{self._shown}/{name}"))
        return found

    def usages(self) -> dict[str, TemplateUsage]:
        """Return what every readable template defines and uses, by name, without rendering."""
        from dfgen.templating.usage import usages

        texts: dict[str, str] = {}
        for name in self.names():
            with suppress(InputError, *TEMPLATE_ERRORS):  # rendering reports unreadable templates
                texts[name] = self._loader.get_source(self._tainting, name)[0]
        return usages(texts)

    @property
    def functions(self) -> frozenset[str]:
        """The global functions of templates."""
        return frozenset(self._tainting.globals)

    @cached_property
    def _tracing(self) -> TracingSandbox:
        from dfgen.templating.trace import TracingSandbox

        return TracingSandbox(**self._options)

    def _tainted(self, environment: TaintingSandbox, name: str, variables: Mapping[str, object]) -> str:
        """Run a template and return its tainted text."""
        given = {
            key: _trusted(value) if key in self._snippets else _copied(value)
            for key, value in variables.items()
        }
        limit = self._begin()
        try:
            template = environment.get_template(name)
            _forget_modules(environment)
            text = environment.concat(template.root_render_func(template.new_context(dict(given))))
        except TEMPLATE_ERRORS as error:
            is_missing = isinstance(error, TemplateNotFound)
            place = Place(self._shown) if is_missing else self._errors.place(name)
            raise self._errors.translate(error, given, self.names, place) from None
        finally:
            self._end(limit)
        if len(text) > MAX_LENGTH:
            message = f"renders to {len(text):,} characters; the limit is {MAX_LENGTH:,}"
            raise InputError(Problem(self._errors.place(name), message))
        return text

    def _begin(self) -> int:
        """Set the meter to the steps of one render, or to those that all renders have left if it is fewer."""
        METER.begin(min(STEPS, max(self._steps, _STEPS_EACH)))
        return METER.limit

    def _end(self, limit: int) -> None:
        self._steps += _STEPS_EACH - (limit - METER.left)

    def expression(self, text: str, variables: Mapping[str, object], place: Place) -> object:
        """Evaluate an expression of the catalog, for example `java >= 17 and kind == "jre"`."""
        limit = self._begin()
        try:
            if text not in self._expressions:
                self._expressions[text] = self._plain.compile_expression(text, undefined_to_none=False)
            result = self._expressions[text](dict(variables))
            if isinstance(result, Undefined):
                str(result)
        except TEMPLATE_ERRORS as error:
            raise self._in_catalog(error, text, variables, place) from None
        finally:
            self._end(limit)
        return result

    def text(self, text: str, variables: Mapping[str, object], place: Place) -> str:
        """Evaluate the `{{ }}` in a text of the catalog, for example a tag or a parent; nothing is quoted."""
        if "{" not in text:
            return text
        limit = 0
        try:
            pieces = _plain_pieces(text)
            if pieces and all(name in variables for name in pieces[1::2]):
                parts = (as_text(variables[piece]) if at % 2 else piece for at, piece in enumerate(pieces))
                return "".join(parts)
            limit = self._begin()
            if text not in self._texts:
                self._texts[text] = self._plain.from_string(text).render
            return self._texts[text](variables)
        except TEMPLATE_ERRORS as error:
            raise self._in_catalog(error, text, variables, place) from None
        finally:
            if limit:
                self._end(limit)

    def _in_catalog(
        self, error: BaseException, text: str, variables: Mapping[str, object], place: Place
    ) -> InputError:
        found = self._errors.translate(error, variables, tuple, place).problems[0].message
        return InputError(Problem(place, f"in {text!r}: {found}"))
