"""Layer 7. ``happened storage``: makes a storage ready, and says what it lacks."""

import typer

from happened.cli.arguments import DomainArgument, JsonOption, example, group
from happened.cli.display import as_json
from happened.cli.domains import find_stored_domain
from happened.domain import Domain
from happened.errors import ConfigurationError
from happened.subscription import Subscription

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

    Handlers with start_from="now" that are new begin here: they get what is stored from now on. To
    do so again changes nothing.
    """
    found = find_stored_domain(domain)
    storage = found.storage
    done = list(storage.create())
    for each in _not_begun(found):
        each.subscribe(storage)
        done.append(f"subscription {each.name} begins with what is stored from now on")
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
    found = find_stored_domain(domain)
    storage = found.storage
    problems = list(storage.problems()) or [
        f"{storage.url}: subscription {each.name} has start_from='now', and has not begun; run "
        "`happened storage init MODULE:DOMAIN`"
        for each in _not_begun(found)
    ]
    if json:
        as_json({"storage": storage.url, "problems": problems})
        if problems:
            raise typer.Exit(1)
        return
    if problems:
        raise ConfigurationError(problems)
    typer.echo(f"{storage.url}: all is there")


def _not_begun(domain: Domain) -> list[Subscription]:
    """Those for which it matters when they begin, as they pass over what is stored before."""
    begun = {each.subscription for each in domain.storage.checkpoints()}
    now = [each for each in domain.subscriptions if each.start_from == "now"]
    return [each for each in now if each.name not in begun]
