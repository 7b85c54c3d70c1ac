"""The rules for one Dockerfile: their exact messages, and Dockerfiles without findings."""

from __future__ import annotations

import pytest

from dfgen.commands.lint.dockerfile import check
from dfgen.dockerfile import parse

PIN = f"@sha256:{'a' * 64}"
FROM = f"FROM a:1{PIN}\n"
BASH = 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]\n'

FOUND = {
    "unpinned-from": [
        ("FROM a:1", "1: FROM uses 'a:1' without a digest; declare it as a parent, and use {{ parent }} or {{ parents.NAME.reference }}"),
        (FROM + "COPY --from=b:1 /x /x", "2: COPY uses 'b:1' without a digest; declare it as a parent, and use {{ parent }} or {{ parents.NAME.reference }}"),
        (FROM + "RUN --mount=from=b:1,target=/b x", "2: RUN uses 'b:1' without a digest; declare it as a parent, and use {{ parent }} or {{ parents.NAME.reference }}"),
        ("FROM a@sha256:abc", "1: FROM uses 'a@sha256:abc' without a digest; declare it as a parent, and use {{ parent }} or {{ parents.NAME.reference }}"),
    ],
    "latest-tag": [
        ("FROM h:5000/a", "1: FROM uses 'h:5000/a' with the tag latest, which changes without notice; use a version tag"),
        ("FROM a:latest", "1: FROM uses 'a:latest' with the tag latest, which changes without notice; use a version tag"),
    ],
    "unpinned-syntax": [
        ("# syntax=docker/dockerfile:1\n" + FROM, "1: the frontend 'docker/dockerfile:1' has no digest; use # syntax=docker/dockerfile:1@sha256:…"),
    ],
    "add-url": [
        (FROM + "ADD https://e.org/a.tgz /a/", "2: ADD downloads https://e.org/a.tgz without a checksum; use ADD --checksum=sha256:…"),
        (FROM + "ADD --checksum=sha256:abc https://e.org/a /a", "2: ADD --checksum=sha256:abc is not a digest; use sha256: and 64 hexadecimal digits"),
        (FROM + "ADD --checksum=abc https://e.org/a /a", "2: ADD --checksum=abc is not a digest; use sha256: and 64 hexadecimal digits"),
        (FROM + "ONBUILD ADD http://e.org/a /a/", "2: ADD downloads http://e.org/a without a checksum; use ADD --checksum=sha256:…"),
    ],
    "apt-recommends": [
        (FROM + "RUN apt-get install -y curl", "2: `apt-get install` also installs recommended packages; add --no-install-recommends"),
        (FROM + "RUN set -e; \\\n DEBIAN_FRONTEND=noninteractive apt install -y curl", "2: `apt install` also installs recommended packages; add --no-install-recommends"),
        (FROM + "RUN <<EOF\napt-get -y install curl\nEOF", "2: `apt-get install` also installs recommended packages; add --no-install-recommends"),
    ],
    "package-cache": [
        (FROM + "RUN apt-get update && x", "2: `apt-get` leaves its cache in the layer; add `rm -rf /var/lib/apt/lists/*` to this RUN"),
        (FROM + "RUN yum install -y curl", "2: `yum` leaves its cache in the layer; add `yum clean all` to this RUN"),
        (FROM + "RUN /usr/bin/microdnf update -y", "2: `microdnf` leaves its cache in the layer; add `microdnf clean all` to this RUN"),
        (FROM + "RUN apk add curl", "2: `apk` leaves its cache in the layer; use `apk --no-cache`"),
        (FROM + "RUN apk add curl # rm -rf /var/cache/apk", "2: `apk` leaves its cache in the layer; use `apk --no-cache`"),
        (f"ARG N=b\nFROM a:1{PIN} AS b\nRUN apk add c\nFROM $N", "3: `apk` leaves its cache in the layer; use `apk --no-cache`"),
        (FROM + "RUN bash <<EOF\n(retry 3 apk add c) &\nEOF", "2: `apk` leaves its cache in the layer; use `apk --no-cache`"),
        (FROM + "RUN zypper -n in curl", "2: `zypper` leaves its cache in the layer; add `zypper clean --all` to this RUN"),
        (f"FROM a:1{PIN} AS b\nRUN yum install -y c\nFROM b", "2: `yum` leaves its cache in the layer; add `yum clean all` to this RUN"),
    ],
    "pipefail": [
        (FROM + "RUN curl -f x | tar x", '2: the pipe ignores a failure of `curl`; put SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or `set -o pipefail` into it'),
        (FROM + "RUN echo x | gpg --dearmor | tee y", '2: the pipe ignores a failure of `gpg`; put SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or `set -o pipefail` into it'),
        (f"FROM a:1{PIN} AS b\n{BASH}FROM b\nSHELL [\"sh\", \"-c\"]\nRUN a | b", '5: the pipe ignores a failure of `a`; put SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or `set -o pipefail` into it'),
        (FROM + "RUN <<EOF\n#!/bin/bash -e\n# pipefail\na | b\nEOF", '2: the pipe ignores a failure of `a`; put SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or `set -o pipefail` into it'),
        (FROM + "RUN a | grep x > y", '2: the pipe ignores a failure of `a`; put SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or `set -o pipefail` into it'),
        (FROM + "RUN c | grep -q x; a | b", '2: the pipe ignores a failure of `a`; put SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or `set -o pipefail` into it'),
        (FROM + "RUN a | b # set -o pipefail", '2: the pipe ignores a failure of `a`; put SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or `set -o pipefail` into it'),
        (FROM + "RUN { a; b; } 2>&1 | c", '2: the pipe ignores a failure of `b`; put SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or `set -o pipefail` into it'),
        (BASH.join((FROM, FROM)) + "RUN a | b", '4: the pipe ignores a failure of `a`; put SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it, or `set -o pipefail` into it'),
    ],
    "unknown-instruction": [
        (FROM + "USR app", "2: unknown instruction 'USR' (did you mean 'USER'?)"),
        (FROM + "ONBUILD cmd x\nONBUILD XYZ x", "3: unknown instruction 'XYZ'"),
        (FROM + "USER a\n=======\nUSER b", "3: unresolved merge conflict (=======); keep one side"),
        ("# syntax=docker/dockerfile:1\n" + FROM + "RUNN x", "3: unknown instruction 'RUNN' (did you mean 'RUN'?)"),
    ],
    "secret": [
        (FROM + "ARG NPM_TOKEN", "2: ARG NPM_TOKEN looks like a secret and stays in the image's history; set it when a container starts"),
        (FROM + "ENV a=b DB_PASSWORD=x", "2: ENV DB_PASSWORD looks like a secret and stays in the image's history; set it when a container starts"),
    ],
}  # fmt: skip

