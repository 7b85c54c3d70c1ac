"""Finds the files that a build reads from its context, like BuildKit, with their fingerprints.

The only such code in dfgen: `plan` uses it for a folder, `review` for a folder or a git revision.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from dfgen.catalog.graph import find
from dfgen.catalog.model import Image
from dfgen.dockerfile.ignore import PatternError, Patterns, Verdict, glob, is_wild
from dfgen.dockerfile.sources import Source, Trigger, context_sources, onbuild, upstream_triggers
from dfgen.errors import InputError, Place, Problem, printable
from dfgen.filetree import FileTree, Kind, Overlaid, kind_of, resolve, within

_USES_CONTEXT = re.compile(rb"(?im)^[ \t]*(ONBUILD[ \t]+)?(COPY|ADD)\b|--mount")
_HAS_TRIGGERS = re.compile(rb"(?im)^[ \t]*ONBUILD\b")
_IGNORE = ".dockerignore"
# buildx loads a policy file beside the Dockerfile automatically: https://docs.docker.com/build/policies/
_BESIDE = (".rego",)

Versions = Mapping[str, Sequence[Image]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInputs:
    """The files that an image's build reads: its Dockerfile, and fingerprints by path in the context.

    A file that BuildKit reads beside the Dockerfile has its path from the catalog's root. `dockerfile` is
    None if it does not exist. `files` contains everything that BuildKit accepts, `problems` what it rejects.
    """

    dockerfile: bytes | None
    files: Mapping[str, str]
    problems: tuple[Problem, ...] = ()


class ContextReader:
    """Reads the inputs of builds; each context is listed once for all of its images."""

    def __init__(
        self,
        tree: FileTree,
        versions: Versions = MappingProxyType({}),
        texts: Mapping[str, str] = MappingProxyType({}),
        *,
        upstream: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """Read from the catalog's tree; `versions` are its images, whose ONBUILD triggers children run.

        `texts` overlay Dockerfiles, by path, for example before they are written. `upstream` are the triggers
        of upstream parents, by digest; see `Lock.triggers`.
        """
        self._below, self._versions, self._upstream = tree, versions, upstream
        self._tree: FileTree = Overlaid(tree, texts) if texts else tree
        self._contexts: dict[tuple[str, str], BuildContext] = {}
        self._triggers: dict[str, tuple[Trigger, ...]] = {}

    def overlaid(self, texts: Mapping[str, str]) -> ContextReader:
        """Return a reader of the same tree with other Dockerfiles."""
        if not texts:
            return self
        return ContextReader(self._tree, self._versions, texts, upstream=self._upstream)

    def inputs(self, image: Image) -> BuildInputs:
        """Return the inputs of an image's build. Raises ExternalError for an unreadable file."""
        path = image.path
        raw = self._dockerfile(path)
        if raw is None:
            problem = Problem(Place(path), "does not exist; run `dfgen render`")
            return BuildInputs(dockerfile=None, files={}, problems=(problem,))
        files = self._beside(path)
        triggers = self._inherited(image)
        is_triggered = triggers or any(digest.encode() in raw for digest in self._upstream)
        if not is_triggered and not _USES_CONTEXT.search(raw):
            return BuildInputs(dockerfile=raw, files=files)
        try:
            sources = context_sources(
                raw.decode("utf-8", errors="replace"),
                path,
                platform=image.platform,
                triggers=lambda base: self._triggers_of(base, triggers),
            )
            more, problems = self._select(image, sources)
        except InputError as error:
            return BuildInputs(dockerfile=raw, files=files, problems=error.problems)
        return BuildInputs(dockerfile=raw, files={**files, **more}, problems=problems)

    def _dockerfile(self, path: str) -> bytes | None:
        raw = self._tree.read(path)
        if raw is not None:
            return raw
        resolved = resolve(self._tree.entries, self._tree.target, path)
        if resolved.path is None or resolved.is_outside or not resolved.links:
            return None
        return self._tree.read(resolved.path)

    def _beside(self, path: str) -> dict[str, str]:
        existing = self._tree.entries(posixpath.dirname(path))
        name = posixpath.basename(path)
        return self._tree.fingerprints(f"{path}{end}" for end in _BESIDE if f"{name}{end}" in existing)

    def _inherited(self, image: Image) -> dict[str, tuple[Trigger, ...]]:
        """Return the triggers of an image's parents in the catalog, by their reference in FROM."""
        found = {}
        for parent in image.all_parents:
            own = find(parent, self._versions)
            if own and (triggers := self._of_parent(own.path)):
                found[str(parent.reference)] = triggers
        return found

    def _triggers_of(self, base: str, inherited: Mapping[str, tuple[Trigger, ...]]) -> tuple[Trigger, ...]:
        """Return the triggers of an image in FROM. Raises InputError for broken ones of upstream."""
        name, _, digest = base.partition("@")
        return inherited.get(name) or upstream_triggers(self._upstream.get(digest, ()), name)

    def _of_parent(self, path: str) -> tuple[Trigger, ...]:
        if path not in self._triggers:
            raw = self._dockerfile(path) or b""
            try:
                text = raw.decode("utf-8", errors="replace")
                self._triggers[path] = onbuild(text, path) if _HAS_TRIGGERS.search(raw) else ()
            except InputError:  # reported where the parent itself is read
                self._triggers[path] = ()
        return self._triggers[path]

    def _select(self, image: Image, sources: Sequence[Source]) -> tuple[dict[str, str], tuple[Problem, ...]]:
        if not sources:
            return {}, ()
        context = self._context(image)
        found: dict[str, Source] = {}
        problems = []
        for source in sources:
            try:
                for path in context.select(source):
                    found.setdefault(path, source)
            except InputError as error:
                problems.append(Problem(Place(image.path, source.line), str(error)))
        fingerprints = context.fingerprints(found)
        for path, source in found.items():
            if not _is_utf8(path, fingerprints[path]):
                problems.append(Problem(Place(image.path, source.line), _not_utf8(path, source)))
        for path, instead in context.placeholders(found).items():
            source = found[path]
            message = f"{source.keyword} takes {printable(path)}, which is {instead}"
            problems.append(Problem(Place(image.path, source.line), message))
        return fingerprints, tuple(dict.fromkeys(problems))

    def _context(self, image: Image) -> BuildContext:
        """Return an image's context. Raises InputError for a missing folder or a broken ignore file."""
        name = str(image.family.context)
        root = resolve(self._tree.entries, self._tree.target, name)
        folder = root.path if root.path is not None and not root.is_outside else None
        if folder is None or kind_of(self._tree, folder) is not Kind.FOLDER:
            message = f"the build context {name} is not a folder"
            raise InputError(Problem(Place(image.family.base_file), message))
        ignore = self._ignore_file(image.path, folder)
        key = (folder, ignore)
        if key not in self._contexts:
            raw = self._tree.read(ignore) if ignore else None
            patterns = Patterns.of_file(raw or b"", ignore)
            self._contexts[key] = BuildContext(self._tree, folder, name, patterns, ignore)
        return self._contexts[key]

    def _ignore_file(self, dockerfile: str, context: str) -> str:
        """Return the ignore file: beside the Dockerfile, or else in the context; "" if both are missing.

        In both, BuildKit follows links as if that folder were the whole file system.
        """
        folder, name = posixpath.split(dockerfile)
        for root, file in ((folder, f"{name}{_IGNORE}"), (context, _IGNORE)):
            part = _Subtree(self._tree, root)
            resolved = resolve(part.entries, part.target, file)
            if resolved.path is not None and part.kind(resolved.path) is Kind.FILE:
                return within(root, resolved.path)
        return ""


