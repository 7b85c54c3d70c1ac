"""A changed context file is a reason to build exactly the images whose build reads it, as in BuildKit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.run import dfgen
from tests.unit.repositories import commit, found

_BESIDE = "1.0/Dockerfile_amd64.dockerignore"
_FILES = ("files/a.conf", "files/b.conf", "files/s/c.conf", "v2/a")


def _make(repository: Path, catalog: Path, instruction: str, ignore: tuple[str, str] | None = None) -> Path:
    """Commit a family with this instruction in its Dockerfile; returns its context folder."""
    context = catalog / "bases/app"
    for name in _FILES:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text("1\n")
    (context / "current").symlink_to("v2")
    if ignore:
        (context / ignore[0]).write_text(ignore[1])
    (catalog / "templates/t.j2").write_text(f"FROM {{{{ parent }}}}\n{instruction}\n")
    assert dfgen("-C", catalog, "render").status == 0
    commit(repository)
    return context


@pytest.mark.parametrize(
    ("instruction", "changed", "is_built"),
    [
        ("COPY files/a.conf /x", "files/a.conf", True),
        ("RUN --mount=type=bind,source=files/a.conf,target=/a sh /a", "files/a.conf", True),
        ("RUN --mount=target=/src ls /src", "files/a.conf", True),
        ("RUN --mount=type=cache,target=/src ls /src", "files/a.conf", False),
        ('COPY "files/a.conf" /x', "files/a.conf", True),
        ("COPY files/[^b]*.conf /x/", "files/a.conf", True),
        ("COPY files/[^b]*.conf /x/", "files/b.conf", False),
        ("COPY files/../files/a.conf /x", "files/a.conf", True),
        ("COPY current/ /x/", "v2/a", True),
        ("COPY c*t /x/", "v2/a", True),
        ("COPY files/*.conf /x/", "files/s/c.conf", False),
        ("COPY --exclude=s files /x/", "files/s/c.conf", False),
        ("COPY <<EOF /x\nfiles/a.conf\nEOF", "files/a.conf", False),
    ],
)
def test_changed_file(
    repository: Path, catalog: Path, instruction: str, changed: str, is_built: bool
) -> None:
    (_make(repository, catalog, instruction) / changed).write_text("changed\n")
    expected = [f"context file bases/app/{changed}"] if is_built else []
    assert found(catalog, "HEAD") == expected
    commit(repository)
    assert found(catalog, "HEAD~1", "HEAD") == expected


@pytest.mark.parametrize(
    ("ignore", "changed", "is_built"),
    [
        ((".dockerignore", "files/b.conf\n"), "files/b.conf", False),
        ((".dockerignore", "files/B.conf\n"), "files/b.conf", True),
        ((".dockerignore", "files/[^b]*\n"), "files/a.conf", False),
        ((".dockerignore", "files/[^b]*\n"), "files/b.conf", True),
        ((_BESIDE, "files/b.conf\n"), "files/b.conf", False),
    ],
)
def test_changed_file_and_an_ignore_file(
    repository: Path, catalog: Path, ignore: tuple[str, str], changed: str, is_built: bool
) -> None:
    (_make(repository, catalog, "COPY files /x/", ignore) / changed).write_text("changed\n")
    assert found(catalog, "HEAD") == ([f"context file bases/app/{changed}"] if is_built else [])


@pytest.mark.parametrize("name", [".dockerignore", _BESIDE])
def test_changed_ignore_file(repository: Path, catalog: Path, name: str) -> None:
    context = _make(repository, catalog, "COPY files /x/", (name, "files/b.conf\n"))
    (context / name).write_text("files/b.conf\n# a comment\n")
    assert found(catalog, "HEAD") == []
    (context / name).write_text("files/a.conf\n")
    assert found(catalog, "HEAD") == [
        "context file bases/app/files/a.conf",
        "context file bases/app/files/b.conf",
    ]


def test_triggers_of_a_parent(repository: Path, catalog: Path) -> None:
    parent = {"template": "onb.j2", "parent": "docker.io/library/busybox:1.36", "versions": ["1.0"]}
    (catalog / "bases/onb").mkdir()
    (catalog / "bases/onb/base.yaml").write_text(json.dumps(parent))
    (catalog / "templates/onb.j2").write_text("FROM {{ parent }}\nONBUILD COPY files/ /srv/\n")
    lock = json.loads((catalog / "bases/lock.json").read_text())
    lock["parents"]["onb:1.0"] = lock["parents"]["docker.io/library/busybox:1.36"]
    (catalog / "bases/lock.json").write_text(json.dumps(lock))
    base = catalog / "bases/app/base.yaml"
    base.write_text(base.read_text().replace("docker.io/library/busybox:1.36", "onb:1.0"))
    context = _make(repository, catalog, "USER 1000")
    (context / "files/s/c.conf").write_text("changed\n")
    assert found(catalog, "HEAD") == ["context file bases/app/files/s/c.conf"]
    (context / "v2/a").write_text("changed\n")
    assert found(catalog, "HEAD") == ["context file bases/app/files/s/c.conf"]


def test_missing_source_is_a_risk_at_the_template_line(repository: Path, catalog: Path) -> None:
    context = _make(repository, catalog, "COPY files/a.conf /x/")
    (context / "files/a.conf").unlink()
    done = dfgen("-C", catalog, "--format", "json", "review", "HEAD")
    (risk,) = json.loads(done.out)["risks"]
    assert (done.status, risk["rule"], risk["place"]["file"], risk["place"]["line"]) == (
        1,
        "context",
        "templates/t.j2",
        2,
    )
    assert risk["message"] == (
        "COPY takes 'files/a.conf', which does not exist in the context bases/app (did you mean 'files/app.conf'?);"
        " add it there, or copy it from a stage with --from (in 2 files)"
    )
    commit(repository)
    assert found(catalog, "HEAD") == []  # it was missing before


def test_ignore_file_that_buildkit_rejects_is_a_risk(repository: Path, catalog: Path) -> None:
    context = _make(repository, catalog, "COPY files/a.conf /x/")
    (context / ".dockerignore").write_text("a\n[z-\n")
    assert found(catalog, "HEAD") == [
        "the pattern '[z-' is invalid: a [] class is empty or not closed; BuildKit rejects it",
        "context file bases/app/files/a.conf",
    ]
