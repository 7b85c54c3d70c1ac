"""Credentials: every form in which `docker login` and credential helpers store logins."""

from __future__ import annotations

import json
import os
import signal
import time
from base64 import b64encode
from pathlib import Path

import pytest

from dfgen.errors import ExternalError, InputError
from dfgen.registry import DockerCredentials, Login

HUB = "https://index.docker.io/v1/"
ALICE = Login(username="alice", password="open:sesame")


def encoded(login: Login) -> dict[str, str]:
    return {"auth": b64encode(f"{login.username}:{login.password}".encode()).decode()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def write(folder: Path, **config: object) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def helper(folder: Path, name: str, script: str) -> None:
    """Install a credential helper that logs its calls and runs a script with the registry in $registry."""
    program = folder / f"docker-credential-{name}"
    program.write_text(f'#!/bin/sh\nread -r registry\necho "$registry" >> {folder}/asked\n{script}\n')
    program.chmod(0o755)


def test_no_configuration(folder: Path) -> None:
    assert DockerCredentials().login("docker.io") is None


def test_default_folder_is_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".docker").mkdir()
    write(tmp_path / ".docker", auths={"registry.example": encoded(ALICE)})
    assert DockerCredentials().login("registry.example") == ALICE


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("registry.example:5000", "registry.example:5000"),
        ("https://registry.example/v2/", "registry.example"),
        (HUB, "docker.io"),
        ("docker.io", "docker.io"),
    ],
)
def test_auths(key: str, registry: str, folder: Path) -> None:
    write(folder, auths={key: encoded(ALICE), "other.example": encoded(Login(username="b", password="c"))})
    assert DockerCredentials().login(registry) == ALICE
    assert DockerCredentials().login("unknown.example") is None


def test_identity_token_takes_precedence_over_a_password(folder: Path) -> None:
    write(folder, auths={"registry.example": {**encoded(ALICE), "identitytoken": "abc"}})
    assert DockerCredentials().login("registry.example") == Login(identity_token="abc")


def test_store_is_asked_once_per_registry(folder: Path) -> None:
    helper(folder, "safe", """echo '{"Username":"alice","Secret":"open:sesame"}'""")
    write(folder, credsStore="safe", auths={"registry.example": {}})
    credentials = DockerCredentials()
    assert credentials.login("registry.example") == credentials.login("registry.example") == ALICE
    assert credentials.login("docker.io") == ALICE
    assert (folder / "asked").read_text().split() == ["registry.example", HUB]


def test_helper_of_one_registry_is_asked_only_for_that_one(folder: Path) -> None:
    helper(folder, "cloud", """echo '{"Username":"<token>","Secret":"abc"}'""")
    write(folder, credHelpers={"cloud.example": "cloud"}, auths={"registry.example": encoded(ALICE)})
    credentials = DockerCredentials()
    assert credentials.login("cloud.example") == Login(identity_token="abc")
    assert credentials.login("registry.example") == ALICE
    assert (folder / "asked").read_text().split() == ["cloud.example"]


@pytest.mark.parametrize("key", [HUB, "docker.io"])
def test_helper_of_docker_hub_by_either_name(key: str, folder: Path) -> None:
    helper(folder, "cloud", """echo '{"Username":"alice","Secret":"open:sesame"}'""")
    write(folder, credHelpers={key: "cloud"})
    assert DockerCredentials().login("docker.io") == Login(username="alice", password="open:sesame")
    assert (folder / "asked").read_text().split() == [HUB]


def test_empty_helper_turns_the_store_off(folder: Path) -> None:
    write(folder, credsStore="safe", credHelpers={"registry.example": ""})
    assert DockerCredentials().login("registry.example") is None


def test_null_entry_is_no_login(folder: Path) -> None:
    write(folder, auths={"other.example": None, "registry.example": encoded(ALICE)})
    assert DockerCredentials().login("registry.example") == ALICE
    assert DockerCredentials().login("other.example") is None


def test_user_without_a_home_has_no_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 2)
    assert DockerCredentials().login("registry.example") is None


def test_auths_are_used_if_the_store_has_no_login(folder: Path) -> None:
    helper(folder, "safe", "echo credentials not found in native keychain; exit 1")
    write(folder, credsStore="safe", auths={"registry.example": encoded(ALICE)})
    assert DockerCredentials().login("registry.example") == ALICE
    assert DockerCredentials().login("other.example") is None