class _Subtree:
    """A folder of a tree, with the interface of a tree."""

    def __init__(self, tree: FileTree, root: str) -> None:
        self._tree, self._root = tree, root

    def at(self, path: str) -> str:
        """Return the path in the whole tree."""
        return within(self._root, path) if path else self._root

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder."""
        return self._tree.entries(self.at(folder))

    def target(self, path: str) -> str:
        """Return the target of a link."""
        return self._tree.target(self.at(path))

    def kind(self, path: str) -> Kind | None:
        """Return the kind of a path."""
        return kind_of(self._tree, self.at(path))


class BuildContext:
    """A build context without ignored files; `shown` is its name in messages."""

    def __init__(
        self, tree: FileTree, root: str, shown: str, patterns: Patterns, ignore: str = _IGNORE
    ) -> None:
        """Open the folder `root` of a tree, with the patterns of its ignore file, whose path is `ignore`."""
        self._tree, self._shown, self._patterns, self._ignore = tree, shown, patterns, ignore
        self._all = _Subtree(tree, root)
        self._entries: dict[str, Mapping[str, Kind]] = {}
        self._verdicts: dict[str, Verdict | None] = {"": None}

    def entries(self, folder: str) -> Mapping[str, Kind]:
        """List a folder as BuildKit receives it.

        An ignored folder is included if an exception re-includes something in it.
        """
        above, _, name = folder.rpartition("/")
        if folder and self.entries(above).get(name) is not Kind.FOLDER:
            return {}
        return self._listed(folder)

    def _listed(self, folder: str) -> Mapping[str, Kind]:
        if folder not in self._entries:
            self._entries[folder] = {
                name: kind
                for name, kind in self._all.entries(folder).items()
                if self._is_there(folder, within(folder, name), kind)
            }
        return self._entries[folder]

    def _is_there(self, folder: str, path: str, kind: Kind) -> bool:
        verdict = self._verdicts[path] = self._patterns.judge(path, self._verdicts[folder])
        if not verdict.is_matched:
            return True
        if kind not in (Kind.FOLDER, Kind.SUBMODULE) or not self._patterns.except_below(path):
            return False
        return kind is Kind.SUBMODULE or bool(self._listed(path))

    def kind(self, path: str) -> Kind | None:
        """Return the kind of a path; None if it is ignored or does not exist."""
        folder, _, name = path.rpartition("/")
        return self.entries(folder).get(name) if path else Kind.FOLDER

    def fingerprints(self, paths: Mapping[str, object]) -> dict[str, str]:
        """Return the fingerprints of paths."""
        found = self._tree.fingerprints(self._all.at(path) for path in paths)
        return {path: found[self._all.at(path)] for path in paths}

    def placeholders(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the files without their content; see `FileTree.placeholders`."""
        at = {self._all.at(path): path for path in paths if self.kind(path) in (Kind.FILE, Kind.LINK)}
        return {at[path]: instead for path, instead in self._tree.placeholders(at).items()}

    def select(self, source: Source) -> Iterator[str]:
        """Yield the paths of a source, and the symbolic links that lead to them.

        Raises InputError for a missing source; as in BuildKit, a pattern may match nothing.
        """
        try:
            excluded = Patterns.of(source.excluded) if source.excluded else None
            wanted = Patterns.of([source.below]) if source.below else None
            if not source.is_pattern:
                yield from self._named(source, excluded, wanted)
                return
            yield from self._matching(source, excluded, wanted)
        except PatternError as error:
            raise InputError(
                f"{source.keyword} has an invalid pattern in {source.written!r} or its --exclude:"
                f" {error}; BuildKit rejects it"
            ) from None

    def _named(self, source: Source, excluded: Patterns | None, wanted: Patterns | None) -> Iterator[str]:
        # With --parents, the pattern's path must exist as well, unless it has wildcards.
        is_required = source.below is not None and not is_wild(source.below)
        for path in (source.path, within(source.path, source.below or "")) if is_required else (source.path,):
            resolved = resolve(self.entries, self._all.target, path)
            if resolved.path is None or not self.kind(resolved.path):
                raise InputError(self._missing(source, path))
            yield from resolved.links
        resolved = resolve(self.entries, self._all.target, source.path)
        yield from self._below(resolved.path or "", excluded, wanted)

    def _missing(self, source: Source, path: str) -> str:
        where = f"{source.keyword} takes {source.written!r}, which"
        resolved = resolve(self._all.entries, self._all.target, path)
        if resolved.path is not None and self._all.kind(resolved.path):
            return (
                f"{where} {self._ignore} excludes from the context {self._shown}; re-include it there with !"
            )
        is_outside = resolved.is_outside or posixpath.normpath(source.written.lstrip("/")).startswith("..")
        advice = "add it there, or copy it from a stage with --from"
        if is_outside:
            return f"{where} is outside the context {self._shown}; {advice}"
        return f"{where} does not exist in the context {self._shown}{self._similar(path)}; {advice}"

    def _similar(self, path: str) -> str:
        """Return a hint with a path that exists: relative to the context, in another case, or similar."""
        below = path.removeprefix(f"{self._shown}/")
        if below != path and self.kind(below):
            return f" (paths are relative to it: did you mean {below!r}?)"
        found = ""
        for part in path.split("/"):
            names = [*self.entries(found)]
            in_other_case = [name for name in names if name.casefold() == part.casefold()]
            close = [part] if part in names else in_other_case or get_close_matches(part, names, 1, 0.7)
            if not close:
                return ""
            found = within(found, close[0])
        return f" (did you mean {found!r}?)" if found != path else ""

    def _matching(self, source: Source, excluded: Patterns | None, wanted: Patterns | None) -> Iterator[str]:
        """Yield the matches of a pattern; links are followed before the first wildcard, and if they match."""
        parts = source.path.split("/")
        first = next(at for at, part in enumerate(parts) if is_wild(part))
        above, pattern = "/".join(parts[:first]), "/".join(parts[first:])
        matches = glob(pattern)
        start = resolve(self.entries, self._all.target, above)
        yield from start.links
        missing = ""
        for path in [] if start.path is None else self._walk(start.path, "", matches, pattern):
            resolved = resolve(self.entries, self._all.target, path)
            yield from resolved.links
            if resolved.path is not None and self.kind(resolved.path):
                yield from self._below(resolved.path, excluded, wanted)
            else:
                missing = missing or self._missing(source, path)
        if missing:
            raise InputError(missing)

    def _walk(self, base: str, below: str, matches: re.Pattern[str], pattern: str) -> Iterator[str]:
        folder = "/".join(filter(None, (base, below)))
        for name, kind in self.entries(folder).items():
            path = within(below, name)
            if matches.fullmatch(path) or (kind is Kind.SUBMODULE and _may_match_below(path, pattern)):
                yield within(folder, name)
            elif kind is Kind.FOLDER:
                yield from self._walk(base, path, matches, pattern)

    def _below(
        self, path: str, excluded: Patterns | None = None, wanted: Patterns | None = None
    ) -> Iterator[str]:
        """Yield a path and, if it is a folder, its contents that pass the filters."""
        if path:
            yield path
        if self.kind(path) is Kind.FOLDER:
            filters = tuple((one, is_in) for one, is_in in ((excluded, False), (wanted, True)) if one)
            yield from self._filtered(path, "", filters, tuple(None for _ in filters))

    def _filtered(
        self,
        base: str,
        below: str,
        filters: tuple[tuple[Patterns, bool], ...],
        above: tuple[Verdict | None, ...],
    ) -> Iterator[str]:
        """Yield the contents of a folder that pass; a folder also counts if something in it passes."""
        folder = "/".join(filter(None, (base, below)))
        for name, kind in self.entries(folder).items():
            path = within(below, name)
            verdicts = tuple(
                one.judge(path, verdict) for (one, _), verdict in zip(filters, above, strict=True)
            )
            passes = all(
                verdict.is_matched is is_in for verdict, (_, is_in) in zip(verdicts, filters, strict=True)
            )
            inside = list(self._filtered(base, path, filters, verdicts)) if kind is Kind.FOLDER else []
            if passes or inside or (kind is Kind.SUBMODULE and filters):
                yield within(folder, name)
            yield from inside


def _may_match_below(path: str, pattern: str) -> bool:
    """Whether a pattern may match something in a submodule, whose contents are unknown."""
    depth = path.count("/") + 1
    parts = pattern.split("/")
    try:
        return len(parts) > depth and glob("/".join(parts[:depth])).fullmatch(path) is not None
    except PatternError:  # a class that contains a slash
        return True


def _is_utf8(*texts: str) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_utf8(path: str, source: Source) -> str:
    return (
        f"{source.keyword} takes {printable(path)}, whose name or link target is not UTF-8, which BuildKit"
        f" cannot read; rename it, or exclude it in {_IGNORE}"
    )
