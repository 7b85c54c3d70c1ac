"""Risks of downloads: verifications that go, and URLs and checksums that do not move together."""

from __future__ import annotations

import pytest

from tests.unit.review.world import AMD_FILE, BASE, World

A, B, C, D = (64 * digit for digit in "abcd")
URL = "https://x.example/1.0/t.tgz"
GET = f"curl -fsSLo t {URL}"
SUM = f'echo "{A}  t" | sha256sum -c -'

# The text below FROM in both states, and what the review reports, by the start of the message.
CHECKS = {
    "sha256sum": (f"RUN {GET} && {SUM}", f"RUN {GET}", "`sha256sum -c` was removed"),
    "sha512sum": (f"RUN {GET}; sha512sum --check t.sum", f"RUN {GET}; true", "`sha512sum -c` was removed"),
    "shasum": (f"RUN {GET}; shasum -a 256 -c s", f"RUN {GET}", "`shasum -c` was removed"),
    "comparison": (
        f'RUN {GET}; [ "$(sha256sum t | cut -c-64)" = {A} ]',
        f"RUN {GET}",
        "`[ with sha256sum` was removed",
    ),
    "gpg": (
        f"RUN {GET}; {GET}.asc; gpg --batch --verify t.asc t",
        f"RUN {GET}",
        "`gpg --verify` was removed",
    ),
    "gpgv": (f"RUN {GET}; gpgv k t.asc t", f"RUN {GET}", "`gpgv` was removed"),
    "rpm": (f"RUN {GET}; rpm --checksig t", f"RUN {GET}", "`rpm --checksig` was removed"),
    "rpm -K": (f"RUN {GET}; rpm -Kv t", f"RUN {GET}", "`rpm -Kv` was removed"),
    "cosign": (
        f"RUN {GET}; cosign verify-blob --key k t",
        f"RUN {GET}",
        "`cosign verify-blob` was removed",
    ),
    "openssl": (f"RUN {GET}; openssl dgst -verify k t", f"RUN {GET}", "`openssl -verify` was removed"),
    "hashes": (
        "RUN pip3 install --require-hashes -r a",
        "RUN pip3 install -r a",
        "`pip --require-hashes` was removed, so the download is",
    ),
    "two": (
        f"RUN {GET}; {SUM}; gpg --verify t.asc",
        f"RUN {GET}",
        "`sha256sum -c` and `gpg --verify` were removed",
    ),
    "in a shell": (f"RUN {GET}; sh -c '{SUM}'", f"RUN {GET}", "`sha256sum -c` was removed"),
    "in a heredoc": (f"RUN <<E\n{GET}\n{SUM}\nE", f"RUN <<E\n{GET}\nE", "`sha256sum -c` was removed"),
    "commented out": (f"RUN {GET}; {SUM}", f"RUN {GET} # {SUM}", "`sha256sum -c` was removed"),
    "printed": (
        f"RUN {GET}; gpg --verify a",
        f"RUN {GET}; echo gpg --verify a",
        "`gpg --verify` was removed",
    ),
    "in a step of its own": (f"RUN {GET}\nRUN {SUM}", f"RUN {GET}", "`sha256sum -c` was removed"),
    "with a new version": (
        f"RUN {GET} && {SUM}",
        f"RUN {GET.replace('1.0', '1.1')}",
        "`sha256sum -c` was removed",
    ),
    "beside a new download": (
        f"RUN {GET} && {SUM}",
        f"RUN {GET}\nRUN curl -o u https://y.example/u.tgz; {SUM}",
        "`sha256sum -c` was removed",
    ),
    "of one of two downloads": (
        f"RUN {GET} && {SUM}\nRUN wget https://y.example/u.tgz && {SUM}",
        f"RUN {GET} && {SUM}\nRUN wget https://y.example/u.tgz",
        "`sha256sum -c` was removed, so https://y.example/u.tgz is",
    ),
    "of a variable": (
        f"ENV U={URL}\nRUN wget $U && {SUM}",
        f"ENV U={URL}\nRUN wget $U",
        f"`sha256sum -c` was removed, so {URL} is",
    ),
}
SWITCHED_OFF = {
    "curl -k": ("RUN curl -o a b", "RUN curl -k -o a b", "`curl --insecure`"),
    "cluster": (f"RUN {GET}", f"RUN {GET.replace('-fs', '-fks')}", "`curl --insecure`"),
    "curl --insecure": (f"RUN {GET}", f"RUN {GET} --insecure", "`curl --insecure`"),
    "wget": ("RUN wget a", "RUN wget --no-check-certificate a", "`wget --no-check-certificate`"),
    "sudo": ("RUN sudo wget a", "RUN sudo wget --no-check-certificate a", "`wget --no-check-certificate`"),
    "apt": (
        "RUN apt-get install -y a",
        "RUN apt-get install -y --allow-unauthenticated a",
        "`apt-get --allow-unauthenticated`",
    ),
    "apt option": (
        "RUN apt-get update",
        "RUN apt-get -o Acquire::https::Verify-Peer=false update",
        "`Verify-Peer=false`",
    ),
    "sources": (
        "RUN echo 'deb [arch=amd64] https://a b c' > s",
        "RUN echo 'deb [ arch=amd64 trusted=yes ] https://a b c' > s",
        "`trusted=yes`",
    ),
    "dnf": ("RUN dnf install -y a", "RUN dnf install -y --nogpgcheck a", "`dnf --nogpgcheck`"),
    "repository": (
        "RUN printf '[a]\\ngpgcheck=1\\n' > a.repo",
        "RUN printf '[a]\\ngpgcheck = 0\\n' > a.repo",
        "`gpgcheck = 0`",
    ),
    "zypper": ("RUN zypper in a", "RUN zypper --no-gpg-checks in a", "`zypper --no-gpg-checks`"),
    "apk": ("RUN apk add a", "RUN apk add --allow-untrusted a", "`apk --allow-untrusted`"),
    "rpm": ("RUN rpm -i a", "RUN rpm -i --nosignature a", "`rpm --nosignature`"),
    "pip": ("RUN pip install a", "RUN pip install --trusted-host=x.example a", "`pip --trusted-host`"),
    "npm": ("RUN npm ci", "RUN npm config set strict-ssl false; npm ci", "`strict-ssl false`"),
    "git": ("RUN git clone a", "RUN git -c http.sslVerify=false clone a", "`sslVerify=false`"),
    "variable": ("ENV A=1", "ENV A=1 NODE_TLS_REJECT_UNAUTHORIZED=0", "`NODE_TLS_REJECT_UNAUTHORIZED=0`"),
    "assignment": ("RUN git clone a", "RUN GIT_SSL_NO_VERIFY=1 git clone a", "`GIT_SSL_NO_VERIFY=1`"),
    "a second one": ("RUN curl -k a", "RUN curl -k a; curl -k b", "`curl --insecure`"),
}
TLS = {
    "curl": (f"RUN {GET}", f"RUN {GET.replace('https', 'http')}", "http://x.example/1.0/t.tgz was https"),
    "with a new version": (
        f"RUN {GET}",
        "RUN curl -o t http://x.example/1.1/t.tgz",
        "http://x.example/1.1/t.tgz was https",
    ),
    "variable": (f"ENV U={URL}", "ENV U=http://x.example/1.0/t.tgz", "http://x.example/1.0/t.tgz was https"),
    "sources": (
        "RUN echo 'deb https://a.example/d s main' > l",
        "RUN echo 'deb http://a.example/d s main' > l",
        "http://a.example/d was https",
    ),
}


