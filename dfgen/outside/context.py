"""Build contexts on disk: which files a Dockerfile uses, as BuildKit finds them, and their hashes."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from dfgen.images.inputs import Inputs
from dfgen.images.sources import Source, context_sources
from dfgen.model.catalog import Image
from dfgen.values.digest import Digest
from dfgen.values.errors import InputError, OutsideError, Place, Problem, printable

_LINKS = 40  # a chain of more symbolic links is a loop, as it is for the kernel
_USES_CONTEXT = re.compile(rb"(?im)^[ \t]*(COPY|ADD)\b|--mount")
_CLASS = re.compile(r"\[(\^?)([^]]+)\]")
_IGNORE = ".dockerignore"

Excluded = Callable[[str], bool]


class ContextReader:
    """Reads the inputs of images; each context file is read once, however many images use it."""

    def __init__(
        self,
        root: Path,
        describe: Callable[[Path], str] | None = None,
        texts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Take the catalog's root, which the paths of images are relative to, and what reads a file.

        `texts` are Dockerfiles by their paths, as they will be: those are not read.
        """
        self._root, self._describe, self._texts = root, describe or _describe, texts
        self._hashes: dict[Path, str] = {}
        self._contexts: dict[tuple[Path, Path | None], BuildContext] = {}

    def inputs(self, image: Image, options: Mapping[str, str]) -> Inputs:
        """Hash what an image is built from.

        Errors: InputError for a Dockerfile that is not there, and with the line of every source that is not.
        """
        raw = self._dockerfile(str(image.dockerfile))
        files = self._files(image, raw) if _USES_CONTEXT.search(raw) else {}
        return Inputs(dockerfile=Digest.of(raw), files=files, options=options)

    def _dockerfile(self, shown: str) -> bytes:
        if shown in self._texts:
            return self._texts[shown].encode()
        try:
            return (self._root / shown).read_bytes()
        except FileNotFoundError:
            raise InputError(Problem(Place(shown), "does not exist; run `dfgen render`")) from None
        except OSError as error:
            raise OutsideError(Problem(Place(shown), f"cannot be read: {error.strerror}")) from error

    def _files(self, image: Image, raw: bytes) -> dict[str, str]:
        """Hash the context files that a Dockerfile names."""
        shown = str(image.dockerfile)
        context = self._context(image)
        found: dict[str, str] = {}
        problems: list[Problem] = []
        for source in context_sources(raw.decode("utf-8", errors="replace"), shown):
            try:
                for path in context.select(source):
                    found[path] = self._hash(context.root / path)
                    _check_utf8(path, found[path], source)
            except InputError as error:
                problems.append(Problem(Place(shown, source.line), str(error)))
        if problems:
            raise InputError(problems)
        return found

    def _context(self, image: Image) -> BuildContext:
        root = self._root / image.family.context
        # BuildKit looks beside the Dockerfile first, and then at the root of the context.
        beside = self._root / f"{image.dockerfile}{_IGNORE}"
        ignore = next((path for path in (beside, root / _IGNORE) if path.is_file()), None)
        key = (root, ignore)
        if key not in self._contexts:
            if not root.is_dir():
                message = f"the build context {image.family.context} is not a folder"
                raise InputError(Problem(Place(image.family.base_file), message))
            self._contexts[key] = BuildContext(root, str(image.family.context), _excluded(ignore))
        return self._contexts[key]

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = self._describe(path)
        return self._hashes[path]


