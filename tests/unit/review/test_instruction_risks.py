"""Risks of instructions are found in every spelling, without false positives."""

from __future__ import annotations

import pytest

from dfgen.dockerfile.names import is_secret
from tests.unit.review.world import AMD_FILE, ARM_FILE, TEMPLATE, World, locked, put

STAYS = "looks like a secret and stays in the image's history; set it when a container starts"
CONTAINS = (
    "contains what looks like a secret; it stays in the image's history; set it when a container starts"
)
END = "end with an unprivileged USER"
NETWORK = "; add --checksum, or COPY it from the context"
COMMIT = "0123456789" * 4
KEY = "AKIAABCDEFGHIJKLMNOP"
CONTEXT = {f"bases/app/{name}": "" for name in ("b", "https", "a.tar.gz", "b@c")}

# The text below FROM in both states, the line of the finding in it, and the finding.
FOUND = [
    ("USER app", "USER root", 1, f"warning: the image now runs as root; {END}", "user-root"),
    ("USER app", "user root", 1, f"warning: the image now runs as root; {END}", "user-root"),
    ("USER app", "USER 0:0", 1, f"warning: the image now runs as 0:0; {END}", "user-root"),
    ("USER app", "USER +0", 1, f"warning: the image now runs as +0; {END}", "user-root"),
    ("USER app", "USER 'ro'ot:app", 1, f"warning: the image now runs as 'ro'ot:app; {END}", "user-root"),
    ("USER app", "USER \\\n# why\n root", 1, f"warning: the image now runs as root; {END}", "user-root"),
    ("", "USER root", 1, f"warning: the image now runs as root; {END}", "user-root"),
    ("USER app", "ARG U=root\nUSER $U", 2, f"warning: the image now runs as $U (root); {END}", "user-root"),
    ("USER app", "ENV U 0\nUSER ${U}:1", 2, f"warning: the image now runs as ${{U}}:1 (0:1); {END}", "user-root"),
    ("USER app", "USER ${U:-root}", 1, f"warning: the image now runs as ${{U:-root}} (root); {END}", "user-root"),
    ("ARG U=app\nUSER $U", "ARG U=root\nUSER $U", 2, f"warning: the image now runs as $U (root); {END}", "user-root"),
    (
        "USER app",
        "ONBUILD USER root\nUSER app",
        1,
        "warning: images built on this one now run as root by ONBUILD; use an unprivileged USER",
        "user-root",
    ),
    (
        "USER app",
        "ADD https://u@x.example/a?t=1 /a\nUSER app",
        1,
        f"warning: ADD downloads https://x.example/a{NETWORK}",
        "add-url",
    ),
    ("", 'ADD ["https://x.example/a", "/a"]', 1, f"warning: ADD downloads https://x.example/a{NETWORK}", "add-url"),
    ("", 'add "https://x.example/a" /a', 1, f"warning: ADD downloads https://x.example/a{NETWORK}", "add-url"),
    ("", "ADD b HTTP://x.example/a /a", 1, f"warning: ADD downloads HTTP://x.example/a{NETWORK}", "add-url"),
    ("", "ADD git@x.example:a/b.git /a", 1, f"warning: ADD downloads git@x.example:a/b.git{NETWORK}", "add-url"),
    ("", "ADD https://x.example/a.git#main /a", 1, f"warning: ADD downloads https://x.example/a.git#main{NETWORK}",
     "add-url"),
    ("", "ARG U=https://x.example\nADD $U/a /a", 2, f"warning: ADD downloads https://x.example/a{NETWORK}", "add-url"),
    ("", "ONBUILD ADD https://x.example/a /a", 1, f"warning: ONBUILD ADD downloads https://x.example/a{NETWORK}",
     "add-url"),
    (
        f"ADD --checksum={locked().digest} https://x.example/a /a",
        "ADD https://x.example/a /a",
        1,
        f"warning: ADD downloads https://x.example/a{NETWORK}",
        "add-url",
    ),
    ("", "USR a", 1, "error: unknown instruction 'USR' (did you mean 'USER'?)", "unknown-instruction"),
    ("", "USER a\n>>>>>>> b", 2, "error: unresolved merge conflict (>>>>>>>); keep one side", "unknown-instruction"),
    ("", "ARG API_TOKEN=abc", 1, f"error: ARG API_TOKEN {STAYS}", "secret"),
    ("", "ARG DB_PASSWORD", 1, f"warning: ARG DB_PASSWORD {STAYS}", "secret"),
    ("", "ARG A=1 DB_PASSWORD=b", 1, f"error: ARG DB_PASSWORD {STAYS}", "secret"),
    ("", "env A=1 \\\n  'PGPASSWORD'='b c'", 1, f"error: ENV PGPASSWORD {STAYS}", "secret"),
    ("", "ENV API_KEY b c", 1, f"error: ENV API_KEY {STAYS}", "secret"),
    ("", "ENV NPM_TOKEN=$T", 1, f"error: ENV NPM_TOKEN {STAYS}", "secret"),
    ("", f"ENV KEY={KEY}", 1, f"error: ENV KEY {STAYS}", "secret"),
    ("", "ENV PROXY=http://u:p@x.example", 1, f"error: ENV PROXY {STAYS}", "secret"),
    ("", "ONBUILD ENV TOKEN=a", 1, f"error: ONBUILD ENV TOKEN {STAYS}", "secret"),
    ("", f"LABEL a={KEY}", 1, f"error: LABEL {CONTAINS}", "secret"),
    ("", "RUN curl https://u:p@x.example", 1, f"error: RUN {CONTAINS}", "secret"),
    ("", f"COPY <<EOF /a\nkey = {KEY}\nEOF", 1, f"error: COPY {CONTAINS}", "secret"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "message", "rule"), FOUND)
