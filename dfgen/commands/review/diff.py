"""What changed between two Dockerfiles, instruction by instruction; how it is laid out does not count."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import takewhile

from dfgen.commands.review.records import Group, Kind, PackageMove, State, Step
from dfgen.dockerfile import Dockerfile, Instruction, parse
from dfgen.dockerfile.lexer import SPACES
from dfgen.dockerfile.packages import installed
from dfgen.dockerfile.shell import Word, tokens
from dfgen.dockerfile.stages import stages
from dfgen.errors import InputError, printable

# A quoted text is one token, so that white space in it counts.
_QUOTED_OR_BLANK = re.compile(r"(\"(?:\\.|[^\"\\])*\"|'[^']*')|\s+")
_DIGEST = re.compile(r"sha(?:256|512):[0-9a-f]{64,128}")
_PLATFORM = re.compile(r"--platform=\S+ ")
_LONGEST = 90  # characters of a text in a summary
_NAMED = ("ENV", "LABEL")
_WHOLE = ("CMD", "ENTRYPOINT", "USER", "WORKDIR")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """The content of an instruction, however it is laid out; two that are equal do the same.

    `values` are those of ENV and LABEL; `shell` is the script of a RUN that a POSIX shell reads.
    """

    keyword: str
    text: str
    heredocs: tuple[str, ...]
    values: Mapping[str, str] = field(compare=False)
    shell: str = field(compare=False)
    instruction: Instruction = field(compare=False)

    @classmethod
    def all_of(cls, dockerfile: Dockerfile) -> list[_Meaning]:
        """Read every instruction of a Dockerfile."""
        scripts = {one.run.line: one.text for stage in stages(dockerfile).all for one in stage.scripts}
        return [cls._of(one, scripts.get(one.line, "")) for one in dockerfile.instructions]

    @classmethod
    def _of(cls, one: Instruction, shell: str) -> _Meaning:
        """Take the text behind the keyword; blanks outside of quotes count as one."""
        text = _QUOTED_OR_BLANK.sub(lambda found: found[1] or " ", one.text).strip().partition(" ")[2]
        heredocs = tuple(heredoc.content for heredoc in one.heredocs)
        named = one.keyword in _NAMED
        values = dict(zip(one.words[::2], one.words[1::2], strict=True)) if named else {}
        return cls(one.keyword, text, heredocs, values, shell, one)

    @property
    def script(self) -> str:
        """The text and the heredocs' lines."""
        return "\n".join((self.text, *self.heredocs))


def neutral(text: str) -> str:
    """Leave out what differs between platforms and pins, so that the same change is the same text."""
    return _PLATFORM.sub("", _DIGEST.sub("sha256:…", text))


def _short(text: str) -> str:
    text = printable(" ".join(neutral(text).split()))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _align(old: Sequence[_Meaning], new: Sequence[_Meaning]) -> Iterator[tuple[int | None, int | None]]:
    """Yield the positions of what differs: a pair for what changed, one alone for what came or went."""
    for tag, low, high, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        free = list(range(start, end))
        for at in range(low, high):
            partner = _partner(old[at], [(one, new[one]) for one in free])
            if partner is not None:
                free.remove(partner)
            yield at, partner
        yield from ((None, at) for at in free)


def _partner(old: _Meaning, candidates: Sequence[tuple[int, _Meaning]]) -> int | None:
    """Find what an instruction became: one of the same keyword, of the same name for ENV and LABEL."""
    same = [(at, new) for at, new in candidates if new.keyword == old.keyword]
    same.sort(key=lambda one: not old.values.keys() & one[1].values.keys())
    return same[0][0] if same else None


