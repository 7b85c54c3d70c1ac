"""What a Dockerfile takes from outside: images, its frontend, files by URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dfgen.catalog.model import Image
from dfgen.commands.lint.records import NOTHING_ABOVE, Above, Hit
from dfgen.dockerfile import Dockerfile, Instruction, external_images
from dfgen.dockerfile.names import is_secret, unknown_instructions
from dfgen.dockerfile.packages import ManagerCommand, manager_commands
from dfgen.dockerfile.shell import commands, tokens
from dfgen.dockerfile.stages import stages

_APT = frozenset(("apt-get", "apt"))
_NO_RECOMMENDS = re.compile(r"--no-install-recommends|Install-Recommends", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manager:
    """The verbs that fill a manager's cache, and what to find in a script that empties it."""

    verbs: frozenset[str]
    cleaned: re.Pattern[str]
    caches: tuple[str, ...]
    mend: str


_RPM = frozenset(("install", "update", "upgrade", "reinstall", "groupinstall", "distro-sync"))
_RPM_CLEANED = re.compile(r"\bclean\s+(?:all|packages)\b|\brm\s.*/var/cache/(?:dnf|yum|\*)", re.DOTALL)
_MANAGERS = {
    **dict.fromkeys(
        _APT,
        _Manager(
            verbs=frozenset(("update",)),
            cleaned=re.compile(r"/var/lib/apt(?:/lists|\b)|\bdist-?clean\b"),
            caches=("/var/lib/apt",),
            mend="rm -rf /var/lib/apt/lists/*",
        ),
    ),
    **{
        name: _Manager(verbs=_RPM, cleaned=_RPM_CLEANED, caches=("/var/cache",), mend=f"{name} clean all")
        for name in ("dnf", "microdnf", "yum")
    },
    "apk": _Manager(
        verbs=frozenset(("add", "update", "upgrade")),
        cleaned=re.compile(r"--no-cache\b|/var/cache/apk"),
        caches=("/var/cache/apk", "/etc/apk/cache"),
        mend="--no-cache",
    ),
    "zypper": _Manager(
        verbs=frozenset(("install", "in", "update", "up", "refresh", "ref")),
        cleaned=re.compile(r"\bzypper\s.*\b(?:clean|cc)\b|/var/cache/zypp", re.DOTALL),
        caches=("/var/cache/zypp",),
        mend="zypper clean --all",
    ),
}


def apt_recommends(dockerfile: Dockerfile, above: Above = NOTHING_ABOVE) -> Iterator[Hit]:
    """An `apt-get install` that brings what is only recommended."""
    if above.has_apt_conf or is_configured(dockerfile):
        return
    for stage in stages(dockerfile).all:
        for script in stage.scripts:
            found = [one for one in manager_commands(script.text) if _brings_recommended(one)]
            if found:
                message = (
                    f"`{found[0].manager} install` brings what is only recommended;"
                    " write --no-install-recommends"
                )
                yield Hit(rule="apt-recommends", message=message, line=script.run.line)


def package_cache(dockerfile: Dockerfile) -> Iterator[Hit]:
    """A package manager's lists or cache that stay in a layer of the image."""
    for stage in stages(dockerfile).in_image:
        for script in stage.scripts:
            filled = (one.manager for one in manager_commands(script.text) if _fills_cache(one))
            for name in dict.fromkeys(filled):
                manager = _MANAGERS[name]
                if not manager.cleaned.search(_unquoted(script.text)) and not _is_mounted(
                    script.run, manager.caches
                ):
                    message = (
                        f"what `{name}` has downloaded stays in the layer; write {manager.mend} in this RUN"
                    )
                    yield Hit(rule="package-cache", message=message, line=script.run.line)


def is_configured(dockerfile: Dockerfile) -> bool:
    """Whether an instruction may turn recommendations off for all that come after it."""
    ones = dockerfile.instructions
    texts = (text for one in ones for text in (one.text, *(heredoc.content for heredoc in one.heredocs)))
    return any("apt.conf" in text or 'install-recommends "' in text.lower() for text in texts)