def _risks(world: World, old: str, new: str) -> list[tuple[str, str]]:
    """Return the warnings about downloads, and those that a note or another rule does not explain."""
    before, after = ({"templates/t.j2": f"FROM {{{{ parent }}}}\n{text}\nUSER app\n"} for text in (old, new))
    world.make(before, after)
    risks = world.review().risks
    return [(one.rule, one.message) for one in risks if one.level != "note" and one.rule != "add-url"]


@pytest.mark.parametrize(("old", "new", "message"), CHECKS.values(), ids=CHECKS)
def test_a_check_that_was_removed(world: World, old: str, new: str, message: str) -> None:
    found = _risks(world, old, new)
    assert [rule for rule, _ in found] == ["verification"]
    assert found[0][1].startswith(message)


@pytest.mark.parametrize(("old", "new", "message"), SWITCHED_OFF.values(), ids=SWITCHED_OFF)
def test_a_check_that_was_switched_off(world: World, old: str, new: str, message: str) -> None:
    end = " switches a verification off; remove it (in 2 files)"
    assert _risks(world, old, new) == [("verification", message + end)]
    assert _risks(world, new, old) == []
    assert _risks(world, new, f"{new}\nRUN another") == []


@pytest.mark.parametrize(("old", "new", "message"), TLS.values(), ids=TLS)
def test_https_that_became_http(world: World, old: str, new: str, message: str) -> None:
    end = ", so nothing protects the download now; use https (in 2 files)"
    assert _risks(world, old, new) == [("verification", message + end)]
    assert _risks(world, new, old) == []


