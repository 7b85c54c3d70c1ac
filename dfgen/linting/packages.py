"""How packages are installed: without what is only recommended, and with no cache left in the layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dfgen.dockerfile import Dockerfile, Instruction
from dfgen.linting.commands import Command, commands, shell_runs
from dfgen.linting.records import NOTHING_ABOVE, Above, Hit, kept, stages

_APT = frozenset(("apt-get", "apt"))
_NO_RECOMMENDS = re.compile(r"--no-install-recommends|Install-Recommends", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manager:
    """What fills a manager's cache, and what a script that empties it has in it."""

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
    for stage in stages(dockerfile):
        for run, text, _ in shell_runs(stage):
            found = [one for one in commands(text) if _brings_recommended(one)]
            if found:
                message = (
                    f"`{found[0].name} install` brings what is only recommended;"
                    " write --no-install-recommends"
                )
                yield Hit(rule="apt-recommends", message=message, line=run.line)


def package_cache(dockerfile: Dockerfile) -> Iterator[Hit]:
    """A package manager's lists or cache that stay in a layer of the image."""
    for stage in kept(stages(dockerfile)):
        for run, text, _ in shell_runs(stage):
            for name in dict.fromkeys(one.name for one in commands(text) if _fills_cache(one)):
                manager = _MANAGERS[name]
                if not manager.cleaned.search(text) and not _is_mounted(run, manager.caches):
                    message = (
                        f"what `{name}` has downloaded stays in the layer; write {manager.mend} in this RUN"
                    )
                    yield Hit(rule="package-cache", message=message, line=run.line)


def is_configured(dockerfile: Dockerfile) -> bool:
    """Whether an instruction may turn recommendations off for all that come after it."""
    ones = dockerfile.instructions
    texts = (text for one in ones for text in (one.text, *(heredoc.content for heredoc in one.heredocs)))
    return any("apt.conf" in text or 'install-recommends "' in text.lower() for text in texts)


def _brings_recommended(one: Command) -> bool:
    rest = one.words[1:]
    if one.name not in _APT or "install" not in rest:
        return False
    # A variable may hold the option.
    return not any(_NO_RECOMMENDS.search(word) or word.startswith(("$", '"$')) for word in rest)


def _fills_cache(one: Command) -> bool:
    manager = _MANAGERS.get(one.name)
    return manager is not None and any(word in manager.verbs for word in one.words[1:])


def _is_mounted(run: Instruction, caches: Sequence[str]) -> bool:
    """Whether a mount keeps a folder out of the layer."""
    return any(
        ("type=cache" in mount or "type=tmpfs" in mount) and any(f"={cache}" in mount for cache in caches)
        for mount in run.flag("mount")
    )