@pytest.mark.parametrize(
    "script",
    [
        "echo my-secret >&2; echo my-secret; exit 3",
        "echo my-secret",
        'echo \'{"Username":"x"}\'',
        "echo '[1]'",
        "head -c 100000 /dev/zero | tr '\\0' '['",
        "head -c 1000 /dev/urandom",
    ],
)
def test_failing_helper_is_reported_without_its_output(
    script: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    helper(folder, "safe", script)
    write(folder, credsStore="safe")
    with pytest.raises(ExternalError) as caught:
        DockerCredentials().login("registry.example")
    assert str(caught.value) == (
        "registry.example: the credential helper docker-credential-safe failed; "
        "try it with `echo registry.example | docker-credential-safe get`"
    )
    assert caught.value.__suppress_context__
    assert capfd.readouterr() == ("", "")


def test_hanging_helper_is_killed_with_its_children(folder: Path) -> None:
    helper(folder, "safe", f"(sleep 600; echo) & echo $! > {folder}/child; wait")
    write(folder, credsStore="safe")
    credentials = DockerCredentials(timeout=2)
    for _ in range(2):  # the error is cached, so only the first thread waits
        with pytest.raises(ExternalError) as caught:
            credentials.login("registry.example")
        assert str(caught.value) == (
            "registry.example: the credential helper docker-credential-safe did not respond within 2 s; "
            "try it with `echo registry.example | docker-credential-safe get`"
        )
    assert (folder / "asked").read_text().split() == ["registry.example"]
    child = (folder / "child").read_text().strip()
    patient = time.monotonic() + 10  # a killed process ends when the kernel runs it again
    while _runs(child) and time.monotonic() < patient:
        time.sleep(0.01)
    assert not _runs(child)


def _runs(process: str) -> bool:
    try:
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_daemon_of_a_helper_is_not_waited_for(folder: Path) -> None:
    helper(folder, "safe", f"setsid sh -c 'echo $$ > {folder}/daemon; exec sleep 60' & sleep 60")
    write(folder, credsStore="safe")
    with pytest.raises(ExternalError, match=r"docker-credential-safe did not respond within 2 s"):
        DockerCredentials(timeout=2).login("registry.example")
    daemon = int((folder / "daemon").read_text())
    os.kill(daemon, signal.SIGKILL)  # fails if it has already ended


def test_auths_are_used_if_the_helper_returns_empty_fields(folder: Path) -> None:
    helper(folder, "safe", """echo '{"Username":"","Secret":""}'""")
    write(folder, credsStore="safe", auths={"registry.example": encoded(ALICE)})
    assert DockerCredentials().login("registry.example") == ALICE


def test_helper_cannot_be_started(folder: Path) -> None:
    program = folder / "docker-credential-safe"
    program.write_text("#!/nowhere/at/all\n")
    program.chmod(0o755)
    write(folder, credsStore="safe")
    with pytest.raises(ExternalError, match="the credential helper docker-credential-safe failed; try it"):
        DockerCredentials().login("registry.example")


def test_helper_is_not_installed(folder: Path) -> None:
    write(folder, credsStore="desktop")
    with pytest.raises(ExternalError) as caught:
        DockerCredentials().login("registry.example")
    assert str(caught.value) == (
        "registry.example: the credential helper docker-credential-desktop from the Docker "
        "configuration is not on PATH; install it"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON; fix it, or set DOCKER_CONFIG to another folder"),
        ("[" * 10_000, "not JSON; fix it, or set DOCKER_CONFIG to another folder"),
        ("[]", "expected a JSON object; fix it, or set DOCKER_CONFIG to another folder"),
        (
            '{"auths": {"a.example": {"auth": "###"}}}',
            "`auths` cannot be read, expected base64 of user:password; run `docker login` again",
        ),
        (
            '{"auths": {"a.example": "text"}}',
            "`auths` cannot be read, expected base64 of user:password; run `docker login` again",
        ),
        (
            '{"auths": {"a.example": {"auth": 5}}, "credHelpers": []}',
            "`auths` cannot be read, expected base64 of user:password; run `docker login` again",
        ),
        (
            '{"auths": ["a.example"]}',
            "`auths` cannot be read, expected base64 of user:password; run `docker login` again",
        ),
    ],
)
def test_configuration_cannot_be_parsed(text: str, message: str, folder: Path) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError) as caught:
        DockerCredentials().login("a.example")
    assert str(caught.value) == f"{folder}/config.json: {message}"


def test_configuration_is_a_folder(folder: Path) -> None:
    (folder / "config.json").mkdir()
    with pytest.raises(InputError, match=r"config\.json: cannot be read: Is a directory$"):
        DockerCredentials().login("a.example")
