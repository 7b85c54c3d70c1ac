"""Risks of instructions: root, an ADD of a URL, a secret, an unknown instruction."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from dfgen.commands.review.diff import Block, blocks, is_pin, trimmed
from dfgen.commands.review.records import Group, Kind, State
from dfgen.commands.review.risks import downloads, error, warning
from dfgen.dockerfile import Dockerfile, Instruction, parse
from dfgen.dockerfile.names import is_secret, secrets_in, unknown_instructions
from dfgen.dockerfile.parser import KEYWORDS, Reader, split_keyword
from dfgen.dockerfile.stages import Word, stages
from dfgen.errors import InputError, Place, printable
from dfgen.findings import Finding, Level

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+:", re.IGNORECASE)
_COMMIT = re.compile(r"#[0-9a-f]{40}(?::|$)")
_ROOT = re.compile(r"(?:root|[+-]?0+)(?::.*)?")
_STAYS = "stays in the image's history; set it when a container starts"
# The seal, and the pinned image of a FROM, which is neither a stage nor contains a variable.
_OWN = re.compile(
    r"^(# dfgen:|FROM --platform=[a-z0-9/]+ [A-Za-z0-9._/:-]+@)sha256:[0-9a-f]{64}", re.MULTILINE
)
# Instructions whose effect depends on the rest of the file, for example on the last USER or on a variable.
_DEPENDENT = frozenset(("ADD", "ARG", "ENV", "FROM", "ONBUILD", "USER", "# escape"))


class _Side:
    """One state of a Dockerfile; empty if the file does not exist or cannot be parsed."""

    def __init__(self, text: str) -> None:
        try:
            self.file = parse(text) if text else Dockerfile(directives={}, instructions=())
        except InputError:
            self.file = Dockerfile(directives={}, instructions=())
        walk = stages(self.file)
        self.stages, self.words, self.end = walk, walk.words, walk.end
        self.last_line = walk.last.line if walk.last else 0

    def of(self, keyword: str) -> list[Word]:
        """Return the words of an instruction, also of an ONBUILD one."""
        return [word for word in self.words if word.keyword.removeprefix("ONBUILD ") == keyword]


def _is_root(user: Word | None) -> bool:
    return user is not None and _ROOT.fullmatch(user.value.strip()) is not None


def becomes_root(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """Report an image that now runs as root or as its parent's user, or whose children will run as root."""
    was, now = old.end.user, new.end.user
    if now and _is_root(now) and not _is_root(was):
        message = f"the image now runs as {_shown(now)}; end with an unprivileged USER"
        yield warning("user-root", message, Place(path, now.line))
    elif was and not now and new.file.instructions and not _is_root(was):
        message = (
            f"USER {_shown(was)} was removed, so the image runs as its parent's user, usually root; set USER"
        )
        yield warning("user-root", message, Place(path, new.last_line))
    children = new.end.onbuild_user
    if children and _is_root(children) and not _is_root(old.end.onbuild_user):
        message = (
            f"images built on this one now run as {_shown(children)} by ONBUILD; use an unprivileged USER"
        )
        yield warning("user-root", message, Place(path, children.line))


def _shown(user: Word) -> str:
    """Return a user as written, followed by its value if it contains a variable."""
    known = f" ({printable(user.value)})" if "$" in user.written else ""
    return f"{printable(user.written)}{known}"


