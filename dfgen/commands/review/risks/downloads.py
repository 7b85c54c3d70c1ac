"""Risks of downloads: a verification that goes, and a URL or a checksum that moved without the other.

What a Dockerfile downloads is compared by step: an ADD or a RUN, with the variables that the file sets.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dfgen.commands.review.risks import warning
from dfgen.dockerfile.parser import Instruction
from dfgen.dockerfile.shell import Command, Word, every_command, tokens
from dfgen.dockerfile.stages import Stages
from dfgen.errors import Place, listing, printable
from dfgen.findings import Finding

_READ = frozenset(("ADD", "ARG", "ENV", "FROM", "SHELL"))
_RELEVANT = re.compile(
    r"://|\b(?:curl|wget|aria2c|gpgv?\d?|cosign|notation|minisign|signify|openssl|jarsigner|rpm|rpmkeys|pip3?|\w+sum)\b"
    r"|verif|trusted|insecure|gpg-?check|no-check|unauthenticated|allow-|--no|SSL|TLS",
    re.IGNORECASE,
)

_URL = re.compile(r"https?://[^\s'\"|;<>()\\]+", re.IGNORECASE)
_DIGEST = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-f]{128}|[0-9a-f]{96}|[0-9a-f]{64})(?![0-9A-Za-z])", re.IGNORECASE
)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=")
# A file that is only there to verify another one.
_SIGNATURE = re.compile(
    r"\.(?:asc|sig|sign|minisig|pem|crt|bundle|(?:sha|md5)\w*)$|(?:sha|md5)\d*sums?\b", re.IGNORECASE
)
_VERSION = re.compile(r"\d+")

_DOWNLOADS = frozenset(("curl", "wget", "aria2c", "fetch"))
_PRINTS = frozenset(("echo", "printf", ":", "true"))
_SUM = re.compile(r"(?:md5|sha\d+|sha|b2)sum")
_CHECK = re.compile(r"-[a-z]*c[a-z]*|--check", re.IGNORECASE)
# Commands that verify a file, each with the pattern of the word that makes it do so.
_VERIFIERS = {
    "gpg": r"--verify(?:-files)?",
    "gpgv": r".+",
    "rpm": r"--checksig|-[a-z]*K[a-z]*",
    "rpmkeys": r"--checksig|-[a-z]*K[a-z]*",
    "cosign": r"verify(?:-\w+)*",
    "notation": r"verify",
    "gh": r"verify(?:-asset)?",
    "slsa-verifier": r"verify-\w+",
    "minisign": r"-[A-Za-z]*V[A-Za-z]*",
    "signify": r"-[A-Za-z]*[VC][A-Za-z]*",
    "openssl": r"-verify",
    "jarsigner": r"-verify",
    "dpkg-sig": r"--verify",
    "pip": r"--require-hashes",
}
# Options that switch a verification off, of whatever program.
_OFF = re.compile(
    r"--insecure(?:-skip-tls-verify)?|--no-check-certificates?|--no-verify-ssl|--no-strict-ssl"
    r"|--(?:src-|dest-)?tls-verify=false|--allow-(?:unauthenticated|insecure-repositories|untrusted|unsigned-rpm)"
    r"|--force-yes|--no-?gpg-?checks?|--nosignature|--nodigest|--trusted-host|--disable-content-trust"
)
# Settings that do, in an option, a variable or a file that the script writes.
_SETTING = re.compile(
    r"\btrusted\s*=\s*yes\b|(?:repo_)?gpgcheck\s*=\s*(?:0|no|false)\b|\bsslverify[=\s]\s*(?:0|no|false)\b"
    r"|\b(?:AllowUnauthenticated|AllowInsecureRepositories)[=\s]+\W?(?:true|1|yes)\b|\bVerify-(?:Peer|Host)[=\s]+\W?false\b"
    r"|\bstrict-ssl[=\s]\s*false\b|\bGIT_SSL_NO_VERIFY=(?!0|false)\w+|\bNODE_TLS_REJECT_UNAUTHORIZED=0"
    r"|\bPYTHONHTTPSVERIFY=0|\bGO(?:INSECURE|NOSUMDB|NOSUMCHECK)=[^\s;]+",
    re.IGNORECASE,
)
_CURL_VALUES = frozenset("AbcCdDeEFHhKmoPQrTtuUwxXyYz")  # short options of curl with a value


@dataclass(frozen=True, eq=False)
class _Step:
    """An ADD, or the script of a RUN; `variables` are those that the file sets."""

    instruction: Instruction
    variables: Mapping[str, str]
    script: str = ""

    @cached_property
    def commands(self) -> tuple[Command, ...]:
        return tuple(every_command(self.script))

    @cached_property
    def assigned(self) -> Mapping[str, str]:
        """Variables with one value in the whole script; others depend on how it runs."""
        found: dict[str, set[str]] = {}
        for word in tokens(self.script):
            if isinstance(word, Word) and (name := _ASSIGNED.match(word.written)):
                found.setdefault(name[1], set()).add(word.value.removeprefix(name[0]))
        once = {name: next(iter(values)) for name, values in found.items() if len(values) == 1}
        return {
            name: text for name, text in {**self.variables, **once}.items() if len(found.get(name, "1")) == 1
        }

    def expand(self, text: str) -> str:
        """Replace the variables whose value is known; twice, for those whose values contain variables."""
        for _ in range(2):
            text = _VARIABLE.sub(lambda found: self.assigned.get(found[1] or found[2], found[0]), text)
        return text

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Expanded words that may contain what is downloaded, and checksums."""
        if not self.script:
            one = self.instruction.trigger or self.instruction
            return (*map(self.expand, one.words[:-1]), *map(self.expand, one.flag("checksum")))
        return tuple(self.expand(one.value if isinstance(one, Word) else one) for one in tokens(self.script))

    @cached_property
    def urls(self) -> tuple[str, ...]:
        """The URLs of files, without those of their signatures, and those that the script only prints."""
        printed = {id(word) for one in self.commands if one.name in _PRINTS for word in one.words}
        words = [word for word in tokens(self.script) if isinstance(word, Word) and id(word) not in printed]
        texts = map(self.expand, [word.value for word in words]) if self.script else self.texts
        found = dict.fromkeys(url for text in texts for url in _URL.findall(text))
        return tuple(url for url in found if not _SIGNATURE.search(url.partition("?")[0]))

    @cached_property
    def sums(self) -> tuple[str, ...]:
        found = dict.fromkeys(one.lower() for text in self.texts for one in _DIGEST.findall(text))
        return tuple(found)

    @cached_property
    def checks(self) -> Counter[str]:
        """The verifications, by how a message names them."""
        if not self.script:
            return Counter(
                ["ADD --checksum"] if (self.instruction.trigger or self.instruction).flag("checksum") else []
            )
        return Counter(label for command in self.commands for label in _check(command))

    @cached_property
    def downloads(self) -> int:
        """The number of downloaded files, without signatures."""
        if not self.script:
            return len(self.urls)
        return max(len(self.urls), sum(map(self._is_download, self.commands)))

    def _is_download(self, command: Command) -> bool:
        if command.name in ("pip", "pip3"):
            return "install" in command.values
        if command.name not in _DOWNLOADS:
            return False
        words = [self.expand(word) for word in command.values[1:] if not word.startswith("-")]
        return not any(_SIGNATURE.search(word) for word in words)

    @cached_property
    def is_complete(self) -> bool:
        """Whether the file sets every variable in the URLs, or the script does as it runs."""
        names = {found[1] or found[2] for url in self.urls for found in _VARIABLE.finditer(url)}
        own = {
            name[1]
            for word in tokens(self.script)
            if isinstance(word, Word) and (name := _ASSIGNED.match(word.written))
        }
        loops = set(re.findall(r"\bfor\s+(\w+)\s+in\b", self.script))
        return names <= own | loops | {"TARGETARCH", "TARGETOS", "TARGETPLATFORM", "TARGETVARIANT"}

    @property
    def key(self) -> frozenset[str]:
        """What the step downloads, whatever the version and the scheme."""
        return frozenset(_masked(url) for url in self.urls)