TABLE = (
    "RUN case $(uname -m) in x86_64) sum={}; url=https://x.example/{}/x.tgz ;; aarch64) sum={};"
    ' url=https://x.example/{}/a.tgz ;; esac; curl -o t "$url"; curl -o t.asc "$url.asc"; echo "$sum *t" | sha256sum -c'
)
MOVED = {
    "URL": (f"RUN {GET}; {SUM}", f"RUN {GET.replace('1.0', '1.1')}; {SUM}", "https://x.example/1.1/t.tgz"),
    "ADD": (
        f"ADD --checksum=sha256:{A} {URL} /t",
        f"ADD --checksum=sha256:{A} {URL.replace('1.0', '2.0')} /t",
        "https://x.example/2.0/t.tgz",
    ),
    "variable": (
        f"ENV V=1.0 S={A}\nRUN curl -o t https://x.example/$V/t.tgz && echo $S t | sha256sum -c",
        f"ENV V=1.1 S={A}\nRUN curl -o t https://x.example/$V/t.tgz && echo $S t | sha256sum -c",
        "https://x.example/1.1/t.tgz",
    ),
    "argument": (
        f"ARG V=1.0\nADD --checksum=sha256:{A} https://x.example/${{V}}/t.tgz /t",
        f"ARG V=1.1\nADD --checksum=sha256:{A} https://x.example/${{V}}/t.tgz /t",
        "https://x.example/1.1/t.tgz",
    ),
    "assignment": (
        f"RUN V=1.0; wget https://x.example/$V/t.tgz; {SUM}",
        f"RUN V=1.1; wget https://x.example/$V/t.tgz; {SUM}",
        "https://x.example/1.1/t.tgz",
    ),
    "one of a table": (
        TABLE.format(A, "1.0", B, "1.0"),
        TABLE.format(C, "1.1", B, "1.1"),
        "https://x.example/1.1/a.tgz",
    ),
    "with a signature": (
        f"RUN {GET}; {GET}.asc; {SUM}",
        f"RUN {GET.replace('1.0', '1.1')}; {GET.replace('1.0', '1.1')}.asc; {SUM}",
        "https://x.example/1.1/t.tgz",
    ),
    "with a URL in a text": (
        f"RUN {GET}; {SUM}; echo '# https://y.example/1'",
        f"RUN {GET.replace('1.0', '1.1')}; {SUM}; echo '# https://y.example/1'",
        "https://x.example/1.1/t.tgz",
    ),
    "all of more sums than URLs": (
        f"RUN wget {URL} https://y.example/1; s='{A} {B} {C}'",
        f"RUN wget {URL.replace('1.0', '1.1')} https://y.example/1; s='{A} {B} {C}'",
        "https://x.example/1.1/t.tgz",
    ),
    "URL with several sums": (
        f"RUN curl -o t https://x.example/1/$a.tgz; case $a in b) s={A} ;; c) s={B} ;; esac",
        f"RUN curl -o t https://x.example/2/$a.tgz; case $a in b) s={A} ;; c) s={C} ;; esac",
        "https://x.example/2/$a.tgz",
    ),
}
CHANGED = {
    "checksum": (f"RUN {GET}; {SUM}", f"RUN {GET}; {SUM.replace(A, B)}", URL),
    "ADD": (f"ADD --checksum=sha256:{A} {URL} /t", f"ADD --checksum=sha256:{B} {URL} /t", URL),
    "variable": (
        f"ENV U={URL} S={A}\nRUN curl -o t $U && echo $S t | sha256sum -c",
        f"ENV U={URL} S={B}\nRUN curl -o t $U && echo $S t | sha256sum -c",
        URL,
    ),
    "one of a table": (
        TABLE.format(A, "1.0", B, "1.0"),
        TABLE.format(A, "1.0", C, "1.0"),
        "https://x.example/1.0/a.tgz",
    ),
}


