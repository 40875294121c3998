"""Layer 7. All commands of the command line, put together."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from happened.cli import (
    dead_letters,
    diagram,
    projections,
    replay,
    server,
    status,
    storage,
    streams,
    subscriptions,
)

__all__ = ["app", "run"]

app = typer.Typer(
    help="Runs and looks after domains.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _each in (
    *(server, status, dead_letters, subscriptions, replay, projections),
    *(streams, storage, diagram),
):
    app.add_typer(_each.commands)


def _version(wanted: bool) -> None:  # noqa: FBT001 - so it is called
    if wanted:
        typer.echo(f"happened {version('happened')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Print the version, and end.",
        ),
    ] = False,
) -> None: ...


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return what the process is to end with.

    Args:
        arguments: what stands after ``happened`` on the command line, by default that of this
            process.

    Raises:
        HappenedError: what the command was to do could not be done.

    Example:
        >>> from happened.cli.app import run
        >>> run(["streams", "list"])  # which domain?
        2
    """
    command = typer.main.get_command(app)
    try:
        command.main(None if arguments is None else [*arguments], prog_name="happened")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0