def _brings_recommended(one: ManagerCommand) -> bool:
    if one.manager not in _APT or not one.is_install:
        return False
    # A variable may hold the option.
    words = [word.value for word in one.arguments]
    return not any(_NO_RECOMMENDS.search(word) or word.startswith("$") for word in words)


def _fills_cache(one: ManagerCommand) -> bool:
    manager = _MANAGERS.get(one.manager)
    return manager is not None and any(word.value in manager.verbs for word in one.arguments)


def _unquoted(text: str) -> str:
    """The words of a script without quotes and comments."""
    return " ".join(one if isinstance(one, str) else one.value for one in tokens(text))


def _is_mounted(run: Instruction, caches: Sequence[str]) -> bool:
    """Whether a mount keeps a folder out of the layer."""
    return any(
        ("type=cache" in mount or "type=tmpfs" in mount) and any(f"={cache}" in mount for cache in caches)
        for mount in run.flag("mount")
    )


def secret(dockerfile: Dockerfile) -> Iterator[Hit]:
    """An ARG or ENV that looks like a secret; an ARG may get its value from a build argument."""
    for word in stages(dockerfile).words:
        keyword = word.keyword.removeprefix("ONBUILD ")
        has_value = keyword == "ARG" or (keyword == "ENV" and word.unquoted)
        if has_value and is_secret(word.name, word.unquoted):
            message = (
                f"{keyword} {word.name} looks like a secret, and stays in the image's history;"
                " use RUN --mount=type=secret"
            )
            yield Hit(rule="secret", message=message, line=word.line)


_SETS_PIPEFAIL = re.compile(r"set\s+(?:[-+\w]+\s+)*-\w*o\s+pipefail\b")
_SHEBANG_PIPEFAIL = re.compile(r"#!.*\bpipefail\b")
# Commands that only print, and `yes`, which pipefail would make fail.
_CANNOT_FAIL = frozenset(("echo", "printf", "yes", "true", ":"))


def pipefail(dockerfile: Dockerfile, above: Above = NOTHING_ABOVE) -> Iterator[Hit]:
    """A pipe in a RUN that succeeds although a command before the last one fails."""
    for stage in stages(dockerfile, above.shells).all:
        for one in stage.scripts:
            if "|" not in one.text or "pipefail" in one.shell or _has_pipefail(one.text):
                continue
            found = commands(one.text)
            piped = [command for command in found if command.piped and command.name not in _CANNOT_FAIL]
            if piped:
                message = (
                    f"what `{piped[0].name} … |` fails at is not seen; write"
                    ' SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or set -o pipefail in it'
                )
                yield Hit(rule="pipefail", message=message, line=one.run.line)


def _has_pipefail(text: str) -> bool:
    """Whether the script sets the option, or its first line passes it to the interpreter."""
    if _SHEBANG_PIPEFAIL.match(text):
        return True
    return "pipefail" in text and any(
        _SETS_PIPEFAIL.match(" ".join(command.values)) for command in commands(text)
    )


# Of a parent that cannot be read nothing is known: its SHELL may have the option.
_ANY = ("/bin/sh", "-o", "pipefail", "-c")


