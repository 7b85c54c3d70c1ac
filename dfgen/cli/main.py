"""The `dfgen` command: its options, and its commands, each imported when it is called."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from dfgen import __version__
from dfgen.errors import nearest

# The order is that of the work.
COMMANDS = {
    "init": "Make a working catalog here.",
    "new": "Add a family to the catalog.",
    "list": "Show families, versions, platforms, tags, parents and state.",
    "lock": "Pin parents that have no pin; --upgrade moves pins.",
    "render": "Write the Dockerfiles; --check and --diff only look.",
    "explain": "Say which template line and variables made a line.",
    "lint": "Check templates, catalog and what they render.",
    "review": "Say what a pull request changes, and its risks.",
    "plan": "Show what a build would do, in order, and why.",
    "build": "Build, test and merge what is not up to date.",
    "join": "Bring the images of other layouts in, and merge them.",
    "load": "Put what is built into the local engine, for a try.",
    "publish": "Push the layout to a registry.",
    "merge": "Bind per-architecture tags that are in a registry.",
    "verify": "Check that what is published is what the catalog says.",
    "gc": "Remove what dist/ holds and nobody refers to.",
    "inspect": "Show an index or image: platforms, digests, sizes.",
    "doctor": "Show what this machine lacks, and what mends it.",
}


_BEFORE = ("-C", "--format")  # the options of dfgen itself


def usage(error: click.ClickException) -> str:
    """Say in one line what is wrong with a command line; without a command, give the help."""
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return message
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "dfgen"
    if isinstance(error, click.NoSuchOption) and error.option_name in _BEFORE and command != "dfgen":
        message = (
            f"{error.option_name} stands before the command: `dfgen {error.option_name} … {command[6:]}`"
        )
    return f"{command}: {message.rstrip('.')}; see `{command} --help`"


class LazyGroup(click.Group):
    """Knows every command by name and help, and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `dfgen.cli.NAME`, whose command is `command`."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"dfgen.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command was probably meant."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            hint = nearest(name, list(COMMANDS)) or f"; the commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="dfgen %(version)s")
@click.option(
    "-C", "root", type=click.Path(path_type=Path), default=Path(), metavar="DIR", help="Work in this folder."
)
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    help="How results are printed.",
)
@click.pass_context
def dfgen(ctx: click.Context, root: Path, output: str) -> None:
    """Explicit, per-architecture Dockerfiles from templates, and the images that they say.

    SELECT narrows a command: java-base, java-base:1.0, java-base:1.0@arm64, a glob, or a Dockerfile's path.

    Exit codes: 0 it holds, 1 it was checked and does not hold, 2 bad input or usage, 3 the outside failed.
    """
    from dfgen.cli.app import App  # it brings the model, which `--version` and `--help` do without

    ctx.obj = App(root=root, output=output)
