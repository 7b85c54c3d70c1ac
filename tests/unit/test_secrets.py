"""No password or token appears in any message."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.errors import InputError, Problem, keep_secret, masked
from dfgen.oci.reference import Reference
from dfgen.registry.errors import sanitize
from tests.unit.catalogs import FAMILY, write
from tests.unit.cli.run import dfgen

SECRET = "s3cr3tPassw0rd"
URL = f"https://ci:{SECRET}@reg.example.com/team"
SHOWN = "https://…@reg.example.com/team"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (URL, SHOWN),
        (f"https://{SECRET}@reg.example.com/team", SHOWN),
        (f"https://ci:{SECRET}/p@ss@reg.example.com/team", SHOWN),
        (f"in 'http://:{SECRET}@proxy:3128': no", "in 'http://…@proxy:3128': no"),
        (f"ci:{SECRET}@reg.example.com/a:1", "…@reg.example.com/a:1"),
        (f"ci:{SECRET}@localhost:5000/a:1", "…@localhost:5000/a:1"),
        (f"'ci:{SECRET}@10.0.0.1/a'", "'…@10.0.0.1/a'"),
        ("java-base:1.0@arm64", "java-base:1.0@arm64"),
        ("java:1@linux/amd64", "java:1@linux/amd64"),
        (f"nginx:1.28@sha256:{'0' * 64}", f"nginx:1.28@sha256:{'0' * 64}"),
        (f"https://reg.example.com:5000/a@sha256:{'0' * 64}", f"https://reg.example.com:5000/a@sha256:{'0' * 64}"),
        (f"docker.io/library/nginx:1.28@sha256:{'0' * 64}", f"docker.io/library/nginx:1.28@sha256:{'0' * 64}"),
        ("mail someone@example.com", "mail someone@example.com"),
    ],
)  # fmt: skip
def test_credentials_in_text_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert str(InputError(text)) == shown
    assert Problem(None, text).message == shown


COMMANDS = (
    ("publish", "--registry", URL),
    ("verify", "--registry", URL),
    ("publish", "--registry", f"ci:{SECRET}@reg.example.com/team"),
    ("inspect", f"{URL}/a:1"),
    ("inspect", f"ci:{SECRET}@reg.example.com/a:1"),
    ("inspect", f"{URL}/a:1", f"{URL}/b:1"),
    ("merge", f"{URL}/a:1", f"{URL}/a:1-x86_64"),
    ("merge", f"ci:{SECRET}@reg.example.com/a:1", "a:1-x86_64"),
    ("lock", "--upgrade", f"{URL}/a:1"),
    ("build", "--cache-from-registry", URL),
    ("new", "f", "--parent", f"{URL}/a:1"),
    ("render", f"{URL}/a"),
    ("render", f"--check={URL}"),
    ("list", f"{URL}/a"),
    ("explain", f"{URL}/a"),
    ("review", URL),
    ("load", f"{URL}/a"),
    ("gc", URL),
    ("plan", "--format", URL),
    (f"{URL}",),
    ("--format", URL, "list"),
    ("-C", URL, "list"),
    ("join", URL),
)


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_prints_a_password_from_its_arguments(words: tuple[str, ...], tmp_path: Path) -> None:
    write(tmp_path, {"bases/app/base.yaml": FAMILY})
    done = dfgen(*(() if words[0] == "-C" else ("-C", tmp_path)), *words)
    assert SECRET not in done.out + done.err
    assert done.status != 0


@pytest.mark.parametrize(
    "files",
    [
        {"bases/catalog.yaml": f"registry: {URL}\n"},
        {"bases/catalog.yaml": f"mirrors: {{docker.io: '{URL}'}}\n"},
        {"bases/app/base.yaml": FAMILY.replace("docker.io/library/busybox:1.36", f"{URL}/a:1")},
        {"bases/app/base.yaml": FAMILY.replace("docker.io/library/busybox:1.36", f"'ci:{SECRET}@reg.example.com/a:1'")},
        {"templates/t.j2": f"FROM {URL}/a:1\n"},
        {"bases/app/base.yaml": f"{FAMILY}registry: {URL}\n"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["list", "render", "lint", "lock"])
def test_no_command_prints_a_password_from_the_catalog(
    command: str, files: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path, {"bases/app/base.yaml": FAMILY, **files})
    done = dfgen("-C", tmp_path, command)
    assert SECRET not in done.out + done.err


def test_a_reference_with_a_password_says_what_to_do() -> None:
    with pytest.raises(InputError) as raised:
        Reference.parse(f"{URL}/a:1")
    assert str(raised.value) == (
        f"'{SHOWN}/a:1' is not an image reference: it contains a password; leave it out and use `docker login`;"
        " expected [registry/]name[:tag][@digest]"
    )


def test_a_secret_that_the_other_side_repeats_is_masked_before_the_text_is_cut() -> None:
    keep_secret("correct horse battery", "pw")
    assert sanitize("wrong: correct horse battery") == "wrong: …"
    assert "corr" not in sanitize("x" * 190 + " correct horse battery")
    assert str(InputError("user ci, password correct horse battery, pw")) == "user ci, password …, pw"