class Inherited:
    """Asks the Dockerfiles of parents, and of theirs, also of those that are not looked at themselves.

    `read` gives the Dockerfile of an image, None where it cannot be read.
    """

    def __init__(self, images: Iterable[Image], read: Callable[[Image], Dockerfile | None]) -> None:
        self._images = {(image.merged_name, image.platform): image for image in images}
        self._read = read
        self._found: dict[str, tuple[tuple[str, ...], bool]] = {}

    def above(self, image: Image) -> Above:
        """What all parents of this catalog give."""
        shells: dict[str, tuple[str, ...]] = {}
        has_apt_conf = False
        for parent in (one for one in image.all_parents if one.family):
            of = self._images.get((parent.key, parent.platform))
            shell, is_quiet = self._of(of) if of else (_ANY, True)
            shells[str(parent.reference).lower()] = shell
            has_apt_conf |= is_quiet
        return Above(shells=shells, has_apt_conf=has_apt_conf)

    def _of(self, image: Image) -> tuple[tuple[str, ...], bool]:
        """The SHELL that an image ends with, and whether apt is configured in it."""
        if image.name not in self._found:
            dockerfile, above = self._read(image), self.above(image)
            last = stages(dockerfile, above.shells).last if dockerfile else None
            is_quiet = not dockerfile or above.has_apt_conf or is_configured(dockerfile)
            self._found[image.name] = (last.last_shell if last else _ANY, is_quiet)
        return self._found[image.name]


_PINNED = re.compile(r"@sha(?:256|512):[0-9a-f]{64,128}$")
_URL = re.compile(r"https?://", re.IGNORECASE)
_GIT = re.compile(r"\.git(?:[#?].*)?$")


def unpinned_from(dockerfile: Dockerfile) -> Iterator[Hit]:
    """An image that FROM, COPY --from or RUN --mount takes without a digest."""
    for use in external_images(dockerfile):
        if not _PINNED.search(use.text):
            message = (
                f"{use.keyword} takes {use.text!r} without a digest; declare it as a parent, and write"
                " {{ parent }} or {{ parents.NAME.reference }}"
            )
            yield Hit(rule="unpinned-from", message=message, line=use.line)


def latest_tag(dockerfile: Dockerfile) -> Iterator[Hit]:
    """An image without a digest whose tag is `latest`, written or not."""
    for use in external_images(dockerfile):
        name, _, tag = use.text.rpartition("/")[2].partition(":")
        if name and "$" not in use.text and "@" not in use.text and tag in ("", "latest"):
            message = (
                f"{use.keyword} takes {use.text!r}, and latest is another image tomorrow; name a version"
            )
            yield Hit(rule="latest-tag", message=message, line=use.line)


def unpinned_syntax(dockerfile: Dockerfile) -> Iterator[Hit]:
    """A frontend that is not pinned: it is a program, fetched for every build, that reads the file."""
    syntax = dockerfile.directives.get("syntax", "")
    if syntax and not _PINNED.search(syntax):
        message = f"the frontend {syntax!r} has no digest; write # syntax={syntax.split('@')[0]}@sha256:…"
        yield Hit(rule="unpinned-syntax", message=message, line=1)


def add_url(dockerfile: Dockerfile) -> Iterator[Hit]:
    """An ADD of a URL whose content is whatever the server gives on that day."""
    for one in (outer.trigger or outer for outer in dockerfile.instructions):
        if one.keyword != "ADD" or one.flag("checksum"):
            continue
        for source in one.words[:-1]:
            if _URL.match(source) and not _GIT.search(source):
                message = f"ADD takes {source} without a checksum; write ADD --checksum=sha256:…"
                yield Hit(rule="add-url", message=message, line=one.line)


def unknown_instruction(dockerfile: Dockerfile) -> Iterator[Hit]:
    """What no build knows what to do with."""
    for line, message in unknown_instructions(dockerfile):
        yield Hit(rule="unknown-instruction", message=message, line=line)


DOCKERFILE_RULES: tuple[Callable[[Dockerfile], Iterable[Hit]], ...] = (
    unpinned_from,
    latest_tag,
    unpinned_syntax,
    add_url,
    package_cache,
    secret,
    unknown_instruction,
)


def check(dockerfile: Dockerfile, above: Above = NOTHING_ABOVE) -> tuple[Hit, ...]:
    """Hold a Dockerfile against every rule; what was found, in the order of its lines."""
    found = [hit for rule in DOCKERFILE_RULES for hit in rule(dockerfile)]
    found += apt_recommends(dockerfile, above)
    found += pipefail(dockerfile, above)
    return tuple(sorted(found, key=lambda hit: (hit.line, hit.rule)))