CLEAN = {
    "unpinned-from": [FROM, f"FROM a:1{PIN} AS b\nFROM b\nCOPY --from=b /x /x\nRUN --mount=from=b x", "FROM scratch"],
    "latest-tag": [FROM, f"FROM a:latest{PIN}", "ARG V=1\nFROM a:$V", f"FROM a{PIN}", "FROM a:1"],
    "unpinned-syntax": [FROM, f"# syntax=docker/dockerfile:1{PIN}\n{FROM}"],
    "add-url": [
        FROM + f"ADD --checksum=sha256:{64 * 'a'} https://e.org/a /a",
        FROM + f"ADD --checksum=sha512:{128 * 'a'} https://e.org/a /a",
        FROM + f"ADD --checksum={40 * 'a'} https://e.org/a.git#v1 /a",
        FROM + "ARG SUM\nADD --checksum=sha256:$SUM https://e.org/a /a",
        FROM + "ADD a.tgz /a/\nADD https://e.org/a.git#v1 /b/\nCOPY x https://",
        FROM + "RUN curl -fO https://e.org/a",
    ],
    "apt-recommends": [
        FROM + "RUN apt-get install -y --no-install-recommends curl",
        FROM + "RUN apt-get -o APT::Install-Recommends=false install -y curl",
        FROM + "RUN apt-get install -y $OPTIONS curl",
        FROM + 'RUN echo "apt-get install curl"; echo \'; apt-get install curl\'',
        FROM + "RUN true # && apt-get install curl",
        FROM + "RUN cat > /x <<EOF\napt-get install curl\nEOF",
        FROM + "RUN apt-get purge -y curl; yum install -y curl",
        FROM + "COPY norecommends.conf /etc/apt/apt.conf.d/\nRUN apt-get install -y curl",
        FROM + 'RUN ["apt-get", "install", "-y", "curl"]',
        FROM + "RUN <<EOF\n#!/usr/bin/env python3\napt-get install curl\nEOF",
        FROM + 'SHELL ["powershell"]\nRUN apt-get install curl',
    ],
    "package-cache": [
        FROM + "RUN apt-get update && rm -rf /var/lib/apt/lists/*",
        FROM + "RUN apt-get update && x && apt-get dist-clean",
        FROM + "RUN apt-get update && x && apt-get distclean",
        FROM + "RUN --mount=type=cache,sharing=locked,target=/etc/apk/cache apk add a",
        FROM + "RUN apt-get update \\\n  # lists go below | here\n  && x \\\n  && rm -rf /var/lib/apt/lists/*",
        f"# escape=`\nFROM a:1{PIN}\nRUN apt-get update `\n && rm -r /var/lib/apt/lists",
        FROM + "RUN --mount=type=cache,target=/var/lib/apt apt-get update",
        FROM + "RUN yum install -y a && yum clean all",
        FROM + "RUN dnf install -y a; rm -rf /var/cache/dnf",
        FROM + "RUN apk --no-cache add a",
        FROM + "RUN apk add a && rm -rf /var/cache/apk/*",
        FROM + "RUN zypper in -y a && zypper clean -a",
        FROM + "RUN --mount=type=tmpfs,target=/var/cache/apk apk add a",
        f"FROM a:1{PIN} AS b\nRUN yum install -y c\n{FROM}COPY --from=b /x /x",
        FROM + "RUN apk info; yum repolist; apt-get remove -y x",
    ],
    "pipefail": [
        FROM + BASH + "RUN curl x | tar x",
        FROM + "RUN set -euxo pipefail; curl x | tar x",
        FROM + "RUN locale -a | grep utf8",
        FROM + "RUN a | grep -c x 2>/dev/null",
        FROM + "RUN a | b | grep -Eqi x && c; { d; e; } | grep --quiet f",
        FROM + "RUN set -e -o pipefail && curl x | tar x",
        FROM + "RUN set -o errexit -o nounset -o pipefail; curl x | tar x",
        FROM + "RUN <<EOF\n#!/bin/bash -eo pipefail\ncurl x | tar x\nEOF",
        FROM + "RUN <<EOF bash\nset -euo pipefail\ncurl x | tar x\nEOF",
        f"FROM a:1{PIN} AS Low\n{BASH}FROM low AS b\nRUN a | b\nFROM b\nRUN a | b",
        FROM + "RUN echo a | tee b; yes | x; printf '%s' a | b",
        FROM + "RUN a || b",
        FROM + "RUN grep 'a|b' x; sed \"s|a|b|\" y; a \\| b",
        FROM + 'RUN case "$(uname -m)" in x86_64|amd64) a ;; arm64 | aarch64) b ;; esac',
        FROM + "RUN x=$(a | b); y=`a | b`; z=\"$(a \"b | c\")\"; w=$((1 | 2))",
        FROM + "RUN [[ $a =~ ^(b|c)$ ]]; a >| b",
        FROM + "RUN a # b | c",
        FROM + "RUN for i in 1 2; do echo $i; done | sort",
        FROM + 'RUN ["sh", "-c", "a | b"]',
        FROM + "RUN python3 <<EOF\na | b\nEOF",
        FROM + "RUN <<EOF\ncat > x <<X\na | b\nX\nEOF",
        FROM + 'SHELL ["cmd", "/S", "/C"]\nRUN a | b',
    ],
    "unknown-instruction": [
        FROM + "maintainer x\nonbuild run x\nRUN <<E\nUSR x\nE",
        "# syntax=example.org/more\n" + FROM + "MORE x",
    ],
    "secret": [
        FROM + 'ARG TOKEN_FILE\nENV TOKEN_URL=x PASSWORD="" SECRET_PATH=/x',
        FROM + "ARG MONKEY=x\nENV KEYBOARD=us TOKENIZERS_PARALLELISM=false",
        FROM + "LABEL password=x\nRUN echo PASSWORD=x",
    ],
}  # fmt: skip


def _of(rule: str, text: str) -> list[str]:
    return [f"{hit.line}: {hit.message}" for hit in check(parse(text)) if hit.rule == rule]


@pytest.mark.parametrize(
    ("rule", "text", "message"), [(rule, *one) for rule, several in FOUND.items() for one in several]
)
def test_a_violation_is_reported(rule: str, text: str, message: str) -> None:
    assert _of(rule, text) == [message]


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, one) for rule, several in CLEAN.items() for one in several]
)
def test_a_clean_dockerfile_is_not_reported(rule: str, text: str) -> None:
    assert _of(rule, text) == []


def test_hits_are_in_the_order_of_lines() -> None:
    text = "FROM a:latest\nRUN yum install -y b | c\nARG TOKEN\n"
    assert [(hit.line, hit.rule) for hit in check(parse(text))] == [
        (1, "latest-tag"),
        (1, "unpinned-from"),
        (2, "package-cache"),
        (2, "pipefail"),
        (3, "secret"),
    ]
