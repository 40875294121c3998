"""Layer 7. ``happened projections``: makes projections anew from what is stored."""

from typing import Annotated

import typer
from rich.text import Text

from happened.cli.arguments import DomainArgument, JsonOption, example, group
from happened.cli.display import as_json, console, counted, progress_bar, table
from happened.cli.domains import find_stored_domain
from happened.domain import Domain

__all__ = ["commands"]

commands = typer.Typer()
_group = group("projections", "Show projections, and make them anew.")
commands.add_typer(_group)


@_group.command(
    "list",
    epilog=example("happened projections list shop:domain"),
    short_help="Show which projections there are.",
)
def list_(domain: DomainArgument, *, json: JsonOption = False) -> None:
    """Show which projections there are, and which handlers keep them up to date.

    With --json, a line for each.
    """
    found = find_stored_domain(domain)
    projections = found.registry.of_kind("projection")
    if json:
        for each in projections:
            name, category = each.__name__, each._category
            as_json({"projection": name, "category": category, "handlers": _feeding(found, each)})
        return
    rows = table("projection", "category", "handlers")
    for each in projections:
        rows.add_row(each.__name__, each._category, "\n".join(_feeding(found, each)))
    console().print(rows if projections else Text("no projections"))


@_group.command(
    epilog=example("happened projections rebuild shop:domain Totals"),
    short_help="Make a projection anew.",
)
def rebuild(
    domain: DomainArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The class of the projection.")],
    *,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin again, not where one was killed.")
    ] = False,
) -> None:
    """Make a projection anew beside the one in use, and switch when it is complete.

    The one in use is there until the switch. One that was killed goes on where it stopped.
    """
    found = find_stored_domain(domain)
    with progress_bar(name) as told:
        count = found.rebuild(name, restart=restart, progress=told)
    typer.echo(f"{name}: rebuilt from {counted(count, 'message')}")


def _feeding(domain: Domain, projection: type) -> list[str]:
    """The subscriptions all of whose handlers belong to a projection."""
    return [
        each.name
        for each in domain.subscriptions
        if all(reaction.part_of is projection for reaction in each.reactions)
    ]
