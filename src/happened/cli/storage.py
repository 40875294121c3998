"""Layer 7. ``happened storage``: makes a storage ready, and says what it lacks."""

import typer

from happened.cli.arguments import DomainArgument, JsonOption, example, group
from happened.cli.display import as_json
from happened.cli.domains import find_stored_domain
from happened.errors import ConfigurationError

__all__ = ["commands"]

commands = typer.Typer()
_group = group("storage", "Make a storage ready, and say what it lacks.")
commands.add_typer(_group)


@_group.command(
    epilog=example("happened storage init shop:domain"),
    short_help="Create what a storage lacks.",
)
def init(domain: DomainArgument, *, json: JsonOption = False) -> None:
    """Create the tables and indexes that a storage lacks, or bring them up to date.

    To do so again changes nothing.
    """
    storage = find_stored_domain(domain).storage
    done = list(storage.create())
    if json:
        as_json({"storage": storage.url, "done": done})
        return
    for line in done:
        typer.echo(line)
    if not done:
        typer.echo(f"{storage.url}: all was there")


@_group.command(
    epilog=example("happened storage check shop:domain || happened storage init shop:domain"),
    short_help="Say what a storage lacks.",
)
def check(domain: DomainArgument, *, json: JsonOption = False) -> None:
    """Say what a storage lacks, and end with 1 if there is anything."""
    storage = find_stored_domain(domain).storage
    problems = list(storage.problems())
    if json:
        as_json({"storage": storage.url, "problems": problems})
        if problems:
            raise typer.Exit(1)
        return
    if problems:
        raise ConfigurationError(problems)
    typer.echo(f"{storage.url}: all is there")
