"""The rules for one rendered Dockerfile: pins, downloads, package managers, secrets and pipes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dfgen.catalog.model import Image
from dfgen.commands.lint.records import NOTHING_INHERITED, Hit, Inherited
from dfgen.dockerfile import Dockerfile, Instruction, external_images
from dfgen.dockerfile.names import is_secret, unknown_instructions
from dfgen.dockerfile.packages import ManagerCommand, manager_commands
from dfgen.dockerfile.parser import ESCAPES, KEYWORDS, split_quoted
from dfgen.dockerfile.shell import Command, Word, commands, tokens
from dfgen.dockerfile.stages import stages


def check(dockerfile: Dockerfile, inherited: Inherited = NOTHING_INHERITED) -> tuple[Hit, ...]:
    """Check a Dockerfile against every rule; returns the hits in the order of lines."""
    found = [
        *unpinned_from(dockerfile),
        *latest_tag(dockerfile),
        *unpinned_syntax(dockerfile),
        *add_url(dockerfile),
        *unknown_instruction(dockerfile),
        *exec_form(dockerfile),
        *apt_recommends(dockerfile, inherited),
        *package_cache(dockerfile),
        *secret(dockerfile),
        *pipefail(dockerfile, inherited),
    ]
    return tuple(sorted(found, key=lambda hit: (hit.line, hit.rule)))


# Images, frontends and downloads

_PINNED = re.compile(r"@sha(?:256|512):[0-9a-f]{64,128}$")
_URL = re.compile(r"https?://", re.IGNORECASE)
# A digest or, for a git repository, a commit: https://docs.docker.com/reference/dockerfile/#add---checksum
_CHECKSUM = re.compile(
    r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}|[0-9a-f]{40}|[0-9a-f]{64}"
)
_GIT = re.compile(r"\.git(?:[#?].*)?$")


def unpinned_from(dockerfile: Dockerfile) -> Iterator[Hit]:
    """Report images without a digest in FROM, COPY --from and RUN --mount."""
    for use in external_images(dockerfile):
        if not _PINNED.search(use.text):
            message = (
                f"{use.keyword} uses {use.text!r} without a digest; declare it as a parent, and use"
                " {{ parent }} or {{ parents.NAME.reference }}"
            )
            yield Hit(rule="unpinned-from", message=message, line=use.line)


def latest_tag(dockerfile: Dockerfile) -> Iterator[Hit]:
    """Report images without a digest that have the tag `latest`, or no tag, which means the same."""
    for use in external_images(dockerfile):
        name, _, tag = use.text.rpartition("/")[2].partition(":")
        if name and "$" not in use.text and "@" not in use.text and tag in ("", "latest"):
            message = (
                f"{use.keyword} uses {use.text!r} with the tag latest, which changes without notice;"
                " use a version tag"
            )
            yield Hit(rule="latest-tag", message=message, line=use.line)


def unpinned_syntax(dockerfile: Dockerfile) -> Iterator[Hit]:
    """Report a `# syntax=` line without a digest: the frontend is a program, downloaded for each build."""
    syntax = dockerfile.directives.get("syntax", "")
    if syntax and not _PINNED.search(syntax):
        message = f"the frontend {syntax!r} has no digest; use # syntax={syntax.split('@')[0]}@sha256:…"
        yield Hit(rule="unpinned-syntax", message=message, line=1)


def add_url(dockerfile: Dockerfile) -> Iterator[Hit]:
    """Report ADD of a URL without a valid checksum: its content depends on the server."""
    for one in (outer.trigger or outer for outer in dockerfile.instructions):
        if one.keyword != "ADD":
            continue
        if checksums := one.flag("checksum"):
            for text in checksums:
                if "$" not in text and not _CHECKSUM.fullmatch(text):
                    message = f"ADD --checksum={text} is not a digest; use sha256: and 64 hexadecimal digits"
                    yield Hit(rule="add-url", message=message, line=one.line)
            continue
        for source in one.words[:-1]:
            if _URL.match(source) and not _GIT.search(source):
                message = f"ADD downloads {source} without a checksum; use ADD --checksum=sha256:…"
                yield Hit(rule="add-url", message=message, line=one.line)


def unknown_instruction(dockerfile: Dockerfile) -> Iterator[Hit]:
    """Report misspelled instructions and merge conflicts."""
    for line, message in unknown_instructions(dockerfile):
        yield Hit(rule="unknown-instruction", message=message, line=line)


def exec_form(dockerfile: Dockerfile) -> Iterator[Hit]:
    """Report a list that is not a JSON array, so that BuildKit passes it to a shell as text."""
    for outer in dockerfile.instructions:
        one = outer.trigger or outer
        if one.keyword in ("CMD", "ENTRYPOINT") and one.arguments.startswith("[") and not one.is_exec_form:
            message = f"{one.keyword} is not a JSON array, so a shell runs it as text; use double quotes"
            yield Hit(rule="exec-form", message=message, line=outer.line)


# Line breaks

_AFTER_ESCAPE = {escape: re.compile(rf"{re.escape(escape)}[ \t]+(?=\S)") for escape in ESCAPES}
_KEYWORDS = "|".join(sorted(KEYWORDS))
# An instruction, or text behind a backslash, that may have been a line of its own.
_MAYBE_LOST = re.compile(
    rf"""^(?!\s*(?:\#|HEALTHCHECK|ONBUILD)).*[a-z0-9"'\])}}][ \t]+(?:{_KEYWORDS})[ \t]
    | [a-z0-9"'\])}}](?:{_KEYWORDS})[ \t]
    | [ \t]\\[\w/$"'{{-]""",
    re.MULTILINE | re.VERBOSE,
)
_KEYWORD = re.compile(rf"(?:{_KEYWORDS})[ \t]")
_SHOWN = 40  # characters of a line in a message
BREAK_THE_LINE = "; break the line after it, or remove it"


def line_break(dockerfile: Dockerfile, text: str, inherited: Inherited = NOTHING_INHERITED) -> Iterator[Hit]:
    r"""Report a `\` before blanks and more text: it escapes a blank, and does not continue the line.

    `text` is the whole file. Escaped blanks that a shell needs are not reported: `a\ b`, `cut -d \  -f1`.
    """
    lines, escape = text.split("\n"), dockerfile.escape
    for stage in stages(dockerfile, inherited.shells).all:
        scripts = {script.run: script.text for script in stage.scripts}
        for one in stage.instructions:
            script = scripts.get(one)
            sign = escape if script is None else "\\"
            found = _escaped_blanks(one, escape) if script is None else _escaped_in_script(script)
            yield from _at_lines(one, found, sign, lines)


def _escaped_blanks(outer: Instruction, escape: str) -> Iterator[str]:
    """Yield the escaped blanks at which a word of an instruction begins."""
    one = outer.trigger or outer
    if not one.is_exec_form:
        for word in split_quoted(one.arguments, escape):
            if word[:1] == escape and (len(word) == 1 or word[1] in " \t"):
                yield word[:2]


def _escaped_in_script(text: str) -> Iterator[str]:
    """Yield the escaped blanks of a script that no shell needs, each with the rest of its word."""
    before: Word | str = ""
    first: Word | str = ""  # of the current command
    for word in tokens(text):
        first = "" if isinstance(word, str) else first or word
        if isinstance(word, Word) and _is_needless(word.written, text, before, first):
            yield word.written if word.written.startswith("\\") else word.written[-2:]
        before = word


def _is_needless(written: str, text: str, before: Word | str, first: Word | str) -> bool:
    begins, ends = (part[:1] == "\\" and part[1:] in (" ", "\t") for part in (written[:2], written[-2:]))
    if (begins or ends) and f"{written}  " in text:
        return True  # three blanks: the indentation of a line
    if not begins:
        return False
    # A blank as an argument: `cut -d \  -f1`, `tr \  _`.
    if len(written) > 2 or isinstance(before, str):
        return True
    return before is not first and not before.value.startswith("-")


def _at_lines(one: Instruction, found: Iterable[str], escape: str, lines: Sequence[str]) -> Iterator[Hit]:
    """Find the lines of escaped blanks, in order; each line is reported once."""
    places = [
        (at, lines[at - 1][match.start() :].rstrip())
        for at in range(one.line, min(one.end_line, len(lines)) + 1)
        for match in _AFTER_ESCAPE[escape].finditer(lines[at - 1])
        if not lines[at - 1].lstrip().startswith("#")
    ]
    reported: set[int] = set()
    for word in found:
        while places and not places[0][1].startswith(word):
            places.pop(0)
        line, rest = places.pop(0) if places else (one.line, word)
        if line not in reported:
            reported.add(line)
            shown = _beginning(rest)
            message = f"`{escape}` does not end the line, so it escapes the blank after it: `{shown}`"
            yield Hit(rule="line-break", message=message + BREAK_THE_LINE, line=line)


def _beginning(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def may_have_lost_a_line_break(text: str) -> bool:
    """Whether a line looks like two; only a rendering with other white space options shows it."""
    return _MAYBE_LOST.search(text) is not None


def lost_line_breaks(text: str, complete: str, escape: str) -> Iterator[Hit]:
    """Report lines that are more than one line in `complete`, split after a backslash or before a keyword."""
    lines = [line.strip() for line in complete.split("\n") if line.strip()]
    next_lines: dict[str, set[str]] = {}
    for first, second in pairwise(lines):
        next_lines.setdefault(first, set()).add(second)
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() in next_lines:
            continue
        ends = [at + 1 for at, char in enumerate(line) if char == escape]
        starts = [match.start() for match in _KEYWORD.finditer(line) if match.start()]
        for at in (*ends, *starts):
            rest = line[at:].lstrip()
            if rest and any(map(rest.startswith, next_lines.get(line[:at].strip(), ()))):
                message = f"the line break before `{_beginning(rest)}` is missing"
                yield Hit(rule="line-break", message=message, line=number)
                break


# Package managers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manager:
    """A package manager.

    `verbs` are the subcommands that fill its cache, `cleaned` matches a script that cleans the cache,
    `caches` are the folders of the cache, and `fix` says how to clean them.
    """

    verbs: frozenset[str]
    cleaned: re.Pattern[str]
    caches: tuple[str, ...]
    fix: str


_APT = frozenset(("apt-get", "apt"))
_NO_RECOMMENDS = re.compile(r"--no-install-recommends|Install-Recommends", re.IGNORECASE)
_RPM = frozenset(("install", "update", "upgrade", "reinstall", "groupinstall", "distro-sync"))
_RPM_CLEANED = re.compile(r"\bclean\s+(?:all|packages)\b|\brm\s.*/var/cache/(?:dnf|yum|\*)", re.DOTALL)
_MANAGERS = {
    **dict.fromkeys(
        _APT,
        _Manager(
            verbs=frozenset(("update",)),
            cleaned=re.compile(r"/var/lib/apt(?:/lists|\b)|\bdist-?clean\b"),
            caches=("/var/lib/apt",),
            fix="add `rm -rf /var/lib/apt/lists/*` to this RUN",
        ),
    ),
    **{
        name: _Manager(
            verbs=_RPM,
            cleaned=_RPM_CLEANED,
            caches=("/var/cache",),
            fix=f"add `{name} clean all` to this RUN",
        )
        for name in ("dnf", "microdnf", "yum")
    },
    "apk": _Manager(
        verbs=frozenset(("add", "update", "upgrade")),
        cleaned=re.compile(r"--no-cache\b|/var/cache/apk"),
        caches=("/var/cache/apk", "/etc/apk/cache"),
        fix="use `apk --no-cache`",
    ),
    "zypper": _Manager(
        verbs=frozenset(("install", "in", "update", "up", "refresh", "ref")),
        cleaned=re.compile(r"\bzypper\s.*\b(?:clean|cc)\b|/var/cache/zypp", re.DOTALL),
        caches=("/var/cache/zypp",),
        fix="add `zypper clean --all` to this RUN",
    ),
}


def apt_recommends(dockerfile: Dockerfile, inherited: Inherited = NOTHING_INHERITED) -> Iterator[Hit]:
    """Report `apt-get install` without --no-install-recommends, unless apt may be configured that way."""
    if inherited.has_apt_conf or _configures_apt(dockerfile):
        return
    for stage in stages(dockerfile).all:
        for script in stage.scripts:
            found = [one for one in manager_commands(script.text) if _installs_recommended(one)]
            if found:
                message = (
                    f"`{found[0].manager} install` also installs recommended packages;"
                    " add --no-install-recommends"
                )
                yield Hit(rule="apt-recommends", message=message, line=script.run.line)


def package_cache(dockerfile: Dockerfile) -> Iterator[Hit]:
    """Report package lists and caches that stay in a layer of the image."""
    for stage in stages(dockerfile).in_image:
        for script in stage.scripts:
            filled = (one.manager for one in manager_commands(script.text) if _fills_cache(one))
            for name in dict.fromkeys(filled):
                manager = _MANAGERS[name]
                is_clean = manager.cleaned.search(_without_quotes(script.text))
                if not is_clean and not _is_mounted(script.run, manager.caches):
                    message = f"`{name}` leaves its cache in the layer; {manager.fix}"
                    yield Hit(rule="package-cache", message=message, line=script.run.line)


def _configures_apt(dockerfile: Dockerfile) -> bool:
    """Whether an instruction may switch recommended packages off for later instructions."""
    ones = dockerfile.instructions
    texts = (text for one in ones for text in (one.text, *(heredoc.content for heredoc in one.heredocs)))
    return any("apt.conf" in text or 'install-recommends "' in text.lower() for text in texts)


def _installs_recommended(one: ManagerCommand) -> bool:
    if one.manager not in _APT or not one.is_install:
        return False
    words = [word.value for word in one.arguments]
    # A variable may contain the option.
    return not any(_NO_RECOMMENDS.search(word) or word.startswith("$") for word in words)


def _fills_cache(one: ManagerCommand) -> bool:
    manager = _MANAGERS.get(one.manager)
    return manager is not None and any(word.value in manager.verbs for word in one.arguments)


def _without_quotes(text: str) -> str:
    """Return the words of a script without quotes and comments."""
    return " ".join(one if isinstance(one, str) else one.value for one in tokens(text))


def _is_mounted(run: Instruction, caches: Sequence[str]) -> bool:
    """Whether a mount keeps one of the folders out of the layer."""
    return any(
        ("type=cache" in mount or "type=tmpfs" in mount) and any(f"={cache}" in mount for cache in caches)
        for mount in run.flag("mount")
    )


# Secrets


def secret(dockerfile: Dockerfile) -> Iterator[Hit]:
    """Report ARG and ENV that look like a secret.

    An ARG is reported even without a value, since a build argument may set one.
    """
    for word in stages(dockerfile).words:
        keyword = word.keyword.removeprefix("ONBUILD ")
        has_value = keyword == "ARG" or (keyword == "ENV" and word.unquoted)
        if has_value and is_secret(word.name, word.unquoted):
            message = (
                f"{keyword} {word.name} looks like a secret and stays in the image's history;"
                " set it when a container starts"
            )
            yield Hit(rule="secret", message=message, line=word.line)


# Pipes

_SETS_PIPEFAIL = re.compile(r"set\s+(?:[-+\w]+\s+)*-\w*o\s+pipefail\b")
_SHEBANG_PIPEFAIL = re.compile(r"#!.*\bpipefail\b")
# `yes` is always killed by its reader, which pipefail would turn into an error; the others only print.
_CANNOT_FAIL = frozenset(("echo", "printf", "yes", "true", ":"))


def pipefail(dockerfile: Dockerfile, inherited: Inherited = NOTHING_INHERITED) -> Iterator[Hit]:
    """Report pipes in RUN that succeed although a command before the last one failed."""
    for stage in stages(dockerfile, inherited.shells).all:
        for one in stage.scripts:
            if "|" not in one.text or "pipefail" in one.shell or _has_pipefail(one.text):
                continue
            piped = [command for command in _piped(one.text) if command.name not in _CANNOT_FAIL]
            if piped:
                message = (
                    f"the pipe ignores a failure of `{piped[0].name}`; put"
                    ' SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or `set -o pipefail` into it'
                )
                yield Hit(rule="pipefail", message=message, line=one.run.line)


def _piped(text: str) -> Iterator[Command]:
    """Yield the commands whose failure their pipe ignores.

    A grep that only checks the output fails without it. With pipefail, `grep -q` would also fail at random,
    because it ends before the command does.
    """
    pipe: list[Command] = []
    for command in commands(text):
        pipe.append(command)
        if not command.piped:
            if command.name != "grep" or command.written:
                yield from pipe[:-1]
            pipe.clear()
    yield from pipe


def _has_pipefail(text: str) -> bool:
    """Whether the script sets the option, or passes it to the interpreter in its first line."""
    if _SHEBANG_PIPEFAIL.match(text):
        return True
    return "pipefail" in text and any(
        _SETS_PIPEFAIL.match(" ".join(command.values)) for command in commands(text)
    )


# Settings that images inherit

# If a parent cannot be read, assume that its SHELL sets pipefail: only certain findings are reported.
_UNKNOWN_SHELL = ("/bin/sh", "-o", "pipefail", "-c")


class Inheritance:
    """Resolves what images inherit from their parents in the catalog, directly or not.

    `read` returns the Dockerfile of an image, None if it cannot be read.
    """

    def __init__(self, images: Iterable[Image], read: Callable[[Image], Dockerfile | None]) -> None:
        self._images = {(image.merged_name, image.platform): image for image in images}
        self._read = read
        self._found: dict[str, tuple[tuple[str, ...], bool]] = {}

    def of(self, image: Image) -> Inherited:
        """Return what an image inherits from all of its parents in the catalog."""
        shells: dict[str, tuple[str, ...]] = {}
        has_apt_conf = False
        for parent in (one for one in image.all_parents if one.family):
            base = self._images.get((parent.key, parent.platform))
            shell, configures_apt = self._passed_on(base) if base else (_UNKNOWN_SHELL, True)
            shells[str(parent.reference).lower()] = shell
            has_apt_conf |= configures_apt
        return Inherited(shells=shells, has_apt_conf=has_apt_conf)

    def _passed_on(self, image: Image) -> tuple[tuple[str, ...], bool]:
        """Return an image's last SHELL, and whether it or a parent may configure apt."""
        if image.name not in self._found:
            dockerfile, inherited = self._read(image), self.of(image)
            last = stages(dockerfile, inherited.shells).last if dockerfile else None
            has_apt_conf = not dockerfile or inherited.has_apt_conf or _configures_apt(dockerfile)
            self._found[image.name] = (last.last_shell if last else _UNKNOWN_SHELL, has_apt_conf)
        return self._found[image.name]
