"""The documentation agrees with the program: links resolve, and commands, options, rules and keys are described."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import click
import pytest

import dfgen as package
from dfgen.cli.group import dfgen
from dfgen.commands.lint.records import RULES
from dfgen.oci.platform import aliases

ROOT = Path(__file__).parents[2]
SOURCE = Path(package.__file__).parent
REFERENCE = ROOT / "docs/reference"
GROUP = click.Context(dfgen, info_name="dfgen", obj=SimpleNamespace(), **dfgen.context_settings)
COMMANDS = dfgen.list_commands(GROUP)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_RULE = re.compile(r"[a-z]+(-[a-z]+)*")
_NEXT_COMMAND = (";", "&&", "||", "|", "&")
_REDIRECTIONS = (">", ">>", "<", "2>")


def _shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


@cache
def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _prose(page: Path) -> str:
    return _FENCE.sub("", _text(page))


def _anchors(page: Path) -> set[str]:
    """Heading anchors as GitHub makes them."""
    found: dict[str, int] = {}
    anchors = set()
    for heading in _HEADING.findall(_prose(page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower().strip()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = found[anchor] = found.get(anchor, -1) + 1
        anchors.add(f"{anchor}-{count}" if count else anchor)
    return anchors


def _broken_links(page: Path) -> Iterator[str]:
    for link in _LINK.findall(_CODE.sub("", _prose(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.is_relative_to(ROOT) or not target.exists():
            yield f"{link}: no such file"
        elif anchor and anchor not in _anchors(target):
            yield f"{link}: no such heading; there are {sorted(_anchors(target))}"


@pytest.mark.parametrize("page", PAGES, ids=_shown)
def test_links_and_anchors_resolve(page: Path) -> None:
    assert list(_broken_links(page)) == []


def test_a_broken_link_or_anchor_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "a.md"
    page.write_text("# A `b` c!\n[x](#a-b-c) [y](#b) [z](none.md)\n```\n[w](none.md)\n```\n")
    assert list(_broken_links(page)) == [
        "#b: no such heading; there are ['a-b-c']",
        "none.md: no such file",
    ]


def test_every_page_is_reachable_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "docs/README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            links = (link.partition("#")[0] for link in _LINK.findall(_prose(page)) if ":" not in link)
            waiting += [(page.parent / link).resolve() for link in links if link]
    assert sorted(set((ROOT / "docs").rglob("*.md")) - seen) == []


def _commands_in(line: str) -> Iterator[list[str]]:
    """The `dfgen` commands of a line of shell, as their arguments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _NEXT_COMMAND:
            words.append(word)
            continue
        if "dfgen" in words[:1]:
            yield words[1:]
        words = []


def _parse(arguments: list[str], *, is_complete: bool) -> None:
    """Parse arguments as `dfgen` does, without running the command. Raises click.UsageError if they are wrong.

    Inline code is not complete: it may omit arguments, and list the choices of an option.
    """
    redirections = [at for at, word in enumerate(arguments) if word in _REDIRECTIONS]
    words = arguments[: redirections[0]] if redirections else arguments
    words = [word for word in words if word not in ("…", "--help", "--version")]
    _, rest, _ = dfgen.make_parser(GROUP).parse_args(list(words))
    dfgen.make_context(
        "dfgen", [*words[: len(words) - len(rest)], "COMMAND"], resilient_parsing=not is_complete
    )
    if not rest:
        return
    name = rest[0]
    if not is_complete and not name.islower():  # `dfgen COMMAND`
        return
    command = dfgen.get_command(GROUP, name)
    if command is None:
        raise click.UsageError(f"no command {name!r}")
    command.make_context(name, list(rest[1:]), parent=GROUP, resilient_parsing=not is_complete).close()


def _shell_lines(page: Path) -> Iterator[str]:
    for language, block in _FENCE.findall(_text(page)):
        joined = block.replace("\\\n", " ")
        if language == "sh":
            yield from joined.splitlines()
        elif language == "console":
            yield from (line[2:] for line in joined.splitlines() if line.startswith("$ "))


def _wrong_commands(page: Path) -> Iterator[str]:
    complete = [(words, True) for line in _shell_lines(page) for words in _commands_in(line)]
    spans = [
        code for code in _CODE.findall(_prose(page)) if code.startswith("dfgen ") and ":" not in code[:7]
    ]
    fragments = [(words, False) for code in spans for words in _commands_in(code.replace("\\|", "/"))]
    for words, is_complete in complete + fragments:
        try:
            _parse(words, is_complete=is_complete)
        except click.UsageError as error:
            message = error.format_message()
            if not message.endswith("does not exist."):  # a folder of the example
                yield f"dfgen {shlex.join(words)}: {message}"


