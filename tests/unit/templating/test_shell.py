"""Values in shell form, run by real shells: a program receives the exact value."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.dockerfile import parse
from dfgen.errors import InputError
from dfgen.templating import Templates
from tests.unit.templating.positions import HOSTILE

SHELLS = [path for path in map(shutil.which, ("sh", "bash")) if path]
SHOW = "printf '<%s>'"


def blanks(value: str) -> list[str]:
    """Split a value that is a whole word at blanks."""
    return [word for word in re.split("[ \t]+", value) if word]


# A command for every position, and the expected arguments.
COMMANDS = {
    "bare": (f"{SHOW} a {{{{ v }}}} b", lambda v: ["a", *blanks(v), "b"]),
    "word": (f"{SHOW} a {{{{ v | quote }}}} b", lambda v: ["a", v, "b"]),
    "part": (f"{SHOW} x{{{{ v }}}}y", lambda v: [f"x{v}y"]),
    "option": (f"{SHOW} --with={{{{ v }}}} b", lambda v: [f"--with={v}", "b"]),
    "double": (f'{SHOW} "{{{{ v }}}}" b', lambda v: [v, "b"]),
    "single": (f"{SHOW} '{{{{ v }}}}' b", lambda v: [v, "b"]),
    "after variable": (f'X=1; {SHOW} "$X{{{{ v }}}}" "${{X}}{{{{ v }}}}"', lambda v: [f"1{v}", f"1{v}"]),
    "bare after variable": (f"X=1; {SHOW} $X{{{{ v }}}}", lambda v: [f"1{v}"]),
    "assignment": (f'X={{{{ v }}}}; {SHOW} "$X"', lambda v: [v]),
    "substitution": (f'{SHOW} "$({SHOW} x{{{{ v }}}}y)"', lambda v: [f"<x{v}y>"]),
    "quoted inside": (f'{SHOW} "$({SHOW} "{{{{ v }}}}" \'{{{{ v }}}}\')"', lambda v: [f"<{v}><{v}>"]),
    "subshell": (f"({SHOW} x{{{{ v }}}}) && true", lambda v: [f"x{v}"]),
    "condition": (f"if [ {{{{ v | quote }}}} = '{{{{ v }}}}' ]; then {SHOW} y; fi", lambda v: ["y"]),
    "loop": (f"for i in {{{{ v | quote }}}} b; do {SHOW} \"$i\"; done", lambda v: [v, "b"]),
    "joined": (f"{SHOW} {{{{ [v, 'z'] | join(' b ') }}}}", lambda v: [*blanks(v), "b", "z"]),
    "nested": (f'sh -c "{SHOW} {{{{ v | quote }}}}"', lambda v: [v]),
    "nested single": (f"sh -c '{SHOW} {{{{ v | quote }}}}'".replace("'<%s>'", '"<%s>"'), lambda v: [v]),
    "case": (f"case {{{{ v | quote }}}} in '{{{{ v }}}}') {SHOW} y;; esac", lambda v: ["y"]),
    "redirect": (f"{SHOW} y{{{{ v }}}}>/dev/stdout", lambda v: [f"y{v}"]),
    "lines": (f"{SHOW} a \\\n  x{{{{ v }}}} \\\n  \"{{{{ v }}}}\"", lambda v: ["a", f"x{v}", v]),
}  # fmt: skip


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    root = tmp_path_factory.mktemp("commands")
    for name, (command, _) in COMMANDS.items():
        (root / name).write_text(f"FROM x\nRUN {command}\n", encoding="utf-8")
    return Templates(root, "templates")


def commands(templates: Templates, name: str, value: str) -> list[str]:
    """Return the command that BuildKit passes to the shell; empty if the value is rejected."""
    try:
        text = templates.render(name, {"v": value})
    except InputError:
        return []
    return [parse(text).instructions[1].arguments]


def outputs(shell: str, scripts: Sequence[str], folder: Path) -> list[str]:
    """Run many commands in one process tree and return the output of each."""
    batch = "".join(f"{shell} -c {shlex.quote(script)}; printf '\\001'\n" for script in scripts)
    done = subprocess.run(
        [shell],
        input=batch.encode(),
        cwd=folder,
        capture_output=True,
        env={"PATH": "/bin:/usr/bin"},
        check=False,
    )
    return done.stdout.decode().split("\x01")[:-1]


@settings(max_examples=6, deadline=None)
@given(values=st.lists(HOSTILE, min_size=5, max_size=5))
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_passes_the_exact_arguments(
    shell: str, values: list[str], templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cwd")
    (folder / "a").touch()
    cases = [
        (name, value, command, expected(value))
        for name, (_, expected) in COMMANDS.items()
        for value in values
        for command in commands(templates, name, value)
    ]  # fmt: skip
    printed = outputs(shell, [command for _, _, command, _ in cases], folder)
    wrong = {
        (name, value, command): output
        for (name, value, command, words), output in zip(cases, printed, strict=True)
        if output != "".join(f"<{word}>" for word in words)
    }
    assert wrong == {}
    assert sorted(path.name for path in folder.iterdir()) == ["a"]
