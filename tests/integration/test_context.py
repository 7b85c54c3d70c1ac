"""The context files that dfgen finds are those that BuildKit copies: generated trees through both."""

from __future__ import annotations

import json
import random
import stat
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from dfgen.catalog.context import BuildInputs, ContextReader
from dfgen.filetree import Folder
from tests.unit.models import AMD64, family, image

pytestmark = pytest.mark.integration

_CONTEXT = PurePosixPath("bases/a")
# Every file has a name of its own and holds its path, so that it is known wherever it was copied to.
FILES = (
    *(
        "a.txt",
        "b.md",
        "README.md",
        "foo/x.txt",
        "foo/y.md",
        "foo/bar/z.txt",
        "foo/bar/deep/q.md",
        "foo.text",
    ),
    *(
        "tmp/temp1",
        "sub/tmp/temp2",
        "sub/foo/w.txt",
        ".hidden",
        ".git/config",
        "sub/.git/head",
        "-dash",
        "#hash",
    ),
    *("node_modules/m/i.js", "sub/node_modules/m/j.js", "[x]/l.txt", "sp ace/s.txt", "UP/case.TXT", "!bang"),
    *("a/b/c/d.txt", "a/c/e.txt", "x~", "é/ü.txt", "x[1]", "bin/run", "back\\slash", "c^d"),
)
LINKS = {
    "to_file": "a.txt",
    "to_folder": "foo/bar",
    "absolute": "/foo/x.txt",
    "climbing": "../../../tmp",
    "chain": "to_folder",
    "foo/up": "../sub",
    "foo/bar/beside": "z.txt",
    "hop": "chain/deep",
    "sub/dangling": "nowhere",
}
MODES = {"bin/run": 0o755, "b.md": 0o600, "foo/bar": 0o750, "a/b": 0o711, "a/c/e.txt": 0o444}
# What COPY can name; one that BuildKit refuses is refused by dfgen.
SOURCES = (
    *(
        ".",
        "/",
        "./",
        "a.txt",
        "./a.txt",
        "/a.txt",
        "foo",
        "foo/",
        "foo/.",
        "foo//bar",
        "foo/../a.txt",
        "../a.txt",
    ),
    *(
        "*.txt",
        "?.txt",
        "[^b].*",
        "[a-b].*",
        "[b-a].*",
        "[!a].txt",
        "*/*.txt",
        "*/*/*.txt",
        "**/*.txt",
        "foo/**",
    ),
    *("f*/bar", "f*o", "*", "no*thing", "[[]x]", "x[[]1]", "*[[]1]", "UP/*", "*.TXT", "UP/*.TXT"),
    *("to_file", "to_folder", "to_folder/", "to_folder/z.txt", "absolute", "climbing", "chain", "hop"),
    *(
        "to_f*",
        "to_folder/*",
        "to_*/z.txt",
        "foo/up",
        "foo/up/tmp",
        "foo/u*",
        "ch*n",
        "hop/*",
        "abs*",
        "clim*/*",
    ),
    *('"a.txt"', "'a.txt'", "sp?ace", "a'.'txt", "\\a.txt", "é", "é/*", "é/?.txt", "-dash", "*hash"),
    *("!bang", "[!]bang", "x~", ".hidden", ".*", "bin", "foo/[x-z].*", "foo/[^x]*", "foo[.]text", "foo?text"),
    *(
        "a/*/d.txt",
        "a/**/d.txt",
        "a/b*",
        "$HERE",
        "${HERE}/bar",
        "${NOT:-foo}/x.txt",
        "${HERE:+bin}",
        "$MORE",
    ),
    *("c^d", "c?d", "[c]^d", "foo/*/*", "a[/]b", "foo[^a]x.txt", "*\\.md", "\\*.md", "./*/../*.md"),
)
OTHERS = (
    *(
        'COPY ["sp ace", "/x/"]',
        'COPY ["[x]/*", "/x/"]',
        "COPY a.txt b.md bin /x/",
        "COPY a.txt no*thing /x/",
    ),
    *("COPY --exclude=*.txt foo /x/", "COPY --exclude=bar foo /x/", "COPY --exclude=*/deep foo /x/"),
    *(
        "COPY --exclude=bar --exclude=!bar/deep foo /x/",
        "COPY --exclude=*.md *.md /x/",
        "COPY --exclude=foo . /x/",
    ),
    *(
        "COPY --exclude=** --exclude=!foo/x.txt . /x/",
        "COPY --exclude=*.txt f* /x/",
        "COPY --exclude=a.txt a.txt /x/",
    ),
    *("COPY --exclude=/bar foo /x/", "COPY --exclude=bar/ foo /x/", "COPY --exclude=BAR foo /x/"),
    *("COPY --link foo /x/", "COPY --chown=1:1 a.txt /x/", "COPY --from= a.txt /x/"),
    *("COPY <<EOF /x/\nb.md\nEOF", "COPY a.txt <<EOF /x/\nb.md\nEOF", "ONBUILD COPY a.txt /x/"),
)
# What BuildKit refuses: each is a build of its own.
REFUSED = (
    "nothing",
    "foo/nothing",
    "a[",
    "[]a]",
    "[a-]",
    "a.txt/x",
    "../secret",
    "sub/dangling",
    "sub/d*",
    '"\\\\*.txt"',
)
IGNORED = (
    *("foo", "foo/", "/foo", "./foo", "foo/*", "foo/**", "**/foo", "*/foo", "*.md\n!README.md", "*\n!a.txt"),
    *(
        "*\n!foo/bar",
        "**\n!foo/bar/z.txt",
        "*\n!foo\nfoo/bar",
        "**/*.md",
        "*/*.txt",
        "a/**/d.txt",
        "a/*/d.txt",
    ),
    *(
        "**/node_modules",
        "node_modules",
        ".git",
        "**/.git",
        "?.txt",
        "[a-b].txt",
        "[^a].*",
        "\\[x\\]",
        "sp ace",
    ),
    *("  foo  ", "\tfoo", "#hash", "\\#hash", " # c", "\\!bang", "UP/CASE.TXT", "*.TXT", "foo\n!foo/x.txt"),
    *("foo/*\n!foo/bar", "*\n!**/x.txt", "../ctx/foo", "foo/../a.txt", "foo//bar", ".", "/", "**", "! a.txt"),
    *("*\n! a.txt", "é", "**/ü.txt", "foo**", "**foo", "f**o", "a/b/**", "*~", "**/tmp/temp*", "a.txt # c"),
    *(
        "foo/bar/\n!foo/bar/deep",
        "!*.md\n*.md",
        "*.md\n!*.md\nb.md",
        "\ufefffoo",
        "foo\r\nb.md\r",
        "*\n!/foo",
    ),
    *(
        "*\n!foo/",
        "-dash",
        "foo/*\n!foo",
        "*\n!*/bar",
        "**/bar\n!foo/bar/deep",
        "c^d",
        "c^*",
        "\\a.txt",
        "back\\\\*",
    ),
    *(
        "to_folder",
        "chain",
        "foo/bar",
        "[[:alpha:]].txt",
        "[*]",
        "a.tx[t]",
        "**/",
        "\\d.txt",
        "\\foo",
        "*[~]",
    ),
    *("foo\n\n# c\nb.md", "*\n!foo\n!foo/**", "*/*\n!*/*.txt", "x[1]", "x\\[1]", "x\\[1\\]", "\xa0b.md\xa0"),
)
BROKEN = ("!", "[", "a[", "foo/[", "\\", "[a-", "[]", "\\y", "a.txt\n[-]\n")


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What was copied into an image: the texts of files with their modes, and the names of folders and links."""

    files: Mapping[str, int]
    folders: Mapping[str, int]
    links: frozenset[str]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the tree."""
    root = tmp_path_factory.mktemp("catalog")
    context = root / _CONTEXT
    for name in FILES:
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (context / "empty").mkdir()
    for name, target in LINKS.items():
        (context / name).symlink_to(target)
    for name, mode in MODES.items():
        (context / name).chmod(mode)
    (root / "bases/secret").write_text("secret")
    return root


