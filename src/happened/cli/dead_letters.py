"""Layer 7. ``happened dead-letters``: what failed too often, and what becomes of it."""

from collections import Counter
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from happened.cli.arguments import DomainArgument, JsonOption, YesOption, example, group
from happened.cli.display import agree, as_json, console, counted, moment, parsed, table
from happened.cli.domains import find_stored_domain
from happened.domain import Domain
from happened.elements import nearest
from happened.errors import ConcurrencyError, ConfigurationError, HappenedError
from happened.storage import Delivery, DeliveryState, Storage

__all__ = ["commands"]

MANY = 100_000

commands = typer.Typer()
_group = group("dead-letters", "Show, retry and discard failed messages.")
commands.add_typer(_group)

IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ID...", help="Ids of messages.", show_default=False)
]
HandlerOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Only those of this handler, such as Stock.reduce."),
]
SubscriptionOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only those of this subscription.")
]


@_group.command(
    "list",
    epilog=example("happened dead-letters list shop:domain --subscription Stock"),
    short_help="Show which messages wait, and why.",
)
def list_(
    domain: DomainArgument,
    *,
    subscription: SubscriptionOption = None,
    state: Annotated[
        Literal["dead", "retrying", "held", "pending"],
        typer.Option(help="Why they wait; see `happened status --help`."),
    ] = "dead",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many at most.")] = 1000,
    json: JsonOption = False,
) -> None:
    """Show which messages wait for a handler: those that failed too often, or in another state.

    With --json, a line for each.
    """
    found = find_stored_domain(domain)
    shown = _waiting(found, subscription, state, limit + 1)
    deliveries = shown[:limit]
    if len(shown) > limit:
        typer.echo(f"there are more than {limit}; show them with --limit", err=True)
    if json:
        for delivery in deliveries:
            as_json(_data(delivery))
        return
    rows = table("handler", "attempts", "message", numbers=["attempts"])
    for delivery in deliveries:
        place = f"{delivery.stream} at {delivery.position}"
        told = [delivery.message_id, place, " ".join(_due(delivery)), delivery.error]
        rows.add_row(
            delivery.handler, str(delivery.attempts), "\n".join(each for each in told if each)
        )
    console().print(rows if deliveries else Text(f"no message is {state}"))


@_group.command(
    epilog=example("happened dead-letters show shop:domain 0198c1f2-8e4b-7a3c-9d5e-1f2a3b4c5d6e"),
    short_help="Show a message, and why its handler failed.",
)
def show(
    domain: DomainArgument,
    id: Annotated[str, typer.Argument(metavar="ID", help="The id of a message.")],
    *,
    handler: HandlerOption = None,
    json: JsonOption = False,
) -> None:
    """Show a message with its data and its metadata, and the traceback of its handler's failure."""
    found = find_stored_domain(domain)
    delivery = _only(found.storage, id, handler, ("dead", "retrying", "held", "pending"))
    stored = found.storage.find_message(delivery.stream, delivery.position)
    if stored is None or stored.metadata.id != id:
        raise HappenedError(f"the message {id} is not stored, only that {delivery.handler} failed")
    metadata = stored.metadata.to_dict()
    if json:
        data = {**_data(delivery), "traceback": delivery.traceback}
        as_json({**data, "metadata": metadata, "data": parsed(stored.data)})
        return
    rows = table("", "")
    rows.show_header = False
    rows.add_row("handler", delivery.handler)
    rows.add_row("state", f"{delivery.state}, attempts: {delivery.attempts}")
    if due := _due(delivery):
        rows.add_row(*due)
    for name, value in metadata.items():
        if value not in (None, {}):
            rows.add_row(name.replace("_", " "), str(value))
    rows.add_row("data", stored.data.decode())
    out = console()
    out.print(rows)
    if delivery.traceback:
        out.print(Text(f"\n{delivery.traceback.rstrip()}"), soft_wrap=True)


@_group.command(
    epilog=example("happened dead-letters retry shop:domain --all"),
    short_help="Have handlers called again.",
)
def retry(
    domain: DomainArgument,
    ids: IdsArgument = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    handler: HandlerOption = None,
    subscription: SubscriptionOption = None,
) -> None:
    """Have a server call the handlers again, once they are mended.

    What waits for a handler that the domain has no longer is not retried, and the command ends
    with 1.
    """
    found = find_stored_domain(domain)
    chosen = _chosen(found, ids, every=every, handler=handler, subscription=subscription)
    handled = _handled(found)
    now = datetime.now(UTC)
    for delivery in chosen:
        if _key(delivery) not in handled:
            continue
        again = delivery._replace(state="retrying", attempts=0, due=now)
        if _settled(found.storage, delivery, again):
            typer.echo(f"will be retried: {_line(delivery)}")
    if not chosen:
        typer.echo("no message is dead")
    left = Counter(key for each in chosen if (key := _key(each)) not in handled)
    if left:
        raise ConfigurationError([_refused(found, *key, count) for key, count in left.items()])


