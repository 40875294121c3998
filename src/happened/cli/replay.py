"""Layer 7. ``happened replay``: has a handler handle once more what is stored."""

from typing import Annotated

import typer

from happened.cli.arguments import DomainArgument, YesOption, example
from happened.cli.display import agree, counted, progress_bar
from happened.cli.domains import find_stored_domain
from happened.domain import Domain
from happened.elements import nearest
from happened.errors import HappenedError
from happened.replay import Replay
from happened.subscription import Subscription

__all__ = ["commands"]

commands = typer.Typer()


@commands.command(
    epilog=example("happened replay shop:domain Stock --from 1200"),
    short_help="Call a handler once more with what is stored.",
)
def replay(
    domain: DomainArgument,
    handler: Annotated[
        str, typer.Argument(metavar="HANDLER", help="The class or the function, such as Stock.")
    ],
    *,
    start: Annotated[
        int, typer.Option("--from", min=0, metavar="POSITION", help="The global position to begin.")
    ] = 0,
    yes: YesOption = False,
) -> None:
    """Call a handler once more with every stored message that it handles.

    It does again whatever it does: a mail that it sends is sent again. One that was killed goes on
    where it stopped. To make a projection anew, use `happened projections rebuild` instead.
    """
    found = find_stored_domain(domain)
    subscription = _named(found, handler)
    agree(
        f"{handler} does again whatever it does, from global position {start} on; replay it?",
        yes=yes,
    )
    with found.domain_context(), progress_bar(handler) as told:
        count = Replay(found.processor, f"{handler}~replay", [subscription], progress=told).run(
            start
        )
    typer.echo(f"{handler}: {counted(count, 'message')} read")


def _named(domain: Domain, name: str) -> Subscription:
    subscriptions = {each.name: each for each in domain.subscriptions}
    if name not in subscriptions:
        near = nearest(name, subscriptions)
        has = f"; it has {', '.join(subscriptions) or 'none'}"
        raise HappenedError(f"domain {domain.name!r} has no handler {name!r}{near or has}")
    return subscriptions[name]
