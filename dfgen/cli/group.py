"""The `dfgen` command: global options, and the commands, each imported when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
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

_FOLDER = "Folder of the catalog. Default: the current folder, or the nearest one above it with a catalog."
_FORMAT = "Output format. Default: table."
FORMATS = ("table", "json", "markdown")


def usage(error: click.ClickException) -> str:
    """Format a usage error as one line; returns the help if no command was given."""
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return message
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "dfgen"
    return f"{command}: {message.rstrip('.')}; see `{command} --help`"


def _global_options() -> Iterator[click.Option]:
    """Create the options that a command takes as well as the group, as in `dfgen list --format json`."""

    def set_root(ctx: click.Context, _option: click.Parameter, root: Path | None) -> None:
        if root is not None:
            ctx.obj.root, ctx.obj.is_above = root, False

    def set_output(ctx: click.Context, _option: click.Parameter, output: str | None) -> None:
        if output is not None:
            ctx.obj.output = output

    folder = click.Path(path_type=Path)
    yield click.Option(
        ["-C", "root"], type=folder, metavar="DIR", expose_value=False, callback=set_root, help=_FOLDER
    )
    yield click.Option(
        ["--format"], type=click.Choice(FORMATS), expose_value=False, callback=set_output, help=_FORMAT
    )


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
        own = {option for parameter in command.params for option in parameter.opts}
        command.params.extend(one for one in _global_options() if not own.intersection(one.opts))
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
    metavar="DIR",
    help=_FOLDER,
)
@click.option(
    "--format",
    "output",
    type=click.Choice(FORMATS),
    default="table",
    help=_FORMAT,
)
@click.pass_context
def dfgen(ctx: click.Context, root: Path | None, output: str) -> None:
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

    if root is not None or ctx.invoked_subcommand == "init":  # a new catalog is created here
        ctx.obj = App(root or Path(), output=output)
    else:
        ctx.obj = App.here(output)
