"""Layer 7. ``happened subscriptions``: removes those whose handlers are gone."""

from typing import Annotated

import typer

from happened.cli.arguments import DomainArgument, JsonOption, YesOption, example, group
from happened.cli.display import agree, as_json, counted
from happened.cli.domains import find_stored_domain
from happened.cli.status import Standing, names_in, without_handler
from happened.domain import Domain
from happened.elements import nearest
from happened.errors import HappenedError

__all__ = ["commands"]

commands = typer.Typer()
_group = group("subscriptions", "Remove subscriptions without a handler.")
commands.add_typer(_group)


@_group.command(
    epilog=example("happened subscriptions remove shop:domain Stock"),
    short_help="Remove one whose handler is gone.",
)
def remove(
    domain: DomainArgument,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="One that `happened status` shows without one.")
    ],
    *,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Remove a subscription for good whose handler the domain has no longer.

    Its checkpoints are removed, and the messages that wait for it are discarded; they stay in their
    streams. A handler that only got a new name keeps its subscription with name= instead. Stop the
    servers of older releases first: one that still has the handler begins it anew.
    """
    found = find_stored_domain(domain)
    left = _named(found, name)
    count = left.waiting.total()
    also = f", and discard {counted(count, 'message')}" if count else ""
    agree(f"Remove the subscription {name}{also}?", yes=yes)
    found.storage.unsubscribe(name)
    if json:
        as_json({"subscription": name, "discarded": count})
    else:
        typer.echo(f"removed: {name}; {counted(count, 'message')} discarded")


def _named(domain: Domain, name: str) -> Standing:
    """The one that is meant; what the domain still needs is refused."""
    if name in names_in(domain.registry):
        raise HappenedError(
            f"domain {domain.name!r} has the handler of {name!r}; only a subscription without a "
            "handler can be removed"
        )
    left = {
        each.subscription.name: each for each in without_handler(domain.storage, domain.registry)
    }
    if name not in left:
        near = nearest(name, left)
        has = f"; those without a handler are {', '.join(left)}" if left else ""
        raise HappenedError(f"there is no subscription {name!r}{near or has}")
    return left[name]
