"""Package locks with the real BuildKit: its cache keeps packages, and only a build without it moves them."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.integration.conftest import Work, digests, states

pytestmark = pytest.mark.integration

# Each run of the instruction installs another version, as a distribution's mirror does over time.
TEMPLATE = """\
FROM {{ parent }}
RUN mkdir -p /var/lib/dpkg \\
 && printf 'Package: curl\\nStatus: install ok installed\\nArchitecture: {{ arch }}\\nVersion: 1:%s\\n' \\
    "$(cat /proc/sys/kernel/random/uuid)" > /var/lib/dpkg/status
"""
CATALOG = {
    "templates/app.j2": TEMPLATE,
    "templates/child.j2": "FROM {{ parent }}\nRUN echo child > /child\n",
    "bases/catalog.yaml": "package_lock: true\n",
    "bases/app/base.yaml": "template: app.j2\nparent: PARENT\nplatforms: [amd64, arm64]\nversions: ['1']\n",
    "bases/child/base.yaml": (
        "template: child.j2\nparent: app:1\nplatforms: [amd64, arm64]\nversions: ['1']\n"
    ),
}
NAMES = [
    f"bases/{family}/1/packages_{arch}.lock" for family in ("app", "child") for arch in ("amd64", "arm64")
]


def locks(work: Work) -> dict[str, str]:
    return {name: (work.root / name).read_text() for name in NAMES}


def test_packages_stay_what_the_lock_says_until_somebody_moves_them(work: Work) -> None:
    work.prepare(CATALOG)
    first = work.run("build")
    written = locks(work)
    for arch in ("amd64", "arm64"):
        lines = written[f"bases/app/1/packages_{arch}.lock"].splitlines()
        assert [bool(re.fullmatch(rf"curl 1:[0-9a-f-]{{36}} {arch}", line)) for line in lines] == [
            False,
            True,
        ]
        assert written[f"bases/child/1/packages_{arch}.lock"].count("\n") == 1  # the parent's are not its own
    assert first.stderr.count(".lock: written\n") >= 4
    work.run("build")
    assert set(states(work).values()) == {"up to date"}

    # On a fresh machine with BuildKit's cache, the packages are those of the lock.
    built = digests(work)
    shutil.rmtree(work.root / "dist")
    work.run("build", "--locked")
    assert (digests(work), locks(work)) == (built, written)

    refused = work.run("refresh", "--check", code=1)
    assert refused.stderr.count("its packages differ from bases/app/1/packages_") >= 2
    assert (digests(work), locks(work)) == (built, written)
    moved = work.run("refresh")
    after = locks(work)
    assert [name for name in NAMES if after[name] != written[name]] == NAMES[:2]
    assert sorted(line.split()[0] for line in moved.stdout.splitlines()) == ["curl", "curl", "package"]
    assert re.search(r"packages_arm64\.lock: curl 1:\S+ → 1:\S+\n", moved.stderr)
    assert digests(work) != built

    # A lock that the mirror can no longer satisfy: CI says so, and keeps the images that it had.
    kept = digests(work)
    path = work.root / NAMES[0]
    path.write_text(written[NAMES[0]])
    assert "packages moved: curl" in work.run("plan").stdout
    refused = work.run("build", "--locked", "app", code=1)
    assert re.search(
        r"app:1@amd64: its packages differ from bases/app/1/packages_amd64\.lock: curl is 1:\S+, locked 1:\S+;"
        r" run `dfgen refresh app:1`, and commit the package locks; log: ",
        refused.stderr,
    )
    assert digests(work) == kept
    shutil.rmtree(work.root / "dist")
    again = work.run("build", "--locked", "app", code=1)
    assert "app:1@amd64: rebuild without cache, because packages moved\n" in again.stderr
    assert path.read_text() == written[NAMES[0]]