def reads(keyword: str, block: str) -> bool:
    """Whether an instruction may download or verify something, or set a variable for that."""
    return keyword in _READ or (keyword in ("RUN", "ONBUILD") and _RELEVANT.search(block) is not None)


def risks(path: str, old: Stages, new: Stages) -> Iterator[Finding]:
    """Report downloads that are verified less than before, or whose URL and checksum do not move together."""
    was, now = _steps(old), _steps(new)
    pairs = _paired(was, now)
    yield from _lost_checks(path, was, now, pairs)
    yield from _switched_off(path, old, new)
    yield from _without_tls(path, old, new, (was, now))
    for one, other in pairs:
        yield from _moved_alone(path, one, other)


def _steps(of: Stages) -> list[_Step]:
    found: list[_Step] = []
    for stage in of.all:
        variables = {
            name: text for name, text in {**stage.end.arguments, **stage.end.environment}.items() if text
        }
        scripts = {one.run.line: one.text for one in stage.scripts}
        for one in stage.instructions:
            inner = one.trigger or one
            if inner.keyword == "ADD" and any(_URL.search(word) or "$" in word for word in inner.words[:-1]):
                found.append(_Step(one, variables))
            elif text := scripts.get(one.line, ""):
                found.append(_Step(one, variables, text))
    return [step for step in found if step.downloads or step.checks or any(map(_URL.search, step.texts))]