def test_risk_of_an_instruction(world: World, old: str, new: str, line: int, message: str, rule: str) -> None:
    before, after = ({"templates/t.j2": f"FROM {{{{ parent }}}}\n{text}\n", **CONTEXT} for text in (old, new))
    world.make(before, after)
    assert world.risks() == [
        f"templates/t.j2:{1 + line}: {message} (in 2 files) [{rule}] (in {AMD_FILE}:{6 + line})"
    ]
    assert world.risks(origins=None) == [f"{AMD_FILE}:{6 + line}: {message} (in 2 files) [{rule}]"]


STAGES = [
    ("FROM {{ parent }} AS a\nUSER root\nFROM a\nRUN b", 7),
    ("FROM {{ parent }} AS a\nUSER root\nFROM a AS b\nFROM B\nRUN b", 7),
    ("ARG U=root\nFROM {{ parent }} AS a\nARG U\nUSER $U\nFROM a\nRUN b", 9),
]


@pytest.mark.parametrize(("text", "line"), STAGES)
def test_stage_inherits_the_user(world: World, text: str, line: int) -> None:
    world.make({}, {"templates/t.j2": f"{text}\n"})
    [found] = world.risks()
    assert found.startswith(f"templates/t.j2:{line - 5}: warning: the image now runs as ")


def test_removed_user(world: World) -> None:
    world.make({}, {"templates/t.j2": "FROM {{ parent }}\n"})
    assert world.risks() == [
        "templates/t.j2:1: warning: USER app was removed, so the image runs as its parent's user, usually root; set USER (in 2 files)"
        f" [user-root] (in {AMD_FILE}:6)"
    ]


QUIET = [
    "USER app",
    "USER $UNKNOWN",
    "USER root\nRUN a\nUSER app",
    "RUN <<EOF\nUSER root\nEOF",
    "ENV TOKEN_FILE=/run/secrets/token",
    "ENV SECRET=/run/secrets/x",
    "ENV TOKEN=",
    "ENV TOKENIZER=fast",
    "RUN --mount=type=secret,id=token,env=TOKEN a",
    "COPY https /a",
    "ADD a.tar.gz b@c /a/",
    "RUN curl https://x.example/@a https://u:$PW@x.example",
    "FROM {{ parent }} AS last\nUSER app",
]


@pytest.mark.parametrize("line", QUIET)
def test_harmless_instruction(world: World, line: str) -> None:
    world.make({}, {"templates/t.j2": f"{TEMPLATE}{line}\n", **CONTEXT})
    assert world.risks() == []