@pytest.mark.parametrize(("old", "new", "url"), MOVED.values(), ids=MOVED)
def test_a_url_that_moved_without_its_checksum(world: World, old: str, new: str, url: str) -> None:
    [(rule, message)] = _risks(world, old, new)
    assert rule == "checksum"
    assert message.startswith(f"{url} moved, but its checksum ")
    assert message.endswith("… did not; update the checksum (in 2 files)")


@pytest.mark.parametrize(("old", "new", "url"), CHANGED.values(), ids=CHANGED)
def test_a_checksum_that_changed_without_its_url(world: World, old: str, new: str, url: str) -> None:
    [(rule, message)] = _risks(world, old, new)
    assert rule == "checksum"
    assert message.startswith(f"the checksum of {url} is now ")
    assert message.endswith("…, but the URL did not move; check why the file changed (in 2 files)")


QUIET = {
    "both move": (f"RUN {GET}; {SUM}", f"RUN {GET.replace('1.0', '1.1')}; {SUM.replace(A, B)}"),
    "both of ADD move": (
        f"ADD --checksum=sha256:{A} {URL} /t",
        f"ADD --checksum=sha256:{B} {URL.replace('1.0', '1.1')} /t",
    ),
    "a table moves": (TABLE.format(A, "1.0", B, "1.0"), TABLE.format(C, "1.1", D, "1.1")),
    "a new branch": (
        TABLE.format(A, "1.0", B, "1.0"),
        TABLE.format(A, "1.0", B, "1.0").replace(
            "esac", f"s390x) sum={C}; url=https://x.example/1.0/z.tgz ;; esac"
        ),
    ),
    "a checked download goes": (f"RUN {GET}; {SUM}\nRUN a", "RUN a"),
    "one of two goes with its check": (
        f"RUN {GET}; {SUM}; wget https://y.example/u; {SUM.replace(A, B)}",
        f"RUN {GET}; {SUM}",
    ),
    "another check": (f"RUN {GET}; {SUM}", f"RUN {GET}; gpg --verify t.asc t"),
    "another sum": (f"RUN {GET}; sha256sum -c s", f"RUN {GET}; sha512sum -c s"),
    "a check moves to another RUN": (f"RUN {GET}; {SUM}", f"RUN {GET}\nRUN {SUM}"),
    "a check moves back": (f"RUN {GET}\nRUN {SUM}", f"RUN {GET} && {SUM}"),
    "a RUN becomes an ADD": (f"RUN {GET}; {SUM}", f"ADD --checksum=sha256:{A} {URL} /t"),
    "a check is added": (f"RUN {GET}", f"RUN {GET}; {SUM}"),
    "a new checked download": ("RUN a", f"RUN {GET}; {SUM}"),
    "a new download": ("RUN a", f"RUN {GET}"),
    "a new line": (f"RUN {GET} && {SUM}", f"RUN {GET} \\\n && {SUM}"),
    "the order of RUN": (
        f"RUN {GET} && {SUM}\nRUN wget https://y.example/u; sha512sum -c b",
        f"RUN wget https://y.example/u; sha512sum -c b\nRUN {GET} && {SUM}",
    ),
    "a list of sums": (f"RUN {GET}; sha256sum t > s", f"RUN {GET}"),
    "sha256sum in quotes": (f"RUN {GET}; echo 'sha256sum -c'", f"RUN {GET}"),
    "an option of another program": (f"RUN {GET}", f"RUN {GET}; tar -k -xf t; ls -k"),
    "a value of curl": ("RUN curl -o a b", "RUN curl -Hk -ok a -Ak b"),
    "text": ("RUN a", "RUN echo --insecure; : --nogpgcheck # --no-check-certificate"),
    "a stricter setting": ("RUN a", "RUN echo gpgcheck=1 trusted=no; git -c http.sslVerify=true clone b"),
    "http to https": ("RUN curl -o t http://x.example/t", "RUN curl -o t https://x.example/t"),
    "http at another host": (f"RUN {GET}", f"RUN {GET}; curl -o u http://y.example/u"),
    "a host with both": (
        f"RUN {GET}; curl -o u http://x.example/u",
        f"RUN {GET}; curl -o u http://x.example/v",
    ),
    "an unknown version": (
        f"RUN curl -o t https://x.example/$V/t; echo {A} t | sha256sum -c",
        f"RUN curl -o t https://x.example/$V/t; echo {B} t | sha256sum -c",
    ),
    "no checksum": (f"RUN {GET}", f"RUN {GET.replace('1.0', '1.1')}"),
    "not clear what belongs together": (
        f"RUN wget {URL} https://y.example/1; s='{A} {B} {C}'",
        f"RUN wget {URL.replace('1.0', '1.1')} https://y.example/1; s='{A} {D} {C}'",
    ),
    "another number of downloads": (
        f"RUN {GET}; {SUM}",
        f"RUN {GET.replace('1.0', '1.1')}; {SUM}; wget https://y.example/u",
    ),
}


