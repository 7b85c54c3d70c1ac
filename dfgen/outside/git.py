"""A revision of a git repository, read into a folder: nothing is checked out, and no hook or filter runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dfgen.values.errors import InputError, OutsideError

_MAIN = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
_SAFE = ("-c", "core.fsmonitor=", "-c", f"core.hooksPath={os.devnull}", "-c", "core.pager=cat")
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C",
}
_LINK, _SUBMODULE, _PROGRAM = "120000", "160000", "100755"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A file of a tree; `path` is relative to the folder that was asked."""

    mode: str
    blob: str
    path: str


class Git:
    """The repository that a folder belongs to; the folder may lie anywhere in it."""

    def __init__(self, folder: Path) -> None:
        """Take the folder. Errors: InputError where it is in no repository."""
        self._folder = folder
        if self._try("rev-parse", "--git-dir") is None:
            raise InputError(f"{folder}: is in no git repository; name two folders: `dfgen review DIR DIR`")

    def commit(self, revision: str) -> str:
        """Find a revision's commit. Errors: InputError saying what to fetch."""
        found = self._try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if found is None:
            fetch = "git fetch --unshallow" if self._is_shallow() else "git fetch origin"
            raise InputError(f"{revision!r} is no revision of this repository, nor a folder; try `{fetch}`")
        return found

    def base(self) -> str:
        """Find the commit at which this branch left the main one. Errors: InputError saying what to fetch."""
        for name in _MAIN:
            if self._try("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") is None:
                continue
            if found := self._try("merge-base", name, "HEAD"):
                return found.splitlines()[0]
            fetch = "git fetch --unshallow" if self._is_shallow() else "git fetch origin"
            raise InputError(f"HEAD and {name} have no common commit here; try `{fetch}`, or name BASE")
        raise InputError(f"no main branch (tried {', '.join(_MAIN)}); try `git fetch origin`, or name BASE")

    def extract(self, commit: str, paths: Sequence[str], target: Path) -> None:
        """Write what a commit holds below `paths`, relative to the folder, into `target`.

        Submodules are passed over, and so are links that lead out of `target`. Errors: OutsideError.
        """
        entries = [one for one in self._entries(commit, paths) if one.mode != _SUBMODULE]
        blobs = self._blobs([one.blob for one in entries])
        links: list[tuple[Path, str]] = []
        for folder in {(target / entry.path).parent for entry in entries}:
            folder.mkdir(parents=True, exist_ok=True)
        for entry, content in zip(entries, blobs, strict=True):
            path = target / entry.path
            if entry.mode == _LINK:
                links.append((path, content.decode("utf-8", errors="replace")))
                continue
            path.write_bytes(content)
            if entry.mode == _PROGRAM:
                path.chmod(0o755)
        for path, to in links:  # last, so that nothing is written through one
            if not Path(to).is_absolute() and (path.parent / to).resolve().is_relative_to(target.resolve()):
                path.symlink_to(to)

    def _entries(self, commit: str, paths: Sequence[str]) -> Iterator[_Entry]:
        listed = self._read("ls-tree", "-r", "-z", commit, "--", *paths)
        for line in listed.split("\0"):
            about, _, path = line.partition("\t")
            if path and ".." not in PurePosixPath(path).parts and not path.startswith("/"):
                mode, _, blob = about.split(" ")
                yield _Entry(mode=mode, blob=blob, path=path)

    def _blobs(self, names: Sequence[str]) -> list[bytes]:
        done = self._run(("cat-file", "--batch"), "".join(f"{name}\n" for name in names).encode())
        if done.returncode:
            raise OutsideError(f"`git cat-file --batch` failed: {_last(done)}")
        found, at = [], 0
        for name in names:
            end = done.stdout.find(b"\n", at)
            words = done.stdout[at:end].split()
            if len(words) != 3:
                raise OutsideError(
                    f"git has not got object {name}; `git fetch origin` brings what is missing"
                )
            size = int(words[2])
            found.append(done.stdout[end + 1 : end + 1 + size])
            at = end + size + 2
        return found

    def _is_shallow(self) -> bool:
        return self._try("rev-parse", "--is-shallow-repository") == "true"

    def _try(self, *words: str) -> str | None:
        """Give what a command says, None where it fails."""
        done = self._run(words)
        return None if done.returncode else done.stdout.decode("utf-8", errors="replace").strip()

    def _read(self, *words: str) -> str:
        done = self._run(words)
        if done.returncode:
            raise OutsideError(f"`git {words[0]}` failed: {_last(done)}")
        return done.stdout.decode("utf-8", errors="surrogateescape")

    def _run(self, words: Sequence[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, **_ENVIRONMENT}
        try:
            return subprocess.run(
                ["git", "-C", str(self._folder), *_SAFE, *words],
                input=given,
                capture_output=True,
                env=environment,
                check=False,
            )
        except OSError as error:
            raise OutsideError(f"git cannot be run: {error.strerror}; install git") from error


def _last(done: subprocess.CompletedProcess[bytes]) -> str:
    return (done.stderr.decode("utf-8", errors="replace").strip().splitlines() or ["no output"])[-1]
