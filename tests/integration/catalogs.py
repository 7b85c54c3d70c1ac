"""Catalogs that more than one integration test builds."""

from __future__ import annotations

TEMPLATE = """\
FROM {{ parent }}
COPY files/ /files/
RUN uname -m > /arch
HEALTHCHECK --interval=60s CMD test -e /arch
CMD ["sleep", "60"]
"""
BASE = """\
template: base.j2
parent: PARENT
versions: ["1.0"]
tests:
  - run: [uname, -m]
    expect: "{{ {'amd64': 'x86_64', 'arm64': 'aarch64'}[arch] }}"
  - run: test "$(uname -m)" = "$(cat /arch)" && cat /files/hello
    expect: hello
  - name: is healthy, and stays up
    healthy: 20
    run: [cat, /files/hello]
    expect: hello
"""
CATALOG = {
    "bases/catalog.yaml": "registry: localhost\n",
    "templates/base.j2": TEMPLATE,
    "bases/base/base.yaml": BASE,
    "bases/base/files/hello": "hello\n",
}
CHILD = {
    "templates/child.j2": "FROM {{ parent }}\nRUN cat /arch > /child\n",
    "bases/child/base.yaml": (
        "template: child.j2\nparent: base:1.0\nversions: ['2']\ntests:\n  - run: cat /child /files/hello\n"
    ),
}
