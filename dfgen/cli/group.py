"""The `dfgen` command: global options, and the commands, each imported when it is called."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from dfgen import __version__
from dfgen.errors import nearest

# In the order of a typical workflow. The texts are here so that `dfgen --help` imports no command.
COMMANDS = {
    "init": "Create a working catalog here.",
    "new": "Add a family to the catalog.",
    "list": "List families, versions, platforms, tags, parents and states.",
    "lock": "Pin parents that have no pin; --upgrade moves pins.",
    "render": "Write the Dockerfiles; --check and --diff only compare.",
    "explain": "Show the template line and variables behind a line.",
    "lint": "Check templates, the catalog and the rendered Dockerfiles.",
    "review": "Show what a pull request changes, and its risks.",
    "plan": "Show what a build would do, in order, and why.",
    "build": "Build, test and merge the images that are not up to date.",
    "refresh": "Rebuild without cache, and update the package locks.",
    "join": "Import images that other machines built, and merge them.",
    "load": "Load built images into the local engine.",
    "publish": "Push built images to a registry.",
    "merge": "Create a multi-arch tag from published images.",
    "verify": "Check the registry against the catalog.",
    "gc": "Delete unreferenced data from dist/.",
    "inspect": "Show an index or image: platforms, digests, sizes.",
    "doctor": "Check this machine and suggest fixes.",
}

_GLOBAL_OPTIONS = ("-C", "--format")


def usage(error: click.ClickException) -> str:
    """Format a usage error as one line; returns the help if no command was given."""
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return message
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "dfgen"
    if isinstance(error, click.NoSuchOption) and command != "dfgen" and error.option_name in _GLOBAL_OPTIONS:
        name = error.option_name
        message = f"put {name} before the command: `dfgen {name} … {command.removeprefix('dfgen ')}`"
    return f"{command}: {message.rstrip('.')}; see `{command} --help`"


class LazyGroup(click.Group):
    """A group that lists its commands without importing them, and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of a typical workflow."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module `dfgen.cli.NAME` and return its `command`."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"dfgen.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them, as click would."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest a command for an unknown name. Raises UsageError for it."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            hint = nearest(name, list(COMMANDS)) or f"; supported: {', '.join(COMMANDS)}"
            raise click.UsageError(f"unknown command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="dfgen %(version)s")
@click.option(
    "-C",
    "root",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    show_default=True,
    help="Folder of the catalog.",
)
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="Output format.",
)
@click.pass_context
def dfgen(ctx: click.Context, root: Path, output: str) -> None:
    """Generate, build, test and publish per-architecture base images from Jinja templates.

    \b
    SELECT limits a command to some images:
      java-base, java-base:21, java-base:21@arm64, a glob, or a Dockerfile's path

    \b
    Exit codes:
      0  success
      1  a check failed: drift, build, test, mismatch
      2  invalid input or usage
      3  the environment failed: engine, registry, network, disk
    """  # noqa: D301 - \b tells click not to rewrap the lines
    from dfgen.cli.app import App  # imports the catalog model, which `--version` and `--help` do not need

    ctx.obj = App(root=root, output=output)
