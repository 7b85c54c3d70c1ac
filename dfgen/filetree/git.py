"""Reads revisions of a git repository, without checkout, fetch, hooks or filters."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO

from dfgen.errors import ExternalError, InputError, Place, Problem, printable

_MAIN = {
    "origin/HEAD": "refs/remotes/origin/HEAD",
    "origin/main": "refs/remotes/origin/main",
    "origin/master": "refs/remotes/origin/master",
    "main": "refs/heads/main",
    "master": "refs/heads/master",
}
# A repository under review is not trusted: its configuration must not start programs.
_SAFE = ("-c", "core.fsmonitor=", "-c", f"core.hooksPath={os.devnull}", "-c", "core.pager=cat")
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch missing objects, one by one
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C",
}
# git sets these for hooks. If a hook runs dfgen, they name its repository, which may be another one.
_HOOKS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"})
# The other side of a merge, cherry-pick, revert or rebase in progress.
_MERGED = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD^", "REBASE_HEAD")
_CONVERTING = ("true", "yes", "on", "1", "input")
_KNOWN = ("--cached", "--others", "--exclude-standard")
_SKIPPED = "S"  # the tag of `git ls-files -t` for a file that a sparse checkout skips
_LINK, _SUBMODULE, _PROGRAM = "120000", "160000", "100755"
_OTHERWISE = "compare two folders: `dfgen review DIR DIR`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of a revision: git's mode and object name."""

    mode: str
    blob: str

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link, whose content is its target."""
        return self.mode == _LINK

    @property
    def is_submodule(self) -> bool:
        """Whether it is a submodule, whose files are in another repository."""
        return self.mode == _SUBMODULE

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.mode not in (_LINK, _SUBMODULE)

    @property
    def is_program(self) -> bool:
        """Whether it is executable."""
        return self.mode == _PROGRAM


class Git:
    """The repository of a folder, which may be any folder in it; paths are relative to the folder."""

    def __init__(self, folder: Path) -> None:
        """Open the repository of a folder. Raises InputError if git does not accept it."""
        self._folder = folder
        if not folder.is_dir():
            raise InputError(f"{folder}: is not a folder; set the catalog's folder with -C")
        done = self._run(("rev-parse", "--git-dir"))
        if b"dubious ownership" in done.stderr:
            raise InputError(
                f"{folder}: the repository belongs to another user, so git does not read it; allow it with"
                " `git config --global --add safe.directory DIR`"
            )
        if done.returncode:
            raise InputError(f"{folder}: is not in a git repository; {_OTHERWISE}")

    def commit(self, revision: str) -> str:
        """Return the commit of a revision. Raises InputError, with what to fetch, if it is not found."""
        found = self._commit(revision)
        if found is None:
            self._check_born(revision)
            other = "a folder with a catalog" if Path(revision).is_dir() else "a folder"
            raise InputError(f"{revision!r} is neither a git revision nor {other}; try `{self._fetch}`")
        return found

    def base(self) -> str:
        """Return the merge base of HEAD and the main branch. Raises InputError, with what to fetch."""
        self._check_born("HEAD")
        existing = (self._try("for-each-ref", "--format=%(refname)", *_MAIN.values()) or "").splitlines()
        for name, reference in _MAIN.items():
            if reference not in existing:
                continue
            if found := self._try("merge-base", reference, "HEAD"):
                return found.splitlines()[0]
            raise InputError(
                f"HEAD and {name} have no common commit in this clone; try `{self._fetch}`, or specify BASE"
            )
        every = f"{self._fetch.removesuffix(' origin')} origin '+refs/heads/*:refs/remotes/origin/*'"
        raise InputError(f"no main branch found (tried {', '.join(_MAIN)}); try `{every}`, or specify BASE")

    def entries(self, commit: str, paths: Sequence[str]) -> dict[str, Entry]:
        """List the files of a commit below `paths`; a submodule has its commit. Raises ExternalError."""
        found: dict[str, Entry] = {}
        for line in self._names("ls-tree", "-r", "-z", commit, "--", *paths):
            about, _, path = line.partition("\t")
            mode, _, blob = about.split(" ")
            # A crafted tree may contain such paths, and `write` would leave its folder.
            if ".." not in PurePosixPath(path).parts and not path.startswith("/"):
                found[path] = Entry(mode=mode, blob=blob)
        return found

    def contents(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield contents with their names, one by one, as they may be large. Raises ExternalError."""
        names = list(dict.fromkeys(blobs))
        if not names:
            return
        with TemporaryFile() as asked:  # not a pipe: both ends could block when their buffers are full
            asked.write("".join(f"{name}\n" for name in names).encode())
            asked.seek(0)
            with self._start(("cat-file", "--batch"), asked) as process:
                assert process.stdout
                for name in names:
                    yield name, _next(process.stdout, name)

    def files(self, paths: Sequence[str]) -> list[str]:
        """List the files below `paths` that git would commit, that is, without ignored files.

        Includes deleted files and folders of other repositories. Raises InputError for a file that a sparse
        checkout skips, and ExternalError.
        """
        found = {line[2:]: line[0] for line in self._names("ls-files", "-z", "-t", *_KNOWN, "--", *paths)}
        for path, tag in found.items():
            if tag == _SKIPPED and not (self._folder / path).exists():
                message = "is excluded by this sparse checkout; run `git sparse-checkout disable`"
                raise InputError(Problem(Place(path), message))
        return sorted(found)

    def submodule(self, path: str) -> str:
        """Return the commit that `git add` would record for a submodule; "" for any other path."""
        inner = self._folder / path
        if (inner / ".git").exists():  # otherwise git would use the outer repository
            done = self._run(("rev-parse", "--verify", "--quiet", "HEAD^{commit}"), inner)
            if not done.returncode:
                return done.stdout.decode().strip()
        staged = self._names("ls-files", "-s", "-z", "--", path)
        return staged[0].split()[1] if staged and staged[0].startswith(_SUBMODULE) else ""

    def converted(self, paths: Sequence[str]) -> frozenset[str]:
        """Return the files below `paths` whose CRLF git would commit as LF. Raises ExternalError.

        Attributes and `core.autocrlf` decide; a file that was committed with CRLF keeps it.
        """
        always = (self._try("config", "--get", "core.autocrlf") or "").lower() in _CONVERTING
        found = (
            line.partition("\t") for line in self._names("ls-files", "-z", "--eol", *_KNOWN, "--", *paths)
        )
        return frozenset(path for about, _, path in found if _is_converted(about.split(), always=always))

    def unmerged(self, paths: Sequence[str], added: Sequence[str] = ()) -> dict[str, list[str]]:
        """Return both sides of each file that git could not merge, and their common base if there is one.

        `added` are files that were added to the index with their conflict, so that it has their sides no
        longer: these are read from HEAD and from the merged commit. Raises ExternalError.
        """
        blobs: dict[str, list[str]] = {}
        for line in self._names("ls-files", "--unmerged", "-z", "--", *paths):
            about, _, path = line.partition("\t")
            blobs.setdefault(path, []).append(about.split(" ")[1])
        merged = next((one for one in _MERGED if self._commit(one)), None)
        if merged and (left := [path for path in added if path not in blobs]):
            for commit in ("HEAD", merged):
                for path, entry in self.entries(commit, left).items():
                    blobs.setdefault(path, []).append(entry.blob)
        texts = dict(self.contents(blob for found in blobs.values() for blob in found))
        return {
            path: [texts[blob].decode("utf-8", errors="replace") for blob in found]
            for path, found in blobs.items()
            if len(found) > 1
        }

    @cached_property
    def algorithm(self) -> str:
        """The hash algorithm of object names, `sha1` or `sha256`."""
        return self._try("rev-parse", "--show-object-format") or "sha1"

    @property
    def _fetch(self) -> str:
        return "git fetch --unshallow" if self._is_shallow else "git fetch origin"

    @property
    def _is_shallow(self) -> bool:
        return self._try("rev-parse", "--is-shallow-repository") == "true"

    def _commit(self, revision: str) -> str | None:
        return self._try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")

    def _check_born(self, revision: str) -> None:
        if revision.partition("~")[0].partition("^")[0] in ("HEAD", "@") and self._commit("HEAD") is None:
            raise InputError(f"HEAD has no commits yet; commit first, or {_OTHERWISE}")

    def _try(self, *words: str) -> str | None:
        """Return the output of a command, None if it fails."""
        done = self._run(words)
        return None if done.returncode else done.stdout.decode("utf-8", errors="replace").strip()

    def _names(self, *words: str) -> list[str]:
        """Return the NUL-terminated lines of a command's output."""
        return [line for line in self._checked(*words).split("\0") if line]

    def _checked(self, *words: str) -> str:
        """Return the output of a command. Raises ExternalError if it fails."""
        done = self._run(words)
        if done.returncode:
            last = (done.stderr.decode("utf-8", errors="replace").strip().splitlines() or ["no output"])[-1]
            raise ExternalError(f"`git {words[0]}` failed: {printable(last)}")
        return os.fsdecode(done.stdout)

    def _run(self, words: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        with self._start(words, folder=folder) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def _start(
        self, words: Sequence[str], stdin: IO[bytes] | None = None, folder: Path | None = None
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                ["git", "-C", str(folder or self._folder), *_SAFE, *words],
                stdin=stdin or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if stdin else subprocess.PIPE,
                env={name: text for name, text in os.environ.items() if name not in _HOOKS} | _ENVIRONMENT,
            )
        except OSError as error:
            raise ExternalError(f"git cannot be run: {error.strerror}; install git") from error


def _is_converted(about: Sequence[str], *, always: bool) -> bool:
    """Evaluate a line of `git ls-files --eol`: `i/lf w/crlf attr/text=auto eol=crlf`."""
    if about[0] in ("i/crlf", "i/mixed") or "attr/-text" in about:
        return False
    return always or any(word.startswith(("attr/text", "eol=")) for word in about)


def _next(output: IO[bytes], name: str) -> bytes:
    """Read an object from `git cat-file --batch`: `NAME blob SIZE`, the content, a newline."""
    words = output.readline().split()
    if len(words) != 3:
        raise ExternalError(
            f"git object {name} is missing; in a partial clone, run `git fetch --refetch --no-filter`"
        )
    content = output.read(int(words[2]))
    output.read(1)
    return content