HARMLESS = """
PASSWORD_FILE=/run/secrets/x KEYRING=/usr/share/keyrings/a.gpg TOKENIZERS_PARALLELISM=false TOKEN_TTL=60
GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D MYSQL_ALLOW_EMPTY_PASSWORD=yes BYPASS=a PWD=/a MAX_TOKENS=5
TOKEN_URL=https://x.example/t SECRET_NAME=db PUBLIC_KEY=a MONKEY=a GIT_ASKPASS=/bin/a URL=https://x.example:80/@a
"""
SECRET = f"""
apiToken=a MYSQL_PWD=a DB_PASS=a GITHUB_PAT=a SECRET_KEY_BASE=a PASSWORD1=a TOKEN_2=a AWS_SECRET_ACCESS_KEY=a
CLIENTSECRET=a DB_PASSWORD_PROD=a PASSWORD=/a ENCRYPTION_KEY=a A=ghp_{"a" * 36} A=glpat-{"a" * 20}
A=eyJhbGciOiJIUzI.eyJzdWIiOiIxMjM.SflKxwRJSMeKKF2QT
"""


@pytest.mark.parametrize("word", HARMLESS.split())
def test_names_and_values_that_are_not_a_secret(word: str) -> None:
    name, _, value = word.partition("=")
    assert not is_secret(name, value)


@pytest.mark.parametrize("word", SECRET.split())
def test_names_and_values_that_are_a_secret(word: str) -> None:
    name, _, value = word.partition("=")
    assert is_secret(name, value)


@pytest.mark.parametrize(
    "words", [f"--checksum={locked().digest} https://x.example/a", f"https://x.example/a.git#{COMMIT}:b"]
)
def test_pinned_add_is_a_note(world: World, words: str) -> None:
    world.make({}, {"templates/t.j2": f"{TEMPLATE}ADD {words} /a\n"})
    found = world.review()
    assert [(risk.rule, risk.level) for risk in found.risks] == [("add-url", "note")]
    assert not found.fails(strict=True)


def test_old_risk_is_not_reported(world: World) -> None:
    text = f"FROM {{{{ parent }}}}\nENV TOKEN=a\nADD https://x.example/a /a\nRUN {KEY}\nONBUILD USER root\nUSER root\n"
    world.make({"templates/t.j2": text}, {"templates/t.j2": f"{text}WORKDIR /a\n"})
    assert world.risks() == []


def test_each_file_of_a_group_is_checked(world: World) -> None:
    # The removed line is the same in both files, but the remaining USER is not.
    text = "FROM {{ parent }}\n{% if arch == 'arm64' %}\nUSER 0\n{% else %}\nUSER 1\n{% endif %}\n"
    world.make({"templates/t.j2": f"{text}USER app\n"}, {"templates/t.j2": text})
    assert [len(group.files) for group in world.review().groups] == [2]
    assert world.risks() == [
        f"templates/t.j2:3: warning: the image now runs as 0; {END} [user-root] (in {ARM_FILE}:7)"
    ]


def test_line_of_a_macro(world: World) -> None:
    macros = {"templates/m.j2": "{% macro m(user) %}\nRUN a\nUSER {{ user }}\n{% endmacro %}\n"}
    calls = "{% import 'm.j2' as m %}\nFROM {{ parent }}\n{{ m.m('root') }}"
    world.make({}, {**macros, "templates/t.j2": calls})
    assert world.risks() == [
        f"templates/m.j2:3: warning: the image now runs as root; {END} (in 2 files) [user-root] (in {AMD_FILE}:8)"
    ]


def test_line_moved_by_a_hand_edit_has_a_template_line_and_an_added_one_has_none(world: World) -> None:
    world.make(
        {"templates/t.j2": "FROM {{ parent }}\n"}, {"templates/t.j2": "FROM {{ parent }}\nENV TOKEN=a\n"}
    )
    edited = (world.now / ARM_FILE).read_text().replace("ENV", "RUN b\nENV") + "USER root\n"
    put(world.now, {ARM_FILE: edited, AMD_FILE: (world.was / AMD_FILE).read_text()})
    found = [
        line.partition(" [")[2] for line in world.risks() if "edited" not in line and "not-r" not in line
    ]
    assert found == [f"secret] (in {ARM_FILE}:8)", "user-root]"]
