"""What a revision of a git repository holds: nothing is checked out or fetched, no hook or filter runs."""

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
_SAFE = ("-c", "core.fsmonitor=", "-c", f"core.hooksPath={os.devnull}", "-c", "core.pager=cat")
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch what it lacks, one object after the other
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C",
}
# A hook that runs dfgen has these for its own repository, which need not be the folder's.
_HOOKS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"})
_CONVERTING = ("true", "yes", "on", "1", "input")
_KNOWN = ("--cached", "--others", "--exclude-standard")
_SKIPPED = "S"  # a file of the index that need not be on disk, in `git ls-files -t`
_LINK, _SUBMODULE, _PROGRAM = "120000", "160000", "100755"
_OTHERWISE = "name two folders: `dfgen review DIR DIR`"  # what to do where git does not help


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of a revision: its mode and the name of its content, both as git writes them."""

    mode: str
    blob: str

    @property
    def is_link(self) -> bool:
        """Whether its content is the path that it leads to."""
        return self.mode == _LINK

    @property
    def is_submodule(self) -> bool:
        """Whether it is a commit of another repository, whose files are not here."""
        return self.mode == _SUBMODULE

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.mode not in (_LINK, _SUBMODULE)

    @property
    def is_program(self) -> bool:
        """Whether it may be run."""
        return self.mode == _PROGRAM


class Git:
    """The repository that a folder lies in, however deep; paths are relative to the folder."""

    def __init__(self, folder: Path) -> None:
        """Take the folder. Raises InputError if git does not accept it as part of a repository."""
        self._folder = folder
        if not folder.is_dir():
            raise InputError(f"{folder}: is not a folder; pass the folder of a catalog with -C")
        done = self._run(("rev-parse", "--git-dir"))
        if b"dubious ownership" in done.stderr:
            raise InputError(
                f"{folder}: the repository is another user's, and git does not read it; allow it with"
                " `git config --global --add safe.directory DIR`"
            )
        if done.returncode:
            raise InputError(f"{folder}: is in no git repository; {_OTHERWISE}")

    def commit(self, revision: str) -> str:
        """Find a revision's commit. Errors: InputError saying what to fetch."""
        found = self._commit(revision)
        if found is None:
            self._check_born(revision)
            place = "nor a folder that holds a catalog" if Path(revision).is_dir() else "nor a folder"
            raise InputError(f"{revision!r} is no revision of this repository, {place}; try `{self._fetch}`")
        return found

    def base(self) -> str:
        """Find the commit at which this branch left the main one. Errors: InputError saying what to fetch."""
        self._check_born("HEAD")
        there = (self._try("for-each-ref", "--format=%(refname)", *_MAIN.values()) or "").splitlines()
        for name, reference in _MAIN.items():
            if reference not in there:
                continue
            if found := self._try("merge-base", reference, "HEAD"):
                return found.splitlines()[0]
            raise InputError(f"HEAD and {name} have no common commit here; try `{self._fetch}`, or name BASE")
        every = f"{self._fetch.removesuffix(' origin')} origin '+refs/heads/*:refs/remotes/origin/*'"
        raise InputError(f"no main branch (tried {', '.join(_MAIN)}); try `{every}`, or name BASE")

    def entries(self, commit: str, paths: Sequence[str]) -> dict[str, Entry]:
        """List what a commit holds below `paths`; of a submodule the commit. Errors: ExternalError."""
        found: dict[str, Entry] = {}
        for line in self._names("ls-tree", "-r", "-z", commit, "--", *paths):
            about, _, path = line.partition("\t")
            mode, _, blob = about.split(" ")
            if ".." not in PurePosixPath(path).parts and not path.startswith("/"):
                found[path] = Entry(mode=mode, blob=blob)
        return found

    def contents(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each content by its name, one by one, as they may be large. Errors: ExternalError."""
        names = list(dict.fromkeys(blobs))
        if not names:
            return
        with TemporaryFile() as asked:  # not a pipe, which would fill up from both ends
            asked.write("".join(f"{name}\n" for name in names).encode())
            asked.seek(0)
            with self._start(("cat-file", "--batch"), asked) as process:
                assert process.stdout
                for name in names:
                    yield name, _next(process.stdout, name)

    def files(self, paths: Sequence[str]) -> list[str]:
        """List what a commit of the files as they are could hold below `paths`: nothing that git ignores.

        Files that were deleted are among them, and folders of other repositories.
        Errors: InputError for a file that a sparse checkout leaves out, ExternalError.
        """
        found = {line[2:]: line[0] for line in self._names("ls-files", "-z", "-t", *_KNOWN, "--", *paths)}
        for path, tag in found.items():
            if tag == _SKIPPED and not (self._folder / path).exists():
                message = "is left out of this sparse checkout; `git sparse-checkout disable` brings it"
                raise InputError(Problem(Place(path), message))
        return sorted(found)

    def submodule(self, path: str) -> str:
        """Find the commit that `git add` would record for a submodule; "" if the path is not a submodule."""
        inner = self._folder / path
        if (inner / ".git").exists():  # else git would take the folder for a part of the outer repository
            done = self._run(("rev-parse", "--verify", "--quiet", "HEAD^{commit}"), inner)
            if not done.returncode:
                return done.stdout.decode().strip()
        staged = self._names("ls-files", "-s", "-z", "--", path)
        return staged[0].split()[1] if staged and staged[0].startswith(_SUBMODULE) else ""

    def converted(self, paths: Sequence[str]) -> frozenset[str]:
        """Find the files below `paths` of which a commit has LF where they have CRLF. Errors: ExternalError.

        Their attributes or `core.autocrlf` say so; a file that was committed with CRLF stays so.
        """
        always = (self._try("config", "--get", "core.autocrlf") or "").lower() in _CONVERTING
        found = (
            line.partition("\t") for line in self._names("ls-files", "-z", "--eol", *_KNOWN, "--", *paths)
        )
        return frozenset(path for about, _, path in found if _is_converted(about.split(), always=always))

    @cached_property
    def algorithm(self) -> str:
        """The hash that names contents, `sha1` or `sha256`."""
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
            raise InputError(f"HEAD has no commit yet; commit first, or {_OTHERWISE}")

    def _try(self, *words: str) -> str | None:
        """Give what a command says, None where it fails."""
        done = self._run(words)
        return None if done.returncode else done.stdout.decode("utf-8", errors="replace").strip()

    def _names(self, *words: str) -> list[str]:
        """Run a command that ends each line with a NUL."""
        return [line for line in self._checked(*words).split("\0") if line]

    def _checked(self, *words: str) -> str:
        """Give what a command says. Errors: ExternalError where it fails."""
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
        self, words: Sequence[str], given: IO[bytes] | None = None, folder: Path | None = None
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                ["git", "-C", str(folder or self._folder), *_SAFE, *words],
                stdin=given or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if given else subprocess.PIPE,
                env={name: text for name, text in os.environ.items() if name not in _HOOKS} | _ENVIRONMENT,
            )
        except OSError as error:
            raise ExternalError(f"git cannot be run: {error.strerror}; install git") from error


def _is_converted(about: Sequence[str], *, always: bool) -> bool:
    """Judge a line of `git ls-files --eol`: `i/lf w/crlf attr/text=auto eol=crlf`."""
    if about[0] in ("i/crlf", "i/mixed") or "attr/-text" in about:
        return False
    return always or any(word.startswith(("attr/text", "eol=")) for word in about)


def _next(output: IO[bytes], name: str) -> bytes:
    """Read one answer of `git cat-file --batch`: `NAME blob SIZE`, the content, a newline."""
    words = output.readline().split()
    if len(words) != 3:
        raise ExternalError(
            f"git has not got object {name}; in a partial clone `git fetch --refetch --no-filter` brings it"
        )
    content = output.read(int(words[2]))
    output.read(1)
    return content
