"""A template that would use unbounded time or memory ends with one line that names it and its line."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dfgen.errors import InputError, Place
from dfgen.templating import TemplateOptions, Templates
from tests.unit.templating.burning import BURNING
from tests.unit.templating.helpers import TemplateFolder

MEMORY = 1_000_000_000  # bytes of the address space, of which Python and the libraries use a fifth
SECONDS = 30  # of the processor; all together take about a third of it on a slow machine
SLOWEST = (
    "a recursive loop",
    "a macro that calls itself twice",
    "a caller that calls twice",
    "an include that includes itself twice",
)
TAKES_TOO_LONG = "the template needs more than 500,000 steps (rounds of loops, calls, and the text and items that they produce); simplify its loops and macros"


def _child(names: list[str]) -> None:
    """Render templates with little memory and print the messages."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
    found = {}
    for name in names:
        (folder / "x.j2").write_text(f"FROM scratch\n{BURNING[name]}\n", encoding="utf-8")
        start = time.process_time()
        for render in ("render", "origins") if name in SLOWEST else ("render",):
            try:
                getattr(Templates(folder, "templates"), render)("x.j2", {})
                message = "renders"
            except InputError as error:
                message = str(error)
            found[f"{name}, {render}"] = (message, time.process_time() - start)
    print(json.dumps(found))


def test_a_template_that_burns_ends_with_one_line(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.unit.templating.test_limits", str(tmp_path))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, tuple[str, float]] = json.loads(done.stdout)
    assert len(found) == len(BURNING) + len(SLOWEST)
    wrong = {name: message for name, (message, _) in found.items() if not _is_right(message)}
    assert wrong == {}
    assert {name: seconds for name, (_, seconds) in found.items() if seconds > SECONDS} == {}
    for name in ("loops in loops", "a macro that calls itself twice", "nested lists compared"):
        assert found[f"{name}, render"][0] == f"templates/x.j2:2: {TAKES_TOO_LONG}"


def _is_right(message: str) -> bool:
    is_placed = re.fullmatch(r"templates/x\.j2:[12]: .+", message) is not None
    return is_placed and len(message) < 300 and "too little memory" not in message


def test_ordinary_templates_are_far_below_the_limit(tmp_path: Path) -> None:
    text = "FROM scratch\n{% for i in range(2000) %}\nRUN echo {{ [i, i + 1] | join('-') | upper }} {{ '%05d' % i }}\n{% endfor %}"
    assert TemplateFolder(tmp_path).render(text).count("RUN") == 2000


def test_many_images_share_a_limit(tmp_path: Path) -> None:
    (tmp_path / "x.j2").write_text(
        "FROM scratch\n{% for i in range(10 ** 5) %}{% for j in range(n) %}{% endfor %}{% endfor %}"
    )
    templates = Templates(tmp_path, "templates", TemplateOptions())
    for _ in range(25):
        with pytest.raises(InputError, match="steps"):
            templates.render("x.j2", {"n": 10**5})
    with pytest.raises(InputError) as raised:
        templates.render("x.j2", {"n": 1})
    assert str(raised.value) == f"templates/x.j2:2: {TAKES_TOO_LONG.replace('500,000', '10,000')}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", TAKES_TOO_LONG),
        ("{{ ('a' * 900000).replace('a', 'b' * 900000) }}", "not allowed in a template: the texts are too long for replace: the product of their lengths is 810,000,900,000; the limit is 32,000,000"),
        ("{{ range(100000) | map('string') | map('center', 1000) | join('') }}", TAKES_TOO_LONG),
    ],
)  # fmt: skip
def test_texts_of_the_catalog_are_limited_as_well(text: str, message: str, tmp_path: Path) -> None:
    place = Place("bases/f/base.yaml", 2, 11)
    with pytest.raises(InputError) as raised:
        Templates(tmp_path, "templates").text(text, {}, place)
    assert str(raised.value) == f"bases/f/base.yaml:2:11: in {text!r}: {message}"


def test_the_size_of_a_dockerfile_is_limited(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        TemplateFolder(tmp_path).render(
            "FROM scratch\n{% include 'm.j2' %}{% include 'm.j2' %}", m="RUN true\n" * 60_000
        )
    assert str(raised.value) == "templates/x.j2: renders to 1,080,013 characters; the limit is 1,000,000"


def test_a_line_that_is_too_long_for_buildkit_is_found_before_its_values_are_quoted(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        TemplateFolder(tmp_path).render(
            "FROM scratch\n\nLABEL a={% for i in range(50000) %}\n{{ i }}{% endfor %}"
        )
    assert str(raised.value) == "templates/x.j2:4: the line has 238,898 bytes; BuildKit reads 65,535 at most"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("fifo", "is not a regular file; put a file there"),
        ("socket", "cannot be read: No such device or address"),
        (
            "device",
            "is a link that leads out of the catalog's folder, or to nothing; put the file itself there",
        ),
        (
            "nothing",
            "is a link that leads out of the catalog's folder, or to nothing; put the file itself there",
        ),
    ],
)
@pytest.mark.parametrize(
    "text", ["{% include 'm.j2' %}", "{% extends 'm.j2' %}", "{% from 'm.j2' import a %}"]
)
def test_a_template_that_is_no_file(kind: str, message: str, text: str, tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    path = folder / "m.j2"
    with socket.socket(socket.AF_UNIX) as server:
        {
            "fifo": lambda: os.mkfifo(path),
            "socket": lambda: server.bind(str(path)),
            "device": lambda: path.symlink_to("/dev/zero"),
            "nothing": lambda: path.symlink_to("nothing"),
        }[kind]()
        with pytest.raises(InputError) as raised:
            TemplateFolder(folder).render(text)
    assert str(raised.value) == f"templates/m.j2: {message}"


if __name__ == "__main__":
    _child(list(BURNING))