def _paired(old: Sequence[_Step], new: Sequence[_Step]) -> list[tuple[_Step, _Step]]:
    """Pair the steps that download the same; and the others, if none came or went, by their order."""
    found: list[tuple[_Step, _Step]] = []
    left = list(new)
    rest: list[_Step] = []
    for step in old:
        same = next(
            (one for one in left if step.key & one.key or (not step.key and step.checks == one.checks)), None
        )
        if same is None:
            rest.append(step)
        else:
            left.remove(same)
            found.append((step, same))
    for keyword in ("ADD", "RUN"):
        ones, others = ([step for step in steps if _keyword(step) == keyword] for steps in (rest, left))
        if len(ones) == len(others):
            found += zip(ones, others, strict=True)
    return found


def _keyword(step: _Step) -> str:
    return (step.instruction.trigger or step.instruction).keyword


# Verifications


def _lost_checks(
    path: str, old: Sequence[_Step], new: Sequence[_Step], pairs: Sequence[tuple[_Step, _Step]]
) -> Iterator[Finding]:
    """Report each step that verifies less, unless it downloads less by as much.

    A step without a download may verify the download of another step, so its checks count for all of them.
    """
    separate = _separate(new).total() - _separate(old).total()
    for was, now in pairs:
        # The rule `add-url` reports an ADD that lost its checksum.
        if not was.downloads or not now.downloads or _keyword(was) == _keyword(now) == "ADD":
            continue
        missing = was.checks.total() - now.checks.total() - max(0, was.downloads - now.downloads)
        if 0 < missing <= separate or missing < 0:
            separate -= missing
        elif missing:
            yield _lost(path, was.checks - now.checks, now)
    fewer = sum(step.downloads for step in old) - sum(step.downloads for step in new)
    verified = next((step for step in new if step.downloads), None)
    if verified and separate + max(0, fewer) < 0:
        yield _lost(path, _separate(old) - _separate(new), verified)


def _separate(steps: Sequence[_Step]) -> Counter[str]:
    """Return the verifications of the steps that download nothing."""
    return sum((step.checks for step in steps if not step.downloads), Counter[str]())


def _lost(path: str, lost: Counter[str], step: _Step) -> Finding:
    names = listing(f"`{printable(label)}`" for label in lost)
    what = printable(_bare(step.urls[0])) if step.urls else "the download"
    verb = "was" if len(lost) == 1 else "were"
    message = f"{names} {verb} removed, so {what} is verified less than before; keep the check"
    return warning("verification", message, Place(path, step.instruction.line))


def _check(command: Command) -> Iterator[str]:
    """Yield how a command verifies, for messages."""
    name, words = command.name, [word.value for word in command.program[1:]]
    if _SUM.fullmatch(name) or name == "shasum":
        if any(_CHECK.fullmatch(word) for word in words):
            yield f"{name} -c"
    elif name in ("[", "test"):
        if found := re.search(r"\b(?:md5|sha\d+|sha|b2)sum\b", " ".join(words)):
            yield f"{name} with {found[0]}"
    else:
        tool = re.sub(r"(?<=^gpg)[12]$|(?<=^pip)3$", "", name)
        pattern = _VERIFIERS.get(tool)
        word = next((word for word in words if pattern and re.fullmatch(pattern, word)), None)
        if word is not None:
            yield tool if tool == "gpgv" else f"{tool} {word}"


def _switched_off(path: str, old: Stages, new: Stages) -> Iterator[Finding]:
    """Report each option and setting that switches a verification off and was not there before."""
    known = Counter(label for label, _ in _off(old))
    for label, line in _off(new):
        if known[label]:
            known[label] -= 1
        else:
            message = f"`{printable(label)}` switches a verification off; remove it"
            yield warning("verification", message, Place(path, line))


