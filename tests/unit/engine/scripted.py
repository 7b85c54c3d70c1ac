"""A fake of `Processes` that returns scripted output instead of running programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dfgen.engine.process import CommandError, Processes

Answer = str | tuple[int | None, str]


class ScriptedProcesses(Processes):
    """Returns the answer whose key is a prefix of the command line: output, or an exit code with output."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        super().__init__()
        self.answers = dict(answers)
        self.commands: list[str] = []

    def read(self, command: Sequence[str], timeout: float = 60.0) -> str:
        return self._answer(command)

    def follow(
        self, command: Sequence[str], on_line: Callable[[str], None], environment: Mapping[str, str]
    ) -> None:
        try:
            output = self._answer(command)
        except CommandError as error:
            for line in error.output.splitlines():
                on_line(line)
            raise
        for line in output.splitlines():
            on_line(line)

    def _answer(self, command: Sequence[str]) -> str:
        line = " ".join(command)
        self.commands.append(line)
        answer = next(found for start, found in self.answers.items() if line.startswith(start))
        if isinstance(answer, str):
            return answer
        code, output = answer
        raise CommandError(command, code, output)
