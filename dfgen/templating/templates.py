"""A folder of templates: rendering, and the expressions and texts of the catalog."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2.runtime import Undefined

from dfgen.errors import InputError, Place, Problem
from dfgen.templating.environment import FolderLoader, Marking, PlainSandbox, as_text
from dfgen.templating.errors import FAULTS, Faults
from dfgen.templating.marks import SENTINEL, Trusted
from dfgen.templating.quoting import Quoting

if TYPE_CHECKING:
    from dfgen.templating.origins import LineOrigin
    from dfgen.templating.trace import Tracing
    from dfgen.templating.usage import TemplateUsage

_NAMED = re.compile(r"\{\{ *([a-z]\w*) *\}\}")
_RESERVED = frozenset(("true", "false", "none", "not"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateOptions:
    """Jinja2's white space options, as the templates of a project expect them."""

    trim_blocks: bool = True
    lstrip_blocks: bool = True
    keep_trailing_newline: bool = True


def _copied(value: Any) -> Any:
    """Copy lists and mappings, so that a template that changes one does not change the next render."""
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if type(value) is list:
        return [_copied(item) for item in value]
    return value


def _trusted(value: Any) -> Any:
    """Declare a text, or the texts in a list or mapping, to be Dockerfile text."""
    if isinstance(value, str) and not SENTINEL.search(value):
        return Trusted(value)
    if isinstance(value, Mapping):
        return {key: _trusted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_trusted(item) for item in value]
    return value


@lru_cache(maxsize=1024)
def _plain_pieces(text: str) -> tuple[str, ...]:
    """Split a text that has nothing but names in it, as most have: text, name, text; else give nothing."""
    pieces = _NAMED.split(text)
    special = any("{" in piece or "\n" in piece for piece in pieces[::2])
    return () if special or _RESERVED.intersection(pieces[1::2]) else tuple(pieces)


def _ended(text: str) -> str:
    return text.rstrip("\n") + "\n"


def _forget_modules(environment: Marking) -> None:
    """Drop what imported templates have computed: a render must not see another one's state."""
    for template in (environment.cache or {}).values():
        template._module = None


class Templates:
    """The templates under `root`, compiled once each; `shown` is how messages write that folder.

    `snippets` are the variables whose texts are Dockerfile text, written as such in the catalog.
    """

    def __init__(
        self,
        root: Path,
        shown: str,
        options: TemplateOptions = TemplateOptions(),
        snippets: frozenset[str] = frozenset(),
    ) -> None:
        self._loader = FolderLoader(root)
        self._options = {**asdict(options), "loader": self._loader}
        self._marking = Marking(**self._options)
        self._plain = PlainSandbox()
        self._shown = shown
        self._faults = Faults(shown, self._marking)
        self._quoting = Quoting(shown, self._marking.sites)
        self._snippets = snippets
        self._expressions: dict[str, Callable[..., object]] = {}
        self._texts: dict[str, Callable[..., str]] = {}

    def names(self) -> tuple[str, ...]:
        """The templates that exist, sorted, with `/` between folders."""
        return tuple(self._loader.list_templates())

    def is_expression(self, text: str) -> bool:
        """Whether a template could contain this text between `{{` and `}}`."""
        try:
            self._plain.parse(f"{{{{{text}}}}}")
        except FAULTS:
            return False
        return True

    def render(self, name: str, variables: Mapping[str, object]) -> str:
        """Render a template to a Dockerfile that ends in one newline; every value is quoted for its place.

        InputError when the template is wrong or when a value cannot stand where it is printed.
        """
        return _ended(self._quoting.write(self._marked(self._marking, name, variables), name))

    def origins(self, name: str, variables: Mapping[str, object]) -> tuple[LineOrigin, ...]:
        """Say of every line that `render` gives which template lines and which variables made it.

        It renders again, in an environment that is made when it is first asked for. Errors as for `render`.
        """
        from dfgen.templating.origins import Origins, check_same

        text = self._marked(self._tracing, name, variables)
        found = Origins(self._tracing, self._shown).of(text, name)
        check_same(found, self.render(name, variables), Place(f"{self._shown}/{name}"))
        return found

    def usages(self) -> dict[str, TemplateUsage]:
        """Return what every template that can be read defines and uses, by name; nothing is rendered."""
        from dfgen.templating.usage import usages

        texts: dict[str, str] = {}
        for name in self.names():
            with suppress(*FAULTS):  # a render reports what cannot be read
                texts[name] = self._loader.get_source(self._marking, name)[0]
        return usages(texts)

    @property
    def functions(self) -> frozenset[str]:
        """The functions that every template can call."""
        return frozenset(self._marking.globals)

    @cached_property
    def _tracing(self) -> Tracing:
        from dfgen.templating.trace import Tracing

        return Tracing(**self._options)

    def _marked(self, environment: Marking, name: str, variables: Mapping[str, object]) -> str:
        """Run a template; its text with every value marked."""
        given = {
            key: _trusted(value) if key in self._snippets else _copied(value)
            for key, value in variables.items()
        }
        try:
            template = environment.get_template(name)
            _forget_modules(environment)
            return environment.concat(template.root_render_func(template.new_context(dict(given))))
        except FAULTS as error:
            place = Place(self._shown)
            raise self._faults.translate(error, given, self.names, place) from None

    def expression(self, text: str, variables: Mapping[str, object], place: Place) -> object:
        """Evaluate a condition or an expression of the catalog, such as `java >= 17 and kind == "jre"`."""
        try:
            if text not in self._expressions:
                self._expressions[text] = self._plain.compile_expression(text, undefined_to_none=False)
            result = self._expressions[text](dict(variables))
            if isinstance(result, Undefined):
                str(result)
        except FAULTS as error:
            raise self._in_catalog(error, text, variables, place) from None
        return result

    def text(self, text: str, variables: Mapping[str, object], place: Place) -> str:
        """Fill in a text of the catalog (a tag, a parent) that may hold `{{ }}`; nothing is quoted."""
        if "{" not in text:
            return text
        try:
            pieces = _plain_pieces(text)
            if pieces and all(name in variables for name in pieces[1::2]):
                parts = (as_text(variables[piece]) if at % 2 else piece for at, piece in enumerate(pieces))
                return "".join(parts)
            if text not in self._texts:
                self._texts[text] = self._plain.from_string(text).render
            return self._texts[text](variables)
        except FAULTS as error:
            raise self._in_catalog(error, text, variables, place) from None

    def _in_catalog(
        self, error: BaseException, text: str, variables: Mapping[str, object], place: Place
    ) -> InputError:
        found = self._faults.translate(error, variables, tuple, place).problems[0].message
        return InputError(Problem(place, f"in {text!r}: {found}"))
