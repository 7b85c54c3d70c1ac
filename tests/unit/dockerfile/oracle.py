"""BuildKit's parser in a separate process, because a panic of its Go runtime must not end the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SERVER = """
import json, sys
import dockerfile

def parsed(command):
    heredocs = [[h.name, h.file_descriptor, h.content] for h in command.heredocs]
    return [(command.cmd or "").upper(), (command.sub_cmd or "").upper(), command.json, command.start_line,
            command.end_line, list(command.flags), list(command.value), heredocs]

for line in sys.stdin:
    answers = []
    for text in json.loads(line):
        try:
            answers.append([parsed(command) for command in dockerfile.parse_string(text)])
        except (dockerfile.GoParseError, ValueError) as error:
            answers.append(str(error))
    print(json.dumps(answers), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An instruction as BuildKit's parser returns it."""

    keyword: str
    trigger: str
    is_json: bool
    line: int
    end_line: int
    flags: tuple[str, ...]
    words: tuple[str, ...]
    heredocs: tuple[tuple[str, int, str], ...]


class Oracle:
    """Parses many texts per request; an error of the parser is a str instead of instructions."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def parse_all(self, texts: Iterable[str]) -> list[list[Judged] | str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(list(texts)) + "\n")
        self._process.stdin.flush()
        answers = json.loads(self._process.stdout.readline())
        return [
            answer if isinstance(answer, str) else [_judged(*item) for item in answer] for answer in answers
        ]

    def parse(self, text: str) -> list[Judged] | str:
        return self.parse_all([text])[0]


def _judged(*item: object) -> Judged:
    keyword, trigger, is_json, line, end_line, flags, words, heredocs = item
    return Judged(
        keyword=keyword, trigger=trigger, is_json=is_json, line=line, end_line=end_line,
        flags=tuple(flags), words=tuple(words), heredocs=tuple((a, b, c) for a, b, c in heredocs),
    )  # fmt: skip


@contextmanager
def running_oracle() -> Iterator[Oracle]:
    """Start the parser's process, and end it after the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        yield Oracle(process)
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()
