"""The registries of --registry: a clear error for what is no registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.errors import InputError
from dfgen.workspace import Workspace


@pytest.mark.parametrize(
    ("registry", "message"),
    [
        (
            "http://127.0.0.1:5000/team/",
            "--registry http://127.0.0.1:5000/team: write it without http://, for example 127.0.0.1:5000/team",
        ),
        ("host/UPPER", "--registry host/UPPER: is not a registry; expected host[:port][/path]"),
        ("", "--registry : is not a registry; expected host[:port][/path]"),
    ],
)
def test_what_is_no_registry_is_refused(tmp_path: Path, registry: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Workspace(tmp_path).targets([registry])
    assert str(caught.value) == message


def test_a_slash_at_the_end_does_not_matter(tmp_path: Path) -> None:
    assert Workspace(tmp_path).targets(["127.0.0.1:5000/team/"]) == ("127.0.0.1:5000/team",)
