"""What templates gave, kept within a run: a text serves all variables that differ in printed values alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dfgen.templating.faults import FAULTS
from dfgen.templating.form import Form, form
from dfgen.templating.marks import SENTINEL, InsideError
from dfgen.templating.printable import as_text
from dfgen.templating.standins import Looks, Path, below, can_stand, stand_ins, text_attributes

# Renders a template with stand-ins, and notes what it looks at; the marked text.
Watch = Callable[[str, Mapping[str, object], Looks], str]
# Writes every value of a marked text for its place.
Write = Callable[[str], str]

_TRIES = 12  # each remembers at least one look more
_TRIAL = 16  # renders after which a template must have been worth it
_KEPT = 1024
_WORTH_A_FORM = 3  # what a text has served twice, for two platforms, is taken apart at the third time


class _Text:
    """A marked text with tokens, and the value that each stands for."""

    def __init__(self, marked: str, tokens: Mapping[Path, str]) -> None:
        self.marked = marked
        self.paths = [(token, path) for path, token in tokens.items()]
        self.form: Form | None = None
        self.uses = 0

    def fill(self, variables: Mapping[str, object], write: Write) -> str | None:
        """Put values in place; None when one of them cannot be in marked text."""
        values = {token: _text_at(path, variables) for token, path in self.paths}
        if any(map(SENTINEL.search, values.values())):
            return None
        self.uses += 1
        if self.uses == _WORTH_A_FORM:
            self.form = form(self.marked, values)
        text = self.form.fill(values) if self.form else None
        if text is None:
            marked = self.marked
            for token, value in values.items():
                marked = marked.replace(token, value)
            text = write(marked)
        return text


def _text_at(path: Path, variables: Mapping[str, object]) -> str:
    value: Any = variables
    for step in path:
        value = value[step] if type(value) in (dict, list, tuple) else getattr(value, str(step))
    return str(value.__dockerfile__()) if hasattr(value, "__dockerfile__") else as_text(value)


class _Known:
    """What is known of one template: which values it looks at, and its texts by all that it can see."""

    def __init__(self, whole: frozenset[str]) -> None:
        self.names: set[str] = set()
        self.seen: dict[object, Any] = dict.fromkeys(whole, True)
        self.texts: dict[tuple[object, ...], _Text] = {}
        self.rendered = self.found = 0
        self.hopeless = False

    def key(self, variables: Mapping[str, object]) -> tuple[object, ...]:
        """Put down all that a render depends on: the shape of what it asks for, and the values looked at."""
        asked = {name: value for name, value in variables.items() if name in self.names}
        key: list[object] = []
        _describe(asked, self.seen, key)
        return tuple(key)

    def see(self, looks: Looks) -> None:
        """Remember looks, so that the next render gets the values themselves."""
        self.names |= looks.names
        for path in looks.seen:
            at: Any = self.seen
            for step in path[:-1]:
                at = at if at is True else at.setdefault(step, {})
            if at is not True:
                at[path[-1]] = True

    def judge(self) -> None:
        """Give a template up that looks at what is different in every image."""
        self.rendered += 1
        self.hopeless = self.rendered >= _TRIAL and 2 * self.found < self.rendered
        if len(self.texts) >= _KEPT:
            self.texts.clear()


class Memory:
    """The texts of a folder of templates; `whole` are the variables that are never stood in for.

    A render with a stand-in for every value shows which values a template looks at, in conditions, filters
    and all else but plain printing. It is repeated with those values themselves until none is looked at:
    the text depends on nothing else then, and serves all variables of that shape and with those values.
    """

    def __init__(self, watch: Watch, whole: frozenset[str]) -> None:
        self._watch = watch
        self._whole = whole
        self._known: dict[str, _Known] = {}

    def text(self, name: str, variables: Mapping[str, object], write: Write) -> str | None:
        """Give the Dockerfile of a template; None when the template has to be rendered as it is.

        `write` is asked where the values of a text have to be written for their places one by one.
        """
        known = self._known.setdefault(name, _Known(self._whole))
        if known.hopeless:
            return None
        try:
            text = known.texts.get(known.key(variables))
        except TypeError:  # a value that cannot be in a key
            return None
        if text is None:
            known.judge()
            text = self._render(name, known, variables)
        else:
            known.found += 1
        return text.fill(variables, write) if text else None

    def _render(self, name: str, known: _Known, variables: Mapping[str, object]) -> _Text | None:
        for _ in range(_TRIES):
            looks = Looks()
            given = stand_ins(dict(variables), known.seen, (), looks)
            text = self._attempt(name, given, looks)
            known.see(looks)
            if not looks.seen:
                break
        else:
            text = None
        if text is None:
            known.hopeless = True
            return None
        return known.texts.setdefault(known.key(variables), _Text(text, looks.tokens))

    def _attempt(self, name: str, variables: Mapping[str, object], looks: Looks) -> str | None:
        try:
            return self._watch(name, variables, looks)
        except InsideError as error:
            looks.look_inside(str(error))
        except FAULTS:
            return None
        return None


def _describe(value: Any, seen: Any, key: list[object]) -> None:
    kind = type(value)
    if kind is dict:
        key += (dict, tuple(value))
        for name, item in value.items():
            _describe(item, below(seen, name), key)
    elif kind is list or kind is tuple:
        key += (kind, len(value))
        for at, item in enumerate(value):
            _describe(item, below(seen, at), key)
    elif kind is float:
        key += (kind, repr(value))  # 0.0 equals -0.0, and is not printed alike
    elif seen is True or not can_stand(kind):
        key += (kind, value)
    else:
        key.append(str if kind is int else kind)
        # In another image a mapping may have stood here, of which keys were looked at.
        key += (getattr(value, name) for name in seen or () if name in text_attributes(kind))