@pytest.mark.parametrize(("old", "new"), QUIET.values(), ids=QUIET)
def test_a_download_that_is_verified_as_before(world: World, old: str, new: str) -> None:
    assert _risks(world, old, new) == []


def test_the_place_is_that_of_the_template(world: World) -> None:
    _risks(world, f"RUN a\nRUN {GET} && {SUM}", f"RUN a\nRUN {GET}")
    assert world.risks() == [
        f"templates/t.j2:3: warning: `sha256sum -c` was removed, so {URL} is verified less than before; keep the"
        f" check (in 2 files) [verification] (in {AMD_FILE}:8)"
    ]


def test_a_new_file_is_checked_for_switched_off_checks(world: World) -> None:
    base = BASE.replace('"1.0"', '"1.0", "2.0"')
    text = "FROM {{ parent }}\n{% if version == '2.0' %}\nRUN curl -k a\n{% endif %}\nUSER app\n"
    world.make({"templates/t.j2": text}, {"bases/app/base.yaml": base, "templates/t.j2": text})
    assert [risk.rule for risk in world.review().risks] == ["verification"]


def test_passwords_of_urls_are_not_shown(world: World) -> None:
    secret = "https://u:p@x.example/1.0/t?k=v"
    for old, new in (
        (f"RUN curl {secret}; {SUM}", f"RUN curl {secret}"),
        (f"RUN curl {secret}; {SUM}", f"RUN curl {secret.replace('1.0', '1.1')}; {SUM}"),
    ):
        assert all("u:p" not in text and "k=v" not in text for _, text in _risks(world, old, new))
