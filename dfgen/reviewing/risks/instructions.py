"""Risks of what Dockerfiles say now: root, an ADD of a URL, a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dfgen.dockerfile import Dockerfile, Instruction, parse
from dfgen.dockerfile.secrets import is_secret, secrets_in
from dfgen.dockerfile.unknown import unknown_instructions
from dfgen.reviewing.instructions import is_pin
from dfgen.reviewing.records import Group, Kind, State
from dfgen.reviewing.risks import error, warning
from dfgen.reviewing.risks.carried import Carried, Word
from dfgen.values.errors import InputError, Place, printable
from dfgen.values.finding import Finding, Level

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+:", re.IGNORECASE)
_COMMIT = re.compile(r"#[0-9a-f]{40}(?::|$)")
_ROOT = re.compile(r"(?:root|[+-]?0+)(?::.*)?")
_STAYS = "what it holds can be read in the image's history; use RUN --mount=type=secret"
# The seal, and the pinned image of a FROM, which names no stage and holds no variable.
_OWN = re.compile(
    r"^(# dfgen:|FROM --platform=[a-z0-9/]+ [A-Za-z0-9._/:-]+@)sha256:[0-9a-f]{64}", re.MULTILINE
)
# What of an instruction says who the image runs as, what it takes from the network, or what a variable is.
_MATTERS = frozenset(("ADD", "ARG", "ENV", "FROM", "ONBUILD", "USER", "# escape"))


class _Side:
    """One state of a Dockerfile; nothing of one that is not there or cannot be read."""

    def __init__(self, text: str) -> None:
        try:
            self.file = parse(text) if text else Dockerfile(directives={}, instructions=())
        except InputError:
            self.file = Dockerfile(directives={}, instructions=())
        carried = Carried(self.file)
        self.words, self.last = carried.words, carried.last

    def of(self, keyword: str) -> list[Word]:
        """The words of an instruction, in ONBUILD too."""
        return [word for word in self.words if word.keyword.removeprefix("ONBUILD ") == keyword]


def _is_root(user: Word | None) -> bool:
    return user is not None and _ROOT.fullmatch(user.value.strip()) is not None


def becomes_root(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """The image runs as root, or as whoever its parent says, and did not before; or its children will."""
    was, now = old.last.user, new.last.user
    if now and _is_root(now) and not _is_root(was):
        message = f"USER becomes {_shown(now)}; expected a user without privileges at the end"
        yield warning("user-root", message, Place(path, now.line))
    elif was and not now and new.file.instructions and not _is_root(was):
        message = f"USER {_shown(was)} is gone; the image runs as its parent's user, root mostly"
        yield warning("user-root", message, Place(path, new.last.line))
    children = new.last.onbuild_user
    if children and _is_root(children) and not _is_root(old.last.onbuild_user):
        message = f"ONBUILD USER becomes {_shown(children)}; expected no image that is built on this as root"
        yield warning("user-root", message, Place(path, children.line))


def _shown(user: Word) -> str:
    """A user as it is written, with what that is where it is a variable."""
    known = f" ({printable(user.value)})" if "$" in user.written else ""
    return f"{printable(user.written)}{known}"


def adds_url(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """An ADD that takes something from the network, and was not there before."""
    known = {_source(word) for word in old.of("ADD")}
    for word in new.of("ADD"):
        if _URL.match(word.value) and _source(word) not in known:
            pinned = _source(word)[1] or _COMMIT.search(word.value)
            message = f"{word.keyword} takes {_bare(word.value)} from the network" + (
                "; its checksum is given" if pinned else "; give --checksum, or copy it from the context"
            )
            level = Level.NOTE if pinned else Level.WARNING
            yield Finding(rule="add-url", level=level, message=message, place=Place(path, word.line))


def _source(word: Word) -> tuple[str, tuple[str, ...]]:
    """What an ADD takes, and how that is checked."""
    return word.value, (word.instruction.trigger or word.instruction).flag("checksum")


def _bare(url: str) -> str:
    """Write a URL without what may be a password in it."""
    return printable(re.sub(r"//[^/@]*@", "//", url).partition("?")[0])


def keeps_secret(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """An ARG or ENV that looks like a secret; its value stays in the image's history for everybody."""
    known = {(word.keyword, word.name, word.value) for word in old.words}
    for word in (*new.of("ARG"), *new.of("ENV")):
        is_new = (word.keyword, word.name, word.value) not in known
        empty = not word.written.strip("\"'")
        if is_new and not (empty and word.keyword.endswith("ENV")) and is_secret(word.name, word.value):
            message = f"{word.keyword} {printable(word.name)} looks like a secret; {_STAYS}"
            yield (warning if empty else error)("secret", message, Place(path, word.line))


