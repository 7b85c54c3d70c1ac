"""Risks of what Dockerfiles say now: root, an ADD of a URL, a secret. Shown at a group's first file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dfgen.dockerfile import Instruction, parse
from dfgen.reviewing.records import Group, Kind, State
from dfgen.reviewing.risks import warning
from dfgen.values.errors import InputError, Place, printable
from dfgen.values.finding import Finding, Level

_URL = re.compile(r"(?:https?|ftp|git|ssh)://|git@", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY)(?:$|_)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|glpat-[\w-]{20}|xox[abp]-[\w-]{10}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
# A name that says where a secret is found, not what it is.
_ELSEWHERE = re.compile(r"_(?:FILE|PATH|DIR|URL)$", re.IGNORECASE)
_ROOT = re.compile(r"(?:root|0+)(?::.*)?")

Instructions = tuple[Instruction, ...]


def _read(text: str | None) -> Instructions:
    try:
        return parse(text).instructions if text else ()
    except InputError:
        return ()


def _last_stage(instructions: Instructions) -> Instructions:
    starts = [at for at, one in enumerate(instructions) if one.keyword == "FROM"]
    return instructions[starts[-1] :] if starts else instructions


def _user(instructions: Instructions) -> Instruction | None:
    users = [one for one in _last_stage(instructions) if one.keyword == "USER"]
    return users[-1] if users else None


def _is_root(user: Instruction | None) -> bool:
    return user is not None and _ROOT.fullmatch(user.arguments.strip("\"'")) is not None


def becomes_root(path: str, old: Instructions, new: Instructions) -> Iterator[Finding]:
    """The image runs as root, or as whoever its parent says, and did not before."""
    was, now = _user(old), _user(new)
    if _is_root(now) and not _is_root(was):
        assert now is not None
        message = f"USER becomes {printable(now.arguments)}; expected a user without privileges at the end"
        yield warning("user-root", message, Place(path, now.line))
    elif was and not now and new and not _is_root(was):
        message = f"USER {printable(was.arguments)} is gone; the image runs as its parent's user, root mostly"
        yield warning("user-root", message, Place(path, _last_stage(new)[0].line))


def adds_url(path: str, old: Instructions, new: Instructions) -> Iterator[Finding]:
    """An ADD that takes something from the network, and was not there before."""
    known = {one.arguments for one in old if one.keyword == "ADD"}
    for one in new:
        urls = [word for word in one.words[:-1] if _URL.match(word)] if one.keyword == "ADD" else []
        if urls and one.arguments not in known:
            checked = one.flag("checksum")
            message = f"ADD takes {_bare(urls[0])} from the network" + (
                "; its checksum is given" if checked else "; give --checksum, or copy it from the context"
            )
            level = Level.NOTE if checked else Level.WARNING
            yield Finding(rule="add-url", level=level, message=message, place=Place(path, one.line))


def _bare(url: str) -> str:
    """Write a URL without what may be a password in it."""
    return printable(re.sub(r"//[^/@]*@", "//", url).partition("?")[0])


def keeps_secret(path: str, old: Instructions, new: Instructions) -> Iterator[Finding]:
    """An ARG or ENV that looks like a secret; its value stays in the image's history for everybody."""
    known = {pair for one in old for pair in _assigned(one)}
    for one in new:
        for name, value in _assigned(one):
            if (name, value) not in known and _looks_secret(name, value):
                message = (
                    f"{one.keyword} {printable(name)} looks like a secret; what it holds can be read in"
                    " the image's history; use RUN --mount=type=secret"
                )
                level = Level.ERROR if value else Level.WARNING
                yield Finding(rule="secret", level=level, message=message, place=Place(path, one.line))


def _assigned(one: Instruction) -> Iterator[tuple[str, str]]:
    if one.keyword == "ENV":
        yield from zip(one.words[::2], (word.strip("\"'") for word in one.words[1::2]), strict=True)
    elif one.keyword == "ARG":
        for word in one.words:
            name, _, value = word.partition("=")
            yield name, value.strip("\"'")


def _looks_secret(name: str, value: str) -> bool:
    named = _SECRET_NAME.search(name) and not _ELSEWHERE.search(name) and not value.startswith("/")
    return bool(named) or _SECRET_VALUE.search(value) is not None


RISKS = (becomes_root, adds_url, keeps_secret)


def of_groups(before: State, after: State, groups: Sequence[Group]) -> Iterator[Finding]:
    """Look at what changed, once a group; of new files at each, and the same in several is told once."""
    for group in groups:
        if group.kind in (Kind.CHANGED, Kind.ADDED):
            single = group.kind is Kind.CHANGED
            yield from _told(_of_files(before, after, group.files[:1] if single else group.files), group)


def _of_files(before: State, after: State, files: Sequence[str]) -> Iterator[Finding]:
    for path in files:
        old, new = _read(before.dockerfiles.get(path)), _read(after.dockerfiles.get(path))
        for risk in RISKS:
            yield from risk(path, old, new)


def _told(findings: Iterator[Finding], group: Group) -> Iterator[Finding]:
    """Tell each message once, with the number of files where it is more than one."""
    same: dict[tuple[str, str], list[Finding]] = {}
    for one in findings:
        same.setdefault((one.rule, one.message), []).append(one)
    for (rule, message), found in same.items():
        files = len(group.files) if group.kind is Kind.CHANGED else len(found)
        times = f" (in {files} files)" if files > 1 else ""
        first = found[0]
        yield Finding(rule=rule, level=first.level, message=f"{message}{times}", place=first.place)
