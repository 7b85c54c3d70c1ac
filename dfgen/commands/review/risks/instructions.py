"""Risks of what Dockerfiles say now: root, an ADD of a URL, a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from dfgen.commands.review.diff import Block, blocks, is_pin, trimmed
from dfgen.commands.review.records import Group, Kind, State
from dfgen.commands.review.risks import error, warning
from dfgen.dockerfile import Dockerfile, Instruction, parse
from dfgen.dockerfile.names import is_secret, secrets_in, unknown_instructions
from dfgen.dockerfile.parser import KEYWORDS, Reader, split_keyword
from dfgen.dockerfile.stages import Word, stages
from dfgen.errors import InputError, Place, printable
from dfgen.findings import Finding, Level

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
        walk = stages(self.file)
        self.words, self.end = walk.words, walk.end
        self.last_line = walk.last.line if walk.last else 0

    def of(self, keyword: str) -> list[Word]:
        """The words of an instruction, in ONBUILD too."""
        return [word for word in self.words if word.keyword.removeprefix("ONBUILD ") == keyword]


def _is_root(user: Word | None) -> bool:
    return user is not None and _ROOT.fullmatch(user.value.strip()) is not None


def becomes_root(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """The image runs as root, or as whoever its parent says, and did not before; or its children will."""
    was, now = old.end.user, new.end.user
    if now and _is_root(now) and not _is_root(was):
        message = f"USER becomes {_shown(now)}; expected a user without privileges at the end"
        yield warning("user-root", message, Place(path, now.line))
    elif was and not now and new.file.instructions and not _is_root(was):
        message = f"USER {_shown(was)} is gone; the image runs as its parent's user, root mostly"
        yield warning("user-root", message, Place(path, new.last_line))
    children = new.end.onbuild_user
    if children and _is_root(children) and not _is_root(old.end.onbuild_user):
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
        empty = not word.unquoted
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


@dataclass(frozen=True, slots=True)
class Rule:
    """A risk, and whether it reads an instruction, by keyword and block; "#" is a comment or a directive.

    It is shown no other instruction, so that files in which it reads the same are looked at once.
    """

    risk: Callable[[str, _Side, _Side], Iterator[Finding]]
    reads: Callable[[str, Block], bool]

    def find(self, path: str, old: str, new: str) -> list[Finding]:
        """Find the risk in the two states of a text."""
        return [*self.risk(path, _Side(old), _Side(new))]

    def depends_on(self, keyword: str, block: Block) -> bool:
        """Whether an instruction may change what the risk finds: it reads it, or what variables stand for."""
        return keyword in ("ARG", "ENV") or self.reads(keyword, block)

    def view(self, text: str) -> str:
        """Blank what the risk does not read; lines keep their numbers."""
        cut = _blocks(text)
        if cut is None:
            return text
        has_variables = any("$" in block for block in cut if self.reads(_keyword(block), block))
        reads = self.depends_on if has_variables else self.reads
        return "".join(block if reads(_keyword(block), block) else "\n" * block.count("\n") for block in cut)


RISKS = (
    Rule(becomes_root, lambda keyword, _: keyword in ("FROM", "USER", "ONBUILD")),
    Rule(adds_url, lambda keyword, _: keyword in ("FROM", "ADD", "ONBUILD")),
    Rule(keeps_secret, lambda keyword, _: keyword in ("FROM", "ARG", "ENV", "ONBUILD")),
    # A secret may go on in the next line.
    Rule(writes_secret, lambda keyword, block: keyword != "#" and bool("\\\n" in block or secrets_in(block))),
    Rule(is_unknown, lambda keyword, _: keyword not in KEYWORDS or keyword == "ONBUILD"),
)


_blocks = lru_cache(maxsize=4)(blocks)  # every rule reads the two states of a file


def _differing(old: str, new: str) -> set[tuple[str, Block]] | None:
    """Return blocks and keywords between the first and the last difference; None if they are not known."""
    was, now = _blocks(old), _blocks(new)
    if was is None or now is None:
        return None
    return {(_keyword(block), block) for side in trimmed(was, now) for block in side}


@lru_cache(maxsize=4096)
def _keyword(block: str) -> str:
    text = block.strip()
    if "\\\n" in text:  # it may be continued within the keyword
        text = next(iter(Reader(text))).text
    return "#" if text[:1] in ("", "#") else split_keyword(text)[0].upper()


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
    found: dict[tuple[Rule, str, str], list[Finding]] = {}
    for path in files:
        sides = _unpinned(before.dockerfiles.get(path)), _unpinned(after.dockerfiles.get(path))
        risks: list[Finding] = []
        differing = _differing(*sides)
        for rule in RISKS:
            if differing is None or any(
                rule.depends_on(*one) for one in differing
            ):  # a risk is something new
                old, new = map(rule.view, sides)
                if (rule, old, new) not in found:
                    found[rule, old, new] = rule.find(path, old, new)
                risks += found[rule, old, new]
        if risks and _Side(sides[1]).file.instructions:  # a file that cannot be read has no risks
            yield from (replace(one, place=replace(one.place, file=path)) for one in risks)


def _unpinned(text: str | None) -> str:
    """Leave out the seal and which image a FROM pins: files of a version often differ in nothing else."""
    return _OWN.sub(
        lambda found: "# dfgen:" if found[0][0] == "#" else "FROM pinned", (text or "").removeprefix("\ufeff")
    )


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
