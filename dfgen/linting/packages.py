"""How packages are installed: without recommended packages, and without a cache left in the layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dfgen.dockerfile import Dockerfile, Instruction
from dfgen.dockerfile.packages import ManagerCommand, manager_commands
from dfgen.dockerfile.shell import tokens
from dfgen.dockerfile.stages import stages
from dfgen.linting.records import NOTHING_ABOVE, Above, Hit

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
    for stage in stages(dockerfile).kept:
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
