"""The command line: each command parses, calls a stage and prints."""

from __future__ import annotations


def main() -> None:
    """Run the command that the process was called with."""