def _delta(old: str, new: str, *, lines: bool = False) -> str:
    """Write the words that differ, or lines, and only those: `a b → c`, several with a comma between."""
    before, after = (_lines(one) if lines else one.split() for one in (neutral(old), neutral(new)))
    between = "; " if lines else " "
    found = []
    for tag, low, high, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, come = between.join(before[low:high]), between.join(after[start:end])
        if tag == "replace":
            found.append(f"{gone} → {come}")
        elif tag != "equal":
            found.append(f"+ {come}" if come else f"- {gone}")
    same = _DIGEST.findall(old) == _DIGEST.findall(new)
    return ", ".join(found) or ("white space within" if same else "another digest")


def _lines(text: str) -> list[str]:
    return [" ".join(words) for line in text.splitlines() if (words := line.split())]


def _named_delta(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Say which names of an ENV or LABEL came, went or have another value."""
    found = []
    for name in sorted({*before, *after}):
        if name not in before:
            found.append(f"{name} added: {neutral(after[name])}")
        elif name not in after:
            found.append(f"{name} removed")
        elif before[name] != after[name]:
            found.append(f"{name} {_delta(before[name], after[name])}")
    return ", ".join(found) or "the order or the layout alone"


def _words(old: _Meaning, new: _Meaning) -> str:
    """Say what an instruction became."""
    if old.keyword in _NAMED:
        return _named_delta(old.values, new.values)
    if old.keyword in _WHOLE:
        return f"{neutral(old.text)} → {neutral(new.text)}"
    if old.keyword == "FROM" and neutral(old.text) == neutral(new.text):
        kinds = {"digest": _DIGEST, "platform": _PLATFORM}
        moved = [name for name, kind in kinds.items() if kind.findall(old.text) != kind.findall(new.text)]
        return f"{neutral(new.text).partition('@')[0]} has another {' and '.join(moved)}"
    return _delta(old.script, new.script, lines=bool(old.heredocs and new.heredocs))


def moves(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[PackageMove, ...]:
    """Compare two sets of packages; those that are the same in both are left out."""
    return tuple(
        PackageMove(name=name, before=before.get(name), after=after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _move(one: PackageMove) -> str:
    """Write `curl added`, `curl removed` or `tzdata 2026a → 2026b`."""
    if one.before is None:
        return f"{one.name}{f' {one.after}' if one.after else ''} added"
    if one.after is None:
        return f"{one.name} removed"
    return f"{one.name} {one.before or 'unpinned'} → {one.after or 'unpinned'}"


def _with_packages(old: _Meaning, new: _Meaning, moved: tuple[PackageMove, ...]) -> str:
    """Say which packages moved, and what else differs in a RUN."""
    rest = [_without(one.shell or one.script, moved) for one in (old, new)]
    more = [_delta(*rest)] if rest[0] != rest[1] else []
    return ", ".join([*map(_move, moved), *more])


def _without(script: str, moved: Sequence[PackageMove]) -> str:
    """The script without the words that are these packages."""
    kept = (one for one in tokens(script) if isinstance(one, str) or not _is_one(one, moved))
    return " ".join(one if isinstance(one, str) else one.written for one in kept)


def _is_one(word: Word, moved: Sequence[PackageMove]) -> bool:
    names = (one.name for one in moved if word.value.startswith(one.name))
    return any(word.value[len(name) : len(name) + 1] in "=-~<>" for name in names)


def _compared(was: _Meaning, now: _Meaning) -> tuple[Step, str]:
    moved = moves(installed(was.shell), installed(now.shell))
    words = _words(was, now)
    shown = _with_packages(was, now, moved) if moved else words
    return _changed(was.instruction, now.instruction, f": {_short(shown)}", moved), words


def _changed(old: Instruction, new: Instruction, what: str, moved: tuple[PackageMove, ...] = ()) -> Step:
    """An instruction that both sides have, and what is to be said behind its keyword."""
    return Step(
        kind=Kind.CHANGED,
        keyword=new.keyword,
        summary=f"{new.keyword}{what}",
        before=old.text,
        after=new.text,
        before_line=old.line,
        after_line=new.line,
        packages=moved,
    )


def _alone(kind: Kind, meaning: _Meaning) -> tuple[Step, str]:
    """An instruction that only one of the sides has."""
    one, packages = meaning.instruction, installed(meaning.shell)
    is_new = kind is Kind.ADDED
    step = Step(
        kind=kind,
        keyword=one.keyword,
        summary=f"{one.keyword} {kind}: {_short(meaning.script)}",
        before="" if is_new else one.text,
        after=one.text if is_new else "",
        before_line=0 if is_new else one.line,
        after_line=one.line if is_new else 0,
        packages=moves({}, packages) if is_new else moves(packages, {}),
    )
    return step, neutral(meaning.script)


def _directives(old: Dockerfile, new: Dockerfile) -> Iterator[tuple[Step, str]]:
    """Compare the directives that change what the file does."""
    for name in ("syntax", "escape"):
        before, after = old.directives.get(name, ""), new.directives.get(name, "")
        if before != after:
            words = f"{before or 'none'} → {after or 'none'}"
            yield (
                Step(
                    kind=Kind.CHANGED,
                    keyword=f"# {name}",
                    summary=f"# {name}: {_short(words)}",
                    before=before,
                    after=after,
                ),
                words,
            )


def is_pin(step: Step) -> bool:
    """Whether nothing but a digest is another one."""
    sides = step.before, step.after
    same = _PLATFORM.findall(step.before) == _PLATFORM.findall(step.after)
    return step.before != step.after and same and len({*map(neutral, sides)}) == 1


def _moved(was: _Meaning, now: _Meaning) -> tuple[Step, str]:
    """The same instruction at another place."""
    step = _changed(was.instruction, now.instruction, f" moved: {_short(now.script)}")
    return step, f"moved {neutral(now.script)}"


def _joined(
    pairs: Iterable[tuple[int | None, int | None]], old: Sequence[_Meaning], new: Sequence[_Meaning]
) -> Iterator[tuple[int | None, int | None]]:
    """Join what went at one place and came, the same, at another."""
    pairs = list(pairs)
    come = [now for was, now in pairs if was is None and now is not None]
    moved = {}
    for was, now in pairs:
        if was is not None and now is None:
            same = next((at for at in come if new[at] == old[was]), None)
            if same is not None:
                come.remove(same)
                moved[was] = same
    for was, now in pairs:
        if was is not None or now not in moved.values():
            yield was, now if was is None else moved.get(was, now)


@dataclass(frozen=True, slots=True)
class Difference:
    """The steps from one Dockerfile to another, none where only comments and white space differ.

    `key` is the same text for the same change, whatever the pins and the platform of the file.
    """

    steps: tuple[Step, ...]
    key: tuple[str, ...]


def compare(old: str, new: str, file: str) -> Difference:
    """Compare two Dockerfiles by what they say. Errors: InputError for one that cannot be read."""
    before, after = parse(old, file), parse(new, file)
    found = [*_directives(before, after)]
    olds, news = _Meaning.all_of(before), _Meaning.all_of(after)
    for was, now in _joined(_align(olds, news), olds, news):
        if was is None and now is not None:
            found.append(_alone(Kind.ADDED, news[now]))
        elif was is not None and now is None:
            found.append(_alone(Kind.REMOVED, olds[was]))
        elif was is not None and now is not None:
            compared = _moved if olds[was] == news[now] else _compared
            found.append(compared(olds[was], news[now]))
    key = tuple(f"{step.kind} {step.keyword} {words}" for step, words in found)
    return Difference(tuple(step for step, _ in found), key)


Block = str
Changes = tuple[tuple[tuple[Block, ...], tuple[Block, ...]], ...]

# A comment; or lines that are continued, each with the comments and empty lines below it, and the line that
# ends them. Where a line ends in two backslashes it is not continued.
_SPACES = f"[{SPACES.replace(chr(10), '')}]*"
_BLOCK = re.compile(
    rf"{_SPACES}#[^\n]*(?:\n|\Z)"
    rf"|(?:(?:[^\n]*[^\\\n])?\\[ \t]*\r*\n(?:{_SPACES}(?:#[^\n]*)?\n)*)*[^\n]*(?:\n|\Z)"
)
_DIRECTIVES = 200  # characters at the beginning within which a directive may stand


def blocks(text: str) -> list[Block] | None:
    """Cut a Dockerfile: an instruction with its comments, a comment or an empty line each.

    None where heredocs or an escape directive make that uncertain.
    """
    if "<<" in text or "escape" in text[:_DIRECTIVES]:
        return None
    return [block for block in _BLOCK.findall(text) if block]


def changes(old: str, new: str) -> Changes:
    """What differs between two texts: the same for texts that differ from each other elsewhere alone."""
    was, now = blocks(old), blocks(new)
    if was is None or now is None:
        return (((old,), (new,)),)
    was, now = trimmed(was, now)
    codes = SequenceMatcher(None, was, now, autojunk=False).get_opcodes()
    return tuple((tuple(was[a:b]), tuple(now[c:d])) for tag, a, b, c, d in codes if tag != "equal")


def trimmed(one: list[Block], other: list[Block]) -> tuple[list[Block], list[Block]]:
    """Drop the blocks that both begin with, and those that both end with."""
    first = _alike(one, other)
    last = _alike(one[first:][::-1], other[first:][::-1])
    return one[first : len(one) - last], other[first : len(other) - last]


def _alike(one: list[Block], other: list[Block]) -> int:
    """How many blocks are the same from the beginning on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


_SEAL = re.compile(r"^# dfgen:sha256:[0-9a-f]{64}$", re.MULTILINE)
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_TEMPLATE = re.compile(r"^# Generated by dfgen from (\S+) and ", re.MULTILINE)
_SHOWN_STEPS = 3  # in a title
_SHOWN_NAMES = 3  # versions in a title
_MUCH_LARGER = 2  # times as many files: what differs from such a group is an outlier
_ORDER = (Kind.CHANGED, Kind.ADDED, Kind.REMOVED, Kind.COSMETIC)

Key = tuple[object, ...]
Compare = Callable[[str, str, str], Difference]


@dataclass(slots=True)
class _Found:
    """A group while files are added to it; all but `files` and `templates` are the first file's."""

    kind: Kind
    steps: tuple[Step, ...]
    files: list[str] = field(default_factory=list)
    templates: set[str] = field(default_factory=set)


def hunk(path: str, old: str | None, new: str | None) -> tuple[str, ...]:
    """Write a unified diff; that the seal of a generated file moved goes without saying."""
    seal = _SEAL.search(new or "")
    was = _SEAL.sub(seal[0], old) if old and seal else old or ""
    names = (f"a/{path}" if old is not None else "/dev/null", f"b/{path}" if new is not None else "/dev/null")
    return tuple(difflib.unified_diff(was.splitlines(), (new or "").splitlines(), *names, lineterm=""))


class _Comparing:
    """Compares files; the same change, whatever the pins and the platform, is looked at once."""

    def __init__(self, compare: Compare) -> None:
        self.compare = compare
        self.known: dict[Key, Difference] = {}

    def difference(self, path: str, old: str, new: str) -> Difference:
        """Compare two texts, once for all files in which the same lines changed and the same pins moved."""
        moved = tuple(a != b for a, b in zip(_SHA256.findall(old), _SHA256.findall(new), strict=False))
        key = (changes(neutral(old), neutral(new)), moved)
        if key not in self.known:
            self.known[key] = self.compare(old, new, path)
        return self.known[key]


def _folder(path: str) -> str:
    return "/".join(path.split("/")[:2])


def _grouped(
    before: Mapping[str, str], after: Mapping[str, str], comparing: _Comparing, unread: list[str]
) -> list[_Found]:
    found: dict[Key, _Found] = {}
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        steps: tuple[Step, ...] = ()
        if old is None or new is None:
            kind = Kind.ADDED if old is None else Kind.REMOVED
            key: Key = (kind, _folder(path))
        else:
            try:
                difference = comparing.difference(path, old, new)
                steps, key = difference.steps, difference.key
                kind = Kind.CHANGED if steps else Kind.COSMETIC
            except InputError as error:
                unread.append(str(error))
                kind, key = Kind.CHANGED, (path,)
        template = _TEMPLATE.search(new or old or "")
        group = found.setdefault((kind, key), _Found(kind, steps))
        group.files.append(path)
        group.templates.add(template[1] if template else _folder(path))
    return list(found.values())


def _came_or_went(group: _Found, others: Iterable[str]) -> str:
    """Name the family, and what of it where others of its files are on the other side too."""
    family = _folder(group.files[0])
    stay = {path.rpartition("/")[0] for path in others if _folder(path) == family}
    told = f"{family}: {'new' if group.kind is Kind.ADDED else 'removed'}"
    if not stay:
        return told
    pairs = (path.rpartition("/") for path in group.files)
    names = [
        *dict.fromkeys(file if folder in stay else folder.rpartition("/")[2] for folder, _, file in pairs)
    ]
    left = len(names) - _SHOWN_NAMES
    return f"{told}: {', '.join(names[:_SHOWN_NAMES])}{f' and {left} more' if left > 0 else ''}"


def _title(group: _Found, others: Iterable[str]) -> str:
    """Say what happened; `others` are the files of the state in which those of the group are not."""
    if group.kind in (Kind.ADDED, Kind.REMOVED):
        return _came_or_went(group, others)
    if group.kind is Kind.COSMETIC:
        return "comments and white space alone"
    if not group.steps:
        return "cannot be read as a Dockerfile"
    shown = [step.summary for step in group.steps[:_SHOWN_STEPS]]
    more = len(group.steps) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _is_outlier(group: _Found, others: Sequence[_Found]) -> bool:
    """Whether a group of the same template is much larger."""
    least = _MUCH_LARGER * len(group.files)
    return group.kind in (Kind.CHANGED, Kind.COSMETIC) and any(
        other.kind is Kind.CHANGED and len(other.files) > least and other.templates & group.templates
        for other in others
    )


def _is_pin(step: Step) -> bool:
    """Whether a parent moved and nothing else: that other parents stay is no surprise."""
    return step.keyword == "FROM" or is_pin(step)


def _left(before: Mapping[str, str], after: Mapping[str, str], groups: Sequence[_Found]) -> Iterator[str]:
    """Name the templates of which some files changed alike and others not at all."""
    same: dict[str, int] = {}
    for path, text in after.items():
        if before.get(path) == text and (made := _TEMPLATE.search(text)):
            same[made[1]] = same.get(made[1], 0) + 1
    several = [group for group in groups if len(group.files) > 1 and not all(map(_is_pin, group.steps))]
    for template in sorted({one for group in several for one in group.templates}):
        if template in same:
            yield f"{template}: {same[template]} of its Dockerfiles stay as they are"


def groups(
    before: State, after: State, compare: Compare = compare
) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """Group all files that differ, outliers first, the larger before the smaller; and notes beside them."""
    old, new = before.dockerfiles, after.dockerfiles
    notes: list[str] = []
    found = _grouped(old, new, _Comparing(compare), notes)
    made = [
        Group(
            kind=one.kind,
            title=_title(one, new if one.kind is Kind.REMOVED else old),
            steps=one.steps,
            hunk=hunk(one.files[0], old.get(one.files[0]), new.get(one.files[0])),
            files=tuple(one.files),
            outlier=_is_outlier(one, found),
        )
        for one in found
    ]
    made.sort(key=lambda one: (not one.outlier, _ORDER.index(one.kind), -len(one.files), one.files))
    return tuple(made), (*notes, *_left(old, new, found))