def adds_url(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """Report each new ADD of a URL."""
    known = {_source(word) for word in old.of("ADD")}
    for word in new.of("ADD"):
        if _URL.match(word.value) and _source(word) not in known:
            # A checksum and a git commit both identify the content.
            pinned = _source(word)[1] or _COMMIT.search(word.value)
            message = f"{word.keyword} downloads {_bare(word.value)}" + (
                ", pinned by a checksum" if pinned else "; add --checksum, or COPY it from the context"
            )
            level = Level.NOTE if pinned else Level.WARNING
            yield Finding(rule="add-url", level=level, message=message, place=Place(path, word.line))


def _source(word: Word) -> tuple[str, tuple[str, ...]]:
    """Return the source of an ADD and its checksums."""
    return word.value, (word.instruction.trigger or word.instruction).flag("checksum")


def _bare(url: str) -> str:
    """Return a URL without user, password and query, which may be secret."""
    return printable(re.sub(r"//[^/@]*@", "//", url).partition("?")[0])


def keeps_secret(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """Report each new ARG or ENV that looks like a secret: anybody can read it in the image's history."""
    known = {(word.keyword, word.name, word.value) for word in old.words}
    for word in (*new.of("ARG"), *new.of("ENV")):
        is_new = (word.keyword, word.name, word.value) not in known
        empty = not word.unquoted
        if is_new and not (empty and word.keyword.endswith("ENV")) and is_secret(word.name, word.value):
            message = f"{word.keyword} {printable(word.name)} looks like a secret and {_STAYS}"
            yield (warning if empty else error)("secret", message, Place(path, word.line))


def writes_secret(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """Report each other instruction with a new text that looks like a secret, heredocs included."""
    known = {secret for one in old.file.instructions for secret in secrets_in(_with_heredocs(one))}
    for one in new.file.instructions:
        if (one.trigger or one).keyword not in ("ARG", "ENV") and secrets_in(_with_heredocs(one)) - known:
            message = f"{one.keyword} contains what looks like a secret; it {_STAYS}"
            yield error("secret", message, Place(path, one.line))


def _with_heredocs(one: Instruction) -> str:
    return "\n".join((one.text, *(heredoc.content for heredoc in one.heredocs)))


def is_unknown(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    """Report each new line that is not an instruction: the build would fail."""
    known = {message for _, message in unknown_instructions(old.file)}
    for line, message in unknown_instructions(new.file):
        if message not in known:
            yield error("unknown-instruction", message, Place(path, line))


def _of_downloads(path: str, old: _Side, new: _Side) -> Iterator[Finding]:
    return downloads.risks(path, old.stages, new.stages)


@dataclass(frozen=True, slots=True)
class Rule:
    """A risk, and whether it reads an instruction, by keyword and block; "#" is a comment or directive.

    It gets no other instructions, so that files with the same relevant instructions are checked once.
    """

    risk: Callable[[str, _Side, _Side], Iterator[Finding]]
    reads: Callable[[str, Block], bool]

    def find(self, path: str, old: str, new: str) -> list[Finding]:
        """Find the risk in the two states of a text."""
        return [*self.risk(path, _Side(old), _Side(new))]

    def depends_on(self, keyword: str, block: Block) -> bool:
        """Return whether an instruction may affect the risk, directly or through a variable."""
        return keyword in ("ARG", "ENV") or self.reads(keyword, block)

    def view(self, text: str) -> str:
        """Blank the instructions that the risk does not read; line numbers stay the same."""
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
    # A secret may be continued on the next line.
    Rule(writes_secret, lambda keyword, block: keyword != "#" and bool("\\\n" in block or secrets_in(block))),
    Rule(is_unknown, lambda keyword, _: keyword not in KEYWORDS or keyword == "ONBUILD"),
    Rule(_of_downloads, downloads.reads),
)


_blocks = lru_cache(maxsize=4)(blocks)  # every rule cuts both states of a file


def _differing(old: str, new: str) -> set[tuple[str, Block]] | None:
    """Return keywords and blocks from the first to the last difference; None if the text cannot be cut."""
    was, now = _blocks(old), _blocks(new)
    if was is None or now is None:
        return None
    return {(_keyword(block), block) for side in trimmed(was, now) for block in side}


@lru_cache(maxsize=4096)
def _keyword(block: str) -> str:
    text = block.strip()
    if "\\\n" in text:  # the keyword itself may be continued
        text = next(iter(Reader(text))).text
    return "#" if text[:1] in ("", "#") else split_keyword(text)[0].upper()


def of_groups(before: State, after: State, groups: Sequence[Group]) -> Iterator[Finding]:
    """Check all changes; a risk of several files of a group is reported once, at the first of them."""
    for group in groups:
        if group.kind in (Kind.CHANGED, Kind.ADDED):
            if _depends_on_file(group):
                yield from _merged(_of_files(before, after, group.files))
            else:
                yield from _merged(_of_files(before, after, group.files[:1]), files=len(group.files))


def of_waiting(before: State, texts: Mapping[str, str]) -> Iterator[Finding]:
    """Check the Dockerfiles of images that wait for a parent, by path; nobody has reviewed them yet."""
    found: list[Finding] = []
    for path, text in texts.items():
        for rule in RISKS:
            found += rule.find(path, before.dockerfiles.get(path, ""), text)
    yield from _merged(iter(found))


def _depends_on_file(group: Group) -> bool:
    """Return whether the risks of a change may differ between its files, since the rest of a file matters.

    A new digest in a FROM has the same effect in all files.
    """
    return group.kind is Kind.ADDED or any(
        step.keyword in _DEPENDENT and not is_pin(step) for step in group.steps
    )


def _of_files(before: State, after: State, files: Sequence[str]) -> Iterator[Finding]:
    found: dict[tuple[Rule, str, str], list[Finding]] = {}
    for path in files:
        sides = _unpinned(before.dockerfiles.get(path)), _unpinned(after.dockerfiles.get(path))
        risks: list[Finding] = []
        differing = _differing(*sides)
        for rule in RISKS:
            if differing is None or any(rule.depends_on(*one) for one in differing):
                old, new = map(rule.view, sides)
                if (rule, old, new) not in found:
                    found[rule, old, new] = rule.find(path, old, new)
                risks += found[rule, old, new]
        if risks and _Side(sides[1]).file.instructions:  # not if it cannot be parsed
            yield from (replace(one, place=replace(one.place, file=path)) for one in risks)


def _unpinned(text: str | None) -> str:
    """Mask the seal and the pinned image of a FROM: the files of a version often differ in nothing else."""
    return _OWN.sub(
        lambda found: "# dfgen:" if found[0][0] == "#" else "FROM pinned", (text or "").removeprefix("\ufeff")
    )


def _merged(findings: Iterator[Finding], files: int = 0) -> Iterator[Finding]:
    """Yield each message once, with the number of files if there are several.

    `files` is that number if only the first file was checked.
    """
    same: dict[tuple[str, str], list[Finding]] = {}
    for one in findings:
        same.setdefault((one.rule, one.message), []).append(one)
    for (rule, message), found in same.items():
        number = files or len({one.place.file for one in found})
        times = f" (in {number} files)" if number > 1 else ""
        first = found[0]
        yield Finding(rule=rule, level=first.level, message=f"{message}{times}", place=first.place)