def writes_secret(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """Any other instruction that holds what has the shape of a secret, heredocs included."""
    known = {secret for one in old.file.instructions for secret in secrets_in(_whole(one))}
    for one in new.file.instructions:
        if (one.trigger or one).keyword not in ("ARG", "ENV") and secrets_in(_whole(one)) - known:
            message = f"{one.keyword} holds what looks like a secret; {_STAYS}"
            yield error("secret", message, Place(path, one.line))


def _whole(one: Instruction) -> str:
    return "\n".join((one.text, *(heredoc.content for heredoc in one.heredocs)))


def is_unknown(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """What is no instruction, and was not there before: no build gets past it."""
    known = {message for _, message in unknown_instructions(old.file)}
    for line, message in unknown_instructions(new.file):
        if message not in known:
            yield error("unknown-instruction", message, Place(path, line))


RISKS = (becomes_root, adds_url, keeps_secret, writes_secret, is_unknown)


def of_groups(before: State, after: State, groups: Sequence[Group]) -> Iterator[Finding]:
    """Look at what changed; the same risk in several files of a group is told once, at the first of them."""
    for group in groups:
        if group.kind in (Kind.CHANGED, Kind.ADDED):
            files = group.files if _depends(group) else group.files[:1]
            yield from _told(
                _of_files(before, after, files), whole=len(files) != len(group.files), group=group
            )


def _depends(group: Group) -> bool:
    """Whether what a change does may differ between the files that have it: the rest of a file matters.

    A FROM that is pinned to another digest does the same in all of them.
    """
    return group.kind is Kind.ADDED or any(
        step.keyword in _MATTERS and not is_pin(step) for step in group.steps
    )


def _of_files(before: State, after: State, files: Sequence[str]) -> Iterator[Finding]:
    found: dict[tuple[str, str], list[Finding]] = {}
    for path in files:
        key = _read(before.dockerfiles.get(path)), _read(after.dockerfiles.get(path))
        if key not in found:
            sides = _Side(key[0]), _Side(key[1])
            found[key] = [one for risk in RISKS for one in risk(path, *sides)]
        yield from (replace(one, place=replace(one.place, file=path)) for one in found[key])


def _read(text: str | None) -> str:
    """Return what the risks read of a Dockerfile: all of it, but the seal and which image a FROM pins.

    Most files of a version differ in nothing else, so the same pair of texts is looked at once.
    """
    return _OWN.sub(lambda found: "# dfgen:" if found[0][0] == "#" else "FROM pinned", text or "")


def _told(findings: Iterator[Finding], *, whole: bool, group: Group) -> Iterator[Finding]:
    """Tell each message once, with the number of files where it is more than one."""
    same: dict[tuple[str, str], list[Finding]] = {}
    for one in findings:
        same.setdefault((one.rule, one.message), []).append(one)
    for (rule, message), found in same.items():
        files = len(group.files) if whole else len({one.place.file for one in found})
        times = f" (in {files} files)" if files > 1 else ""
        first = found[0]
        yield Finding(rule=rule, level=first.level, message=f"{message}{times}", place=first.place)