def _off(of: Stages) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for word in of.words:
        if word.keyword.removeprefix("ONBUILD ") in ("ENV", "ARG"):
            found += ((one[0], word.line) for one in _SETTING.finditer(f"{word.name}={word.value}"))
    for one in (script for stage in of.all for script in stage.scripts):
        written = "\n".join(part if isinstance(part, str) else part.value for part in tokens(one.text))
        found += ((" ".join(part[0].split()), one.run.line) for part in _SETTING.finditer(written))
        for command in every_command(one.text):
            if command.name not in _PRINTS:
                found += ((label, one.run.line) for label in _options(command))
    return found


def _options(command: Command) -> Iterator[str]:
    """Yield the options that switch a verification off, with the program's name."""
    for word in command.program[1:]:
        name = word.value.partition("=")[0] if word.value.startswith("--trusted-host") else word.value
        if _OFF.fullmatch(name):
            yield f"{command.name} {name}"
        elif command.name == "curl" and re.match(r"-[A-Za-z#]", word.value):
            for letter in word.value[1:]:
                if letter in _CURL_VALUES:
                    break
                if letter == "k":
                    yield "curl --insecure"


def _without_tls(
    path: str, old: Stages, new: Stages, steps: tuple[Sequence[_Step], Sequence[_Step]]
) -> Iterator[Finding]:
    """Report each URL that was https and is http now, also at another path of a host that was https only."""
    was, now = (_all_urls(*one) for one in zip((old, new), steps, strict=True))
    secure = {url.partition("://")[2] for url in was if url.lower().startswith("https:")}
    hosts = {url.partition("/")[0] for url in secure}
    plain = [url for url in was if url.lower().startswith("http:")]
    plain_hosts = {url.partition("://")[2].partition("/")[0] for url in plain}
    for url, line in now.items():
        rest = url.partition("://")[2]
        host = rest.partition("/")[0]
        is_new = url.lower().startswith("http:") and url not in plain
        if is_new and (rest in secure or (host in hosts and host not in plain_hosts)):
            message = f"{printable(_bare(url))} was https, so nothing protects the download now; use https"
            yield warning("verification", message, Place(path, line))


def _all_urls(of: Stages, steps: Sequence[_Step]) -> dict[str, int]:
    """Return the URLs of all steps, also those of signatures, and of variables, with their lines."""
    found: dict[str, int] = {}
    for step in steps:
        for text in step.texts:
            for url in _URL.findall(text):
                found.setdefault(url, step.instruction.line)
    for word in of.words:
        for url in _URL.findall(word.value):
            found.setdefault(url, word.line)
    return found


# URLs and checksums


def _moved_alone(path: str, old: _Step, new: _Step) -> Iterator[Finding]:
    """Report a URL that moved although its checksum did not, and the reverse."""
    urls, sums = (old.urls, new.urls), (old.sums, new.sums)
    if len(urls[0]) != len(urls[1]) or len(sums[0]) != len(sums[1]) or not urls[0] or not sums[0]:
        return
    for some, others in _together(len(urls[0]), len(sums[0])):
        moved = [at for at in some if urls[0][at] != urls[1][at]]
        same = [at for at in others if sums[0][at] == sums[1][at]]
        place = Place(path, new.instruction.line)
        is_clear = len(some) == 1 or len(others) == 1
        if moved and (same if is_clear else len(same) == len(others)):
            url = printable(_bare(urls[1][moved[0]]))
            message = f"{url} moved, but its checksum {sums[1][same[0]][:12]}… did not; update the checksum"
            yield warning("checksum", message, place)
        elif not moved and len(same) < len(others) and old.is_complete and new.is_complete:
            changed = next(at for at in others if at not in same)
            url, digest = printable(_bare(urls[1][some[0]])), sums[1][changed][:12]
            change = f"the checksum of {url} is now {digest}…, but the URL did not move"
            message = f"{change}; check why the file changed"
            yield warning("checksum", message, place)


def _together(urls: int, sums: int) -> Iterator[tuple[range, range]]:
    """Yield which URLs belong to which checksums, by their order; all to all if that is not clear."""
    if urls % sums == 0:
        size = urls // sums
        yield from ((range(at * size, (at + 1) * size), range(at, at + 1)) for at in range(sums))
    elif sums % urls == 0:
        size = sums // urls
        yield from ((range(at, at + 1), range(at * size, (at + 1) * size)) for at in range(urls))
    else:
        yield range(urls), range(sums)


def _masked(url: str) -> str:
    return _VERSION.sub("#", url.partition("://")[2])


def _bare(url: str) -> str:
    """Return a URL without user, password and query, which may be secret."""
    return re.sub(r"//[^/@]*@", "//", url).partition("?")[0]
