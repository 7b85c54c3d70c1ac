"""Smoke tests on a real engine: which pass, the errors of those that fail, and that nothing is left behind."""

from __future__ import annotations

import pytest

from tests.integration.busybox import Published
from tests.integration.conftest import Work, digests, leftovers, states

pytestmark = pytest.mark.integration

TEMPLATE = """\
FROM {{ parent }}
COPY files/ /files/
RUN uname -m > /arch
HEALTHCHECK --interval=60s CMD test -e /arch
CMD ["sleep", "60"]
"""
# Families with a smoke test that fails: the test, the template, and the error.
SMOKE = {
    "expects": (
        "  - run: [echo, 'it is 17.0.1']\n    expect: '21.'\n",
        TEMPLATE,
        "smoke test 'echo it is 17.0.1' of {}: output does not contain '21.'; last line of output: it is 17.0.1",
    ),
    "exits": (
        "  - run: echo to stderr >&2; exit 4\n",
        TEMPLATE,
        "smoke test 'echo to stderr >&2; exit 4' of {}: exited with status 4, expected 0;"
        " last line of output: to stderr",
    ),
    "hangs": (
        "  - name: ends\n    run: echo begun; sleep 100\n    timeout: 3\n",
        TEMPLATE,
        "smoke test 'ends' of {}: did not finish within 3 s; last line of output: begun",
    ),
    "is-ill": (
        "  - name: health\n    healthy: 5\n",
        TEMPLATE.replace("test -e /arch", "echo no such thing; false"),
        "smoke test 'health' of {}: was not healthy within 5 s; last output of its HEALTHCHECK: no such thing",
    ),
    "has-no-check": (
        "  - name: health\n    healthy: 5\n",
        'FROM {{ parent }}\nCMD ["sleep", "60"]\n',
        "smoke test 'health' of {}: the image has no HEALTHCHECK; add one to its template, or use 'starts' or 'run'",
    ),
    "ends-early": (
        "  - name: health\n    healthy: 20\n",
        TEMPLATE.replace('"sleep", "60"', '"sh", "-c", "echo ended; exit 5"'),
        "smoke test 'health' of {}: exited with status 5 before it was healthy; last line of output: ended",
    ),
    "is-alone": (
        "  - name: no network\n    run: grep -c eth0 /proc/net/dev\n",
        TEMPLATE,
        "smoke test 'no network' of {}: exited with status 1, expected 0; last line of output: 0",
    ),
    "lacks-it": (
        "  - run: [no-such-program]\n",
        TEMPLATE,
        "smoke test 'no-such-program' of {}: the container could not start:"
        ' exec: "no-such-program": executable file not found in $PATH',
    ),
    "has-no-user": (
        "  - run: [id]\n",
        TEMPLATE + "USER nobodyhere\n",
        "bases/has-no-user/base.yaml:5:5: smoke test 'id' of {}: the container could not start:"
        " unable to find user nobodyhere: no matching entries in passwd file",
    ),
    "has-no-entrypoint": (
        "  - starts: 5\n",
        TEMPLATE + 'ENTRYPOINT ["/no-such-program"]\n',
        "bases/has-no-entrypoint/base.yaml:5:5: smoke test 'stays up' of {}: the container could not start:"
        ' exec: "/no-such-program": stat /no-such-program: no such file or directory',
    ),
    "goes-down": (
        "  - starts: 5\n",
        TEMPLATE.replace('"sleep", "60"', '"sh", "-c", "echo down; exit 6"'),
        "smoke test 'stays up' of {}: exited with status 6 within 5 s; last line of output: down",
    ),
}


@pytest.fixture(scope="module")
def tested(parent: Published, tmp_path_factory: pytest.TempPathFactory) -> tuple[Work, str]:
    """Build all families whose smoke test fails, and one that needs the network; returns stderr."""
    work = Work(tmp_path_factory.mktemp("smoke"), parent)
    files = {"bases/catalog.yaml": "platforms: [linux/arm64]\n"}
    network = (
        "  - run: grep eth0 /proc/net/dev\n    expect: eth0\n    network: true\n"
        "  - starts: 2\n  - args: [echo, '{}']\n    expect: '{}'\n"
    )
    for name, (tests, template, _) in {**SMOKE, "passes": (network, TEMPLATE, "")}.items():
        files[f"templates/{name}.j2"] = template
        files[f"bases/{name}/files/hello"] = "hello\n"
        files[f"bases/{name}/base.yaml"] = (
            f"template: {name}.j2\nparent: PARENT\nversions: ['1']\ntests:\n{tests}"
        )
    work.prepare(files)
    return work, work.run("build", "-j", "4", code=1).stderr


@pytest.mark.parametrize("name", SMOKE)
def test_a_smoke_test_that_fails(tested: tuple[Work, str], name: str) -> None:
    work, said = tested
    image = f"{name}:1@arm64"
    assert SMOKE[name][2].format(image) in said
    assert states(work)[image] == "failed"
    assert f"{name}:1" not in digests(work)


def test_only_images_that_pass_are_tagged_and_nothing_is_left_behind(tested: tuple[Work, str]) -> None:
    work, said = tested
    assert sorted(digests(work)) == ["passes:1", "passes:1-aarch64"]
    assert states(work)["passes:1@arm64"] == "built"
    assert "Traceback" not in said
    assert leftovers() == ""