def instructions(source: str, at: int) -> str:
    return f"FROM scratch AS s{at}\nARG HERE=foo\nENV MORE=$HERE/bar\n{source}\n"


def put(root: Path, number: int, text: str, ignored: str | None = None) -> str:
    """Write a Dockerfile with an ignore file of its own; return its path in the root."""
    path = f"dockerfiles/{number}/Dockerfile_amd64"
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
    if ignored is not None:
        (root / f"{path}.dockerignore").write_bytes(f"{ignored}\n".encode())
    return path


def bake(root: Path, paths: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Build Dockerfiles all at once, each into a folder beside it: one build, whose first failure ends it."""
    targets = {
        f"t{at}": {
            "context": str(root / _CONTEXT),
            "dockerfile": str(root / path),
            "output": [f"type=local,dest={(root / path).parent / 'out'}"],
        }
        for at, path in enumerate(paths)
    }
    return subprocess.run(
        ["docker", "buildx", "bake", "--allow", "fs=*", "-f", "-"],
        input=json.dumps({"group": {"default": {"targets": [*targets]}}, "target": targets}),
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def refuses(root: Path, path: str) -> bool:
    """Build one Dockerfile; return whether BuildKit refuses it."""
    return bake(root, [path]).returncode != 0


def arrived(folder: Path) -> Arrived:
    """Read what was copied; the text of a heredoc is not a file of the context."""
    files, folders, links = {}, {}, set()
    for path in folder.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            links.add(path.name)
        elif path.is_dir():
            folders[path.name] = mode
        elif (text := path.read_text()) in FILES:
            files[text] = mode
    return Arrived(files=files, folders=folders, links=frozenset(links))


class World:
    """Reads Dockerfiles as dfgen does, without rendering them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def inputs(self, text: str, ignored: str | None = None) -> BuildInputs:
        """Read what a Dockerfile takes."""
        one = image("d", AMD64, family=family("d", context=_CONTEXT))
        path = self.root / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        beside = Path(f"{path}.dockerignore")
        beside.unlink(missing_ok=True)
        if ignored is not None:
            beside.write_bytes(f"{ignored}\n".encode())
        try:
            return ContextReader(Folder(self.root)).inputs(one)
        finally:
            path.unlink()
            beside.unlink(missing_ok=True)
            path.parent.rmdir()


def differences(taken: BuildInputs, found: Arrived) -> list[str]:
    """Compare: every file, its mode; the folders and links that came are among those that were read."""
    kinds = {path: text.split() for path, text in taken.files.items()}
    files = {path: int(words[1], 8) for path, words in kinds.items() if words[0] == "file"}
    folders = {
        PurePosixPath(path).name: int(words[1], 8) for path, words in kinds.items() if words[0] == "folder"
    }
    links = {PurePosixPath(path).name for path, words in kinds.items() if words[0] == "link"}
    return [
        *(f"BuildKit alone: {one}" for one in sorted(found.files.keys() - files.keys())),
        *(f"dfgen alone: {one}" for one in sorted(files.keys() - found.files.keys())),
        *(
            f"{one}: other mode"
            for one in files.keys() & found.files.keys()
            if files[one] != found.files[one]
        ),
        *(f"folder of BuildKit alone: {one}" for one in sorted(found.folders.keys() - folders.keys())),
        *(f"link of BuildKit alone: {one}" for one in sorted(found.links - links)),
    ]


def shown(problems: Iterable[object]) -> list[str]:
    return [str(one) for one in problems]


def test_what_copy_takes(root: Path) -> None:
    sources = [*(f"COPY {one} /x/" for one in SOURCES), *(f"ADD {one} /x/" for one in SOURCES[::7]), *OTHERS]
    stages = [instructions(one, at) for at, one in enumerate(sources)]
    last = "".join(f"COPY --from=s{at} / /{at}/\n" for at in range(len(stages)))
    path = put(root, 0, f"{''.join(stages)}FROM scratch\n{last}", "")
    done = bake(root, [path])
    assert done.returncode == 0, done.stderr
    world = World(root)
    wrong = {}
    for at, source in enumerate(sources):
        taken = world.inputs(instructions(source, 0), "")
        out = root / "dockerfiles/0/out" / str(at) / "x"
        if found := [*shown(taken.problems), *differences(taken, arrived(out))]:
            wrong[source] = found
    assert wrong == {}


def test_what_ignore_files_leave_out(root: Path) -> None:
    text = "FROM scratch\nCOPY . /x/\n"
    paths = [put(root, 100 + at, text, ignored) for at, ignored in enumerate(IGNORED)]
    done = bake(root, paths)
    assert done.returncode == 0, done.stderr
    wrong = {}
    for ignored, path in zip(IGNORED, paths, strict=True):
        taken = World(root).inputs(text, ignored)
        out = (root / path).parent / "out" / "x"
        if found := [*shown(taken.problems), *differences(taken, arrived(out))]:
            wrong[ignored] = found
    assert wrong == {}


def generated(seed: int) -> tuple[str, list[str]]:
    """Generate an ignore file and sources of COPY, from the parts of those above."""
    chance = random.Random(seed)
    names = [*FILES, *LINKS, *(str(PurePosixPath(name).parent) for name in FILES)]

    def pattern() -> str:
        parts = chance.choice(names).split("/")
        for at, part in enumerate(parts):
            if chance.random() < 0.4:
                cut = chance.randrange(len(part) + 1)
                parts[at] = chance.choice(
                    ("*", "?", f"{part[:cut]}*", f"*{part[cut:]}", f"[^a]{part[1:]}", "**")
                )
        return "/".join(parts)

    ignored = [chance.choice(("", "", "!")) + pattern() for _ in range(chance.randrange(5))]
    sources = [pattern() for _ in range(10)]
    return "\n".join(ignored), [f'COPY ["{one}", "/x/"]'.replace("\\", "\\\\") for one in sources]


def test_generated_sources_and_ignore_files(root: Path) -> None:
    world = World(root)
    paths, wanted = [], []
    for seed in range(12):
        ignored, sources = generated(seed)
        stages = [instructions(one, at) for at, one in enumerate(sources)]
        read = [world.inputs(instructions(one, 0), ignored) for one in sources]
        # A pattern that matches nothing is an error of BuildKit if the folder in front of it was not sent, which
        # depends on the other sources.
        right = [at for at, taken in enumerate(read) if taken.files and not taken.problems]
        last = "".join(f"COPY --from=s{at} / /{at}/\n" for at in right)
        paths.append(put(root, 500 + seed, f"{''.join(stages)}FROM scratch\n{last}", ignored))
        wanted.append([(at, sources[at], read[at]) for at in right])
    done = bake(root, paths)
    assert done.returncode == 0, done.stderr
    wrong = {}
    for seed, (path, found) in enumerate(zip(paths, wanted, strict=True)):
        for at, source, taken in found:
            out = (root / path).parent / "out" / str(at) / "x"
            if differing := differences(taken, arrived(out)):
                wrong[seed, generated(seed)[0], source] = differing
    assert wrong == {}


def test_what_is_refused(root: Path) -> None:
    texts = [(instructions(f"COPY {one} /x/", 0), "") for one in REFUSED]
    texts += [("FROM scratch\nCOPY . /x/\n", ignored) for ignored in BROKEN]
    paths = [put(root, 300 + at, text, ignored) for at, (text, ignored) in enumerate(texts)]
    world = World(root)
    read = [bool(world.inputs(text, ignored).problems) for text, ignored in texts]
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda path: refuses(root, path), paths))
    assert [one for one, found in zip(texts, read, strict=True) if not found] == []
    assert [one for one, found in zip(texts, built, strict=True) if not found] == []
