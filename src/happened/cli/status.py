"""Layer 7. ``happened status``: how far each subscription has come, and what waits."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from happened.cli.arguments import DomainArgument, JsonOption, example
from happened.cli.display import as_json, console, counted, seconds_since, table
from happened.cli.domains import find_stored_domain
from happened.domain import Domain
from happened.errors import HappenedError
from happened.registry import Registry
from happened.storage import Backlog, DeliveryState, Storage
from happened.subscription import Subscription, subscriptions_of

__all__ = ["Standing", "commands", "names_in", "standing", "without_handler"]

STATES: Final[tuple[DeliveryState, ...]] = ("retrying", "held", "dead", "pending")
PAUSE = 2.0
MANY = 100_000

commands = typer.Typer()


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one subscription has come.

    Attributes:
        subscription: the subscription.
        begun: whether it has any checkpoints yet.
        backlog: what it has not read.
        waiting: how many messages wait for its handlers, by state.

    Example:
        >>> from collections import Counter
        >>> from happened.cli.status import Standing
        >>> from happened.storage import Backlog
        >>> from happened.subscription import Subscription
        >>> Standing(Subscription("Stock", (), ()), True, Backlog(0, None), Counter()).begun
        True
    """

    subscription: Subscription
    begun: bool
    backlog: Backlog
    waiting: Counter[DeliveryState]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        categories = self.subscription.categories
        return {
            "subscription": self.subscription.name,
            "handlers": [each.handler.name for each in self.subscription.reactions],
            "categories": None if categories is None else list(categories),
            "begun": self.begun,
            "behind_messages": self.backlog.messages,
            "behind_seconds": round(seconds_since(self.backlog.since), 3),
            **{state: self.waiting[state] for state in STATES},
        }


def standing(storage: Storage, subscription: Subscription) -> Standing:
    """Return how far a subscription has come.

    Args:
        storage: the storage of its domain.
        subscription: the subscription.

    Raises:
        StorageError: the storage cannot be reached.
    """
    return Standing(
        subscription,
        begun=bool(storage.checkpoints(subscription.name)),
        backlog=storage.backlog(subscription.name, subscription.categories),
        waiting=storage.waiting(subscription.name),
    )


def names_in(registry: Registry) -> set[str]:
    """Return the names of all subscriptions that a domain has, its replays and rebuilds among them.

    Args:
        registry: what the domain has.

    Example:
        >>> from happened.cli.status import names_in
        >>> from happened.registry import Registry
        >>> names_in(Registry("shelf"))
        set()
    """
    names = {each.name for each in subscriptions_of(registry)}
    rebuilds = {f"{each._category}~rebuild" for each in registry.of_kind("projection")}
    return names | {f"{each}~replay" for each in names} | rebuilds


def without_handler(storage: Storage, registry: Registry) -> list[Standing]:
    """Return the subscriptions that a storage has, and a domain has not.

    Their handlers were removed, or got another name; or a newer release has them. Nobody knows
    what they read, so they are not behind.

    Args:
        storage: the storage of the domain.
        registry: what the domain has.

    Raises:
        StorageError: the storage cannot be reached.
    """
    known = names_in(registry)
    begun = {each.subscription for each in storage.checkpoints()}
    names = begun - known
    waiting = storage.waiting()
    if waiting.total():
        for name in begun | {each.name for each in subscriptions_of(registry)}:
            waiting -= storage.waiting(name)
        for state in waiting:  # of those that have no checkpoints
            found = storage.deliveries(state=state, limit=MANY)
            names |= {each.subscription for each in found} - known
    return [
        Standing(
            Subscription(name, (), ()),
            begun=name in begun,
            backlog=Backlog(0, None),
            waiting=storage.waiting(name),
        )
        for name in sorted(names)
    ]


@commands.command(
    epilog=example("happened status shop:domain --watch"),
    short_help="Show how far each subscription has come.",
)
def status(
    domain: DomainArgument,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew every 2 seconds, until Ctrl-C.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show how far each subscription has come, and what waits for its handlers.

    Behind are the messages that it has not read yet, and how long ago the oldest was made;
    "new" is one that nobody has delivered to yet. Retrying: a handler failed and is called again.
    Held: an earlier message of the stream failed. Dead: a handler failed too often. Pending:
    whoever stored the message is about to call the handler. "No handler" is a subscription in the
    storage whose handler the domain has no longer; see `happened subscriptions remove --help`.
    """
    found = find_stored_domain(domain)
    if watch:
        _watch(found, json=json)
    elif json:
        as_json(_data(found))
    else:
        console().print(_shown(found))


def _watch(domain: Domain, *, json: bool) -> None:
    out = console()
    if json or not out.is_terminal:
        raise HappenedError("--watch shows a table on a terminal; leave it out for anything else")
    try:
        with Live(_shown(domain), console=out, auto_refresh=False) as live:
            while True:
                time.sleep(PAUSE)
                live.update(_shown(domain), refresh=True)
    except KeyboardInterrupt:
        return


def _data(domain: Domain) -> dict[str, Any]:
    storage = domain.storage
    left = storage.unnumbered()
    return {
        "domain": domain.name,
        "storage": storage.url,
        "unnumbered_messages": left.messages,
        "unnumbered_seconds": round(seconds_since(left.since), 3),
        "subscriptions": [standing(storage, each).to_dict() for each in domain.subscriptions],
        "without_handler": [
            {
                "subscription": each.subscription.name,
                "begun": each.begun,
                **{state: each.waiting[state] for state in STATES},
            }
            for each in without_handler(storage, domain.registry)
        ],
    }


def _shown(domain: Domain) -> RenderableType:
    storage = domain.storage
    numbers = ("behind", "since", *STATES)
    rows = table("subscription", "reads", *numbers, numbers=numbers)
    for subscription in domain.subscriptions:
        found = standing(storage, subscription)
        categories = subscription.categories
        rows.add_row(
            "\n".join(_names(subscription)),
            "all" if categories is None else "\n".join(categories),
            str(found.backlog.messages) if found.begun else "new",
            f"{seconds_since(found.backlog.since):.1f} s" if found.backlog.messages else "",
            *_counts(found),
        )
    for found in without_handler(storage, domain.registry):
        rows.add_row(found.subscription.name, "no handler", "", "", *_counts(found))
    left = storage.unnumbered()
    if not left.messages:
        return rows
    has = "has" if left.messages == 1 else "have"
    age = f"{seconds_since(left.since):.1f} s"
    told = f"{counted(left.messages, 'message')} {has} no position yet, since {age}"
    return Group(rows, Text(told))


def _counts(found: Standing) -> list[str]:
    return [str(found.waiting[state] or "") for state in STATES]


def _names(subscription: Subscription) -> list[str]:
    """A class and its methods; or a function."""
    names = [each.handler.name for each in subscription.reactions]
    methods = [f"  {name.partition('.')[2]}" for name in names if "." in name]
    return [subscription.name, *methods]
