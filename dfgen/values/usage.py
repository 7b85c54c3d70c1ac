"""What one template says of itself: a record that is read without rendering anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateUsage:
    """One template; lines count from 1.

    `macros` and `blocks` are what it defines, with the line of each. `calls` are the names that may call a
    macro, of this template or of another; `is_opaque` when a macro may be called in a way not followed.
    `takes` are the templates that it includes, imports or extends, `extends` the one of these that it
    extends; `is_computed` when such a name is computed. `names` are the variables that it reads and does not
    define, with the first line of each; `optional` those of them that it asks whether they are defined, or
    has a default for; `defined` what it gives a value itself. `reads` is every name that stands in it.
    """

    template: str
    macros: Mapping[str, int]
    blocks: Mapping[str, int]
    calls: frozenset[str]
    is_opaque: bool
    takes: frozenset[str]
    extends: str
    is_computed: bool
    names: Mapping[str, int]
    optional: frozenset[str]
    defined: frozenset[str]
    reads: frozenset[str]
