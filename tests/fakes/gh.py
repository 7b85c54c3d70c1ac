"""GitHub's `gh` for tests, with a repository's comments and pull requests in a JSON file.

GH_STATE is the file, `{"comments": [{"id", "user": {"login"}, "body"}], "pulls": [...]}`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import jq

OURS = "github-actions[bot]"
_PAGE = 30
_COMMENTS = re.compile(r"repos/[\w.-]+/[\w.-]+/issues/(?P<issue>\d+)/comments")
_COMMENT = re.compile(r"repos/[\w.-]+/[\w.-]+/issues/comments/(?P<id>\d+)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    kinds = parser.add_subparsers(dest="kind", required=True)
    api = kinds.add_parser("api")
    api.add_argument("path")
    api.add_argument("--paginate", action="store_true")
    api.add_argument("-X", dest="method", default="")
    api.add_argument("-F", dest="field", default="")
    api.add_argument("--jq", default=".")
    auth = kinds.add_parser("auth")
    auth.add_argument("verb", choices=["setup-git"])
    pull = kinds.add_parser("pr").add_subparsers(dest="verb", required=True)
    view = pull.add_parser("view")
    view.add_argument("head")
    view.add_argument("--json")
    view.add_argument("--jq", default=".")
    create = pull.add_parser("create")
    for name in ("--head", "--title", "--body-file"):
        create.add_argument(name, required=True)
    return parser.parse_args()


def _print(program: str, value: Any) -> None:
    for one in jq.compile(program).input_value(value):
        print(one if isinstance(one, str) else json.dumps(one))


def _api(state: dict[str, Any], given: argparse.Namespace) -> None:
    name, _, value = given.field.partition("=")
    assert not name or (name == "body" and value.startswith("@")), given.field
    body = Path(value[1:]).read_text(encoding="utf-8") if name else ""
    method = given.method or ("POST" if name else "GET")
    if found := _COMMENT.fullmatch(given.path):
        assert method == "PATCH", method
        next(one for one in state["comments"] if one["id"] == int(found["id"]))["body"] = body
        return
    assert _COMMENTS.fullmatch(given.path), given.path
    if method == "POST":
        number = max((one["id"] for one in state["comments"]), default=0) + 1
        state["comments"].append({"id": number, "user": {"login": OURS}, "body": body})
        return
    pages = range(0, max(len(state["comments"]), 1), _PAGE) if given.paginate else [0]
    for at in pages:  # gh applies the filter to each page
        _print(given.jq, state["comments"][at : at + _PAGE])


def _pull(state: dict[str, Any], given: argparse.Namespace) -> None:
    if given.verb == "create":
        body = Path(given.body_file).read_text(encoding="utf-8")
        pull = {"headRefName": given.head, "title": given.title, "body": body, "state": "OPEN"}
        state["pulls"].append(pull)
        return
    found = [one for one in state["pulls"] if one["headRefName"] == given.head]
    if not found:
        sys.exit(f"no pull requests found for branch {given.head!r}")
    _print(given.jq, {name: found[-1][name] for name in given.json.split(",")})


def main() -> None:
    """Run one command."""
    if not os.environ.get("GH_TOKEN"):
        sys.exit("gh: To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN environment variable")
    given = _arguments()
    path = Path(os.environ["GH_STATE"])
    state = json.loads(path.read_text())
    if given.kind == "api":
        _api(state, given)
    elif given.kind == "pr":
        _pull(state, given)
    path.write_text(json.dumps(state))


if __name__ == "__main__":
    main()