class BuildContext:
    """A folder that Dockerfiles COPY from, `shown` in messages, without what its ignore file leaves out."""

    def __init__(self, root: Path, shown: str, excluded: Excluded) -> None:
        """Take the folder and what decides that a path in it does not belong to the context."""
        self.root, self._shown, self._excluded = root, shown, excluded

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Everything in it, folders too, relative to it, sorted."""
        return tuple(sorted(path for path in _walk(self.root) if not self._excluded(path)))

    def select(self, source: Source) -> Iterator[str]:
        """Yield the paths that a source takes, and the symbolic links on the way to them.

        Errors: InputError for a source that is not there; a pattern may match nothing, as with BuildKit.
        """
        if source.is_whole:
            yield from self.paths
        elif source.is_glob:
            pattern = _pattern(_clean(source.path))
            for path in [one for one in self.paths if pattern.fullmatch(one)]:
                yield from self._below(path)
        else:
            yield from self._named(source)

    def _named(self, source: Source) -> Iterator[str]:
        path, links, left = self._resolve(_clean(source.path))
        if not path:
            yield from self.paths
            return
        where = f"{source.keyword} takes {source.path!r}, which"
        left = left or _leaves(source.path)
        if not os.path.lexists(self.root / path):
            place = f"is outside of the context {self._shown}" if left else f"is not in {self._shown}"
            raise InputError(f"{where} {place}; put it there, or take it from a stage with --from")
        found = list(self._below(path))
        if not found:
            raise InputError(f"{where} the ignore file leaves out of {self._shown}; except it there with !")
        yield from links
        yield from found

    def _below(self, path: str) -> Iterator[str]:
        """Yield a path and, when it is a folder, all that is in it."""
        inside = f"{path}/"
        yield from (one for one in self.paths if one == path or one.startswith(inside))

    def _resolve(self, path: str) -> tuple[str, list[str], bool]:
        """Follow the symbolic links of a path; like BuildKit, as if the context were the root of the disk.

        Returns where it leads, the links on the way, and whether one of them led out of the context.
        """
        todo = list(reversed(PurePosixPath(path).parts))
        done: list[str] = []
        links: list[str] = []
        left = False
        while todo:
            part = todo.pop()
            if part == "..":
                left = left or not done
                done = done[:-1]
                continue
            here = "/".join((*done, part))
            if not (self.root / here).is_symlink() or len(links) == _LINKS:
                done.append(part)
                continue
            links.append(here)
            target = PurePosixPath((self.root / here).readlink())
            if target.is_absolute():
                left, done = True, []
            todo.extend(reversed([one for one in target.parts if one != "/"]))
        return "/".join(done), links, left


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        below = os.path.relpath(folder, root)
        for name in (*folders, *files):
            yield name if below == "." else f"{below}/{name}"


def _describe(path: Path) -> str:
    """Write what of a file decides about an image: kind, mode and content, not its time or owner."""
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            return f"link {path.readlink()}"
        mode = f"{stat.S_IMODE(found.st_mode):o}"
        if stat.S_ISDIR(found.st_mode):
            return f"folder {mode}"
        if not stat.S_ISREG(found.st_mode):
            return "special"
        with path.open("rb") as file:
            return f"file {mode} sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise OutsideError(Problem(Place(str(path)), f"cannot be read: {error.strerror}")) from error


def _excluded(ignore: Path | None) -> Excluded:
    """Read an ignore file; without one nothing is excluded."""
    if ignore is None:
        return lambda _: False
    from docker.utils.build import Pattern

    try:
        lines = ignore.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(Place(str(ignore)), f"cannot be read: {error}")) from error
    words = (line.strip() for line in lines if not line.startswith("#"))
    patterns = [pattern for pattern in map(Pattern, filter(None, words)) if pattern.dirs]

    def excluded(path: str) -> bool:
        """Whether the last pattern that fits the path, or a folder above it, leaves it out."""
        # The library's own walk looks at one parent only, BuildKit at all: `**/deep` excludes what is in it.
        parts = path.split("/")
        prefixes = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        found = [one.exclusion for one in patterns if any(one.match(prefix) for prefix in prefixes)]
        return bool(found) and not found[-1]

    return excluded


def _check_utf8(path: str, described: str, source: Source) -> None:
    try:
        f"{path} {described}".encode()
    except UnicodeEncodeError:
        why = "which is not UTF-8, by its name or by where it links to, so that BuildKit cannot read it"
        how = f"rename it, or leave it out in {_IGNORE}"
        raise InputError(f"{source.keyword} takes {printable(path)}, {why}; {how}") from None


def _clean(path: str) -> str:
    """Normalize a source as BuildKit does, for which the context is the root: no `..` leads out of it."""
    return os.path.normpath(f"/{path}").lstrip("/")


def _leaves(path: str) -> bool:
    return os.path.normpath(path.lstrip("/")).startswith("..")


def _pattern(glob: str) -> re.Pattern[str]:
    r"""Turn Go's path.Match pattern into a regular expression; `**` is that of `COPY --parents`."""
    text = ""
    at = 0
    while at < len(glob):
        char = glob[at]
        klass = _CLASS.match(glob, at)
        if glob.startswith("**", at):
            text, at = f"{text}.*", at + 1
        elif char in "*?":
            text += "[^/]*" if char == "*" else "[^/]"
        elif char == "\\" and at + 1 < len(glob):
            text, at = text + re.escape(glob[at + 1]), at + 1
        elif klass:
            members = klass[2].replace("[", r"\[")
            text, at = f"{text}[{klass[1]}{members}]", klass.end() - 1
        else:
            text += re.escape(char)
        at += 1
    return re.compile(text, re.DOTALL)
