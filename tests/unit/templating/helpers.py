"""Helpers that render a template from its text, or return the origins of its lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dfgen.templating import TemplateOptions, Templates
from dfgen.templating.origins import LineOrigin

OPTIONS = TemplateOptions()


class TemplateFolder:
    """A folder of templates; `render` writes them and renders the first."""

    def __init__(
        self, root: Path, options: TemplateOptions = OPTIONS, snippets: frozenset[str] = frozenset()
    ) -> None:
        self.root, self.options, self.snippets = root, options, snippets

    def render(self, text: str, variables: Mapping[str, object] | None = None, **others: str) -> str:
        """Write `x.j2` and other templates (`m='…'` is `m.j2`), and render the first."""
        for name, content in {"x": text, **others}.items():
            (self.root / f"{name}.j2").write_text(content, encoding="utf-8")
        return Templates(self.root, "templates", self.options, self.snippets).render("x.j2", variables or {})


def origins(
    folder: TemplateFolder, text: str, variables: Mapping[str, object] | None = None, **others: str
) -> tuple[LineOrigin, ...]:
    """Render `x.j2` beside other templates and return the origins of its lines."""
    folder.render(text, variables, **others)
    return Templates(folder.root, "t", folder.options, folder.snippets).origins("x.j2", variables or {})