@_group.command(
    epilog=example("happened dead-letters discard shop:domain --all --subscription Stock --yes"),
    short_help="Give messages up for a handler.",
)
def discard(
    domain: DomainArgument,
    ids: IdsArgument = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    handler: HandlerOption = None,
    subscription: SubscriptionOption = None,
    yes: YesOption = False,
) -> None:
    """Give messages up for a handler: it is not called with them again, and their streams go on.

    The messages stay in their streams. One that is named by its id, and waits for a handler that
    the domain has no longer, need not be dead.
    """
    found = find_stored_domain(domain)
    chosen = _chosen(found, ids, every=every, handler=handler, subscription=subscription, lost=True)
    if every and chosen:
        agree(f"Discard {counted(len(chosen), 'dead letter')}?", yes=yes)
    for delivery in chosen:
        if _settled(found.storage, delivery, None):
            typer.echo(f"discarded: {_line(delivery)}")
    if not chosen:
        typer.echo("no message is dead")


def _waiting(
    domain: Domain, subscription: str | None, state: DeliveryState, limit: int = MANY
) -> Sequence[Delivery]:
    """What waits; a subscription that nobody has heard of is refused."""
    if subscription is not None:
        known = {each.name for each in domain.subscriptions}
        known |= {each.subscription for each in domain.storage.checkpoints()}
        if subscription not in known:
            near = nearest(subscription, known)
            raise HappenedError(f"there is no subscription {subscription!r}{near}")
    return domain.storage.deliveries(subscription=subscription, state=state, limit=limit)


def _chosen(
    domain: Domain,
    ids: Sequence[str] | None,
    *,
    every: bool,
    handler: str | None,
    subscription: str | None,
    lost: bool = False,
) -> list[Delivery]:
    """The dead letters that are meant: those of some messages, or all.

    Of messages that are named, also what waits in another state and is lost, if that is wanted.
    """
    if every == bool(ids):
        raise typer.BadParameter("name messages by their ids, or say --all; one of the two")
    if ids:
        handled = _handled(domain) if lost else None
        return [_only(domain.storage, id, handler, ("dead",), handled) for id in dict.fromkeys(ids)]
    found = _waiting(domain, subscription, "dead")
    return [each for each in found if handler in (None, each.handler)]


def _only(
    storage: Storage,
    id: str,
    handler: str | None,
    states: Sequence[DeliveryState],
    handled: Set[tuple[str, str]] | None = None,
) -> Delivery:
    """The one delivery of a message that is meant: in some state, or not among what is handled."""
    waiting = storage.deliveries(message_id=id, limit=MANY)
    found = [
        each
        for each in waiting
        if (each.state in states or (handled is not None and _key(each) not in handled))
        and handler in (None, each.handler)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(each.handler for each in found or waiting))
    if found:
        raise HappenedError(f"several handlers failed on {id}; name one with --handler: {names}")
    for_whom = "" if handler is None else f" for {handler}"
    others = "; ".join(sorted(f"for {each.handler} it is {each.state}" for each in waiting))
    raise HappenedError(
        f"the message {id} does not wait{for_whom}"
        if not others or states[1:]
        else f"the message {id} is no dead letter{for_whom}; {others}"
    )


def _handled(domain: Domain) -> set[tuple[str, str]]:
    """The subscriptions and handlers of a domain; what nobody could read waits for the first."""
    return {
        (each.name, name)
        for each in domain.subscriptions
        for name in (each.name, *(reaction.handler.name for reaction in each.reactions))
    }


def _key(delivery: Delivery) -> tuple[str, str]:
    return delivery.subscription, delivery.handler


def _refused(domain: Domain, subscription: str, handler: str, count: int) -> str:
    """Why messages are not retried, and what to do."""
    what, name = "the class or function", subscription
    if any(each.name == subscription for each in domain.subscriptions):
        what, name = "the method", handler.rpartition(".")[2]
    wait = "waits" if count == 1 else "wait"
    return (
        f"domain {domain.name!r} has no handler {handler}, for which {counted(count, 'message')} "
        f"{wait}; if {what} has another name now, give it name={name!r} and retry; else give up "
        "what waits with `happened dead-letters discard`"
    )


def _settled(storage: Storage, delivery: Delivery, again: Delivery | None) -> bool:
    """Take a delivery away, or put another in its place, unless somebody else was faster."""
    transaction = storage.begin()
    try:
        transaction.settle(delivery.handler, delivery.message_id)
        if again is not None:
            transaction.defer(again)
        transaction.commit()
    except ConcurrencyError:
        typer.echo(f"somebody else was faster: {_line(delivery)}", err=True)
        return False
    finally:
        transaction.rollback()
    return True


def _line(delivery: Delivery) -> str:
    return f"{delivery.message_id} {delivery.handler} {delivery.stream}"


def _due(delivery: Delivery) -> tuple[str, ...]:
    """What its moment means, and the moment: a dead letter is due no more since it failed."""
    meaning = {"dead": "failed", "retrying": "next try"}.get(delivery.state)
    return (meaning, moment(delivery.due)) if meaning else ()


def _data(delivery: Delivery) -> dict[str, Any]:
    return {
        "message_id": delivery.message_id,
        "handler": delivery.handler,
        "subscription": delivery.subscription,
        "stream": delivery.stream,
        "position": delivery.position,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "due": delivery.due,
        "error": delivery.error,
    }