# The changelog names what earlier versions had, and the benchmarks label their rows.
_NOT_COMMANDS = ("CHANGELOG.md", "benchmarks.md")


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in _NOT_COMMANDS], ids=_shown)
def test_commands_and_options_in_the_docs_exist(page: Path) -> None:
    assert list(_wrong_commands(page)) == []


def test_commands_are_found_in_shell_blocks() -> None:
    lines = [line for page in PAGES for line in _shell_lines(page)]
    assert sum(len([*_commands_in(line)]) for line in lines) > 50
    assert [*_commands_in("cd x && dfgen -C y list | head; dfgen gc")] == [["-C", "y", "list"], ["gc"]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dfgen rendr", "no command 'rendr'"),
        ("cd x && dfgen render --chek | tee y", "No such option '--chek'"),
        ("dfgen --format yaml list", "'yaml' is not one of"),
        ("dfgen load > file", "Missing argument"),
    ],
)
def test_a_wrong_command_is_found(tmp_path: Path, line: str, message: str) -> None:
    page = tmp_path / "a.md"
    page.write_text(f"```sh\n{line}\n```\n")
    (found,) = _wrong_commands(page)
    assert message in found


def _section(page: Path, heading: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ `{re.escape(heading)}.*?(?=^#+ |\Z)", _text(page), re.MULTILINE | re.DOTALL)
    return found.group() if found else ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described_with_its_options(name: str) -> None:
    command = dfgen.get_command(GROUP, name)
    assert command is not None
    section = _section(REFERENCE / "commands.md", f"dfgen {name}")
    assert section, f"docs/reference/commands.md has no heading for `dfgen {name}`"
    # The global options, which every command takes, are described once.
    shared = ("-C", "--format")
    options = [one for one in command.params if isinstance(one, click.Option)]
    own = [one for one in options if one.expose_value or one.opts[0] not in shared]
    flags = {flag for one in own for flag in one.opts}
    first_cells = " ".join(re.findall(r"^\| (.*?) \| ", section, re.MULTILINE))
    assert set(re.findall(r"`(--?[a-z-]+)", first_cells)) == flags - {"-h", "--help"}


def test_only_commands_that_exist_are_described() -> None:
    described = re.findall(r"^### `dfgen ([a-z]+)", _text(REFERENCE / "commands.md"), re.MULTILINE)
    assert sorted(described) == sorted(COMMANDS)


def _keys(schema: object) -> Iterator[str]:
    """All keys of a catalog file that a schema names, at any depth."""
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for part in schema.values():
            yield from _keys(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _keys(part)


@pytest.mark.parametrize("name", ["catalog", "base"])
def test_every_key_of_the_catalog_is_described(name: str) -> None:
    (file,) = SOURCE.rglob(f"{name}.schema.json")
    schema = json.loads(file.read_text(encoding="utf-8"))
    page = _text(REFERENCE / "catalog.md")
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert set(schema["properties"]) - rows == set()
    assert set(_keys(schema)) - set(_CODE.findall(page)) - {"name", "version"} == set()


def _review_rules() -> Iterator[str]:
    """The rules of `review`: the first argument of error() and warning(), and the `rule` of a Finding."""
    for file in SOURCE.rglob("*.py"):
        if "review" not in str(file.relative_to(SOURCE)):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            named = [keyword.value for keyword in node.keywords if keyword.arg == "rule"]
            first = node.args[:1] if node.func.id in ("error", "warning") else []
            for value in (*named, *first):
                if isinstance(value, ast.Constant) and _RULE.fullmatch(str(value.value)):
                    yield str(value.value)


def test_every_risk_of_a_review_is_described() -> None:
    described = re.findall(
        r"^\| `([a-z-]+)` \| (?:error|warning|note) \|", _text(REFERENCE / "review.md"), re.MULTILINE
    )
    rules = {*_review_rules(), "arch-parity"}
    assert len(rules) > 15
    assert sorted(described) == sorted(rules)


def test_every_lint_rule_is_described() -> None:
    described = re.findall(
        r"^\| `([a-z-]+)` \| (error|warning|note) \|", _text(REFERENCE / "lint.md"), re.MULTILINE
    )
    assert sorted(described) == [(rule, str(level)) for rule, level in sorted(RULES.items())]


def test_every_top_level_key_of_the_review_s_json_is_described() -> None:
    schema = json.loads((ROOT / "docs/review.schema.json").read_text(encoding="utf-8"))
    section = _text(REFERENCE / "review.md").partition("## JSON")[2]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(schema["properties"])


def test_every_platform_is_described() -> None:
    rows = re.findall(
        r"^\| (linux/\S+) \| `(\w+)` \| `(-\w+)` \|", _text(REFERENCE / "architectures.md"), re.MULTILINE
    )
    platforms = {*aliases().values()}
    assert sorted(rows) == sorted((str(one), one.dockerfile, one.tag_suffix) for one in platforms)
