"""Templates from one folder, and from nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from jinja2 import BaseLoader, Environment, TemplateNotFound, TemplateSyntaxError

from dfgen.templating.marks import SENTINEL


class FolderLoader(BaseLoader):
    """Reads `root/name`; neither `..` nor a symbolic link leads out of the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get_source(
        self,
        environment: Environment,  # noqa: ARG002 (the signature is Jinja's)
        template: str,
    ) -> tuple[str, str, Callable[[], bool]]:
        """Give a template's text; TemplateNotFound if it is not inside of the folder."""
        path = self._path(template)
        if path is None:
            raise TemplateNotFound(template)
        try:
            source = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            message = f"it is not UTF-8 (byte {error.start}); save it as UTF-8"
            raise TemplateSyntaxError(message, 1, template, str(path)) from None
        if found := SENTINEL.search(source):
            message = f"it holds the noncharacter U+{ord(found[0]):04X}, which no text may hold; remove it"
            line = source.count("\n", 0, found.start()) + 1
            raise TemplateSyntaxError(message, line, template, str(path))
        return source, template, lambda: True

    def _path(self, template: str) -> Path | None:
        name = PurePosixPath(template)
        if name.is_absolute() or ".." in name.parts or "\0" in template or "\\" in template:
            return None
        path = (self.root / name).resolve()
        inside = path.is_relative_to(self.root.resolve())
        return path if inside and path.is_file() else None

    def list_templates(self) -> list[str]:
        """All files of the folder that can be named in a template, sorted."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*"))
        names = (path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
        return sorted(name for name in names if self._path(name))
