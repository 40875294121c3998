"""What became of all events: the accounts of a trade, and what is wrong with them."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from happened.storage import StoredMessage
from tests.guarantees.programs.trade import ARTICLES, STOCK, Trade, table_of

TABLE = (
    "CREATE TABLE {table} (place {key}, handler text NOT NULL, stream text NOT NULL, "
    "position bigint NOT NULL, message_id text NOT NULL, pid bigint NOT NULL)"
)


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """A connection of our own to a storage's database; what it wrote is committed at the end."""
    if url.startswith("sqlite"):
        path = "/" + url.partition("?")[0].removeprefix("sqlite:///").removeprefix("/")
        with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
            yield connection
    else:
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(plain(url)) as other:
            yield other


def plain(url: str) -> str:
    """The URL of a database without what only a storage understands."""
    return urlsplit(url)._replace(query="").geturl()


def found_company(url: str, **settings: Any) -> Trade:
    """A trade on an empty storage, with a full stock."""
    trade = Trade(storage=url, **settings)
    trade.domain.storage.create()
    is_sqlite = url.startswith("sqlite")
    key = "integer PRIMARY KEY AUTOINCREMENT" if is_sqlite else "bigserial PRIMARY KEY"
    with connected(url) as connection:
        connection.execute(TABLE.format(table=table_of(url), key=key))
    for number in range(ARTICLES):
        trade.domain.repository_for(trade.Inventory).add(trade.Inventory(id=f"a{number}"))
    return trade


@dataclass
class Figures:
    """What a test has counted.

    Attributes:
        kills: processes that died by signal 9.
        starts: processes that were started.
        events: events that were committed.
        effects: what handlers did with them.
        lost: effects that are missing.
        doubled: effects that are there more than once.
        disordered: effects that stand before an earlier one of their stream.
    """

    kills: int = 0
    starts: int = 0
    events: int = 0
    effects: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0


class Tell(Protocol):
    """Shows figures at the end of the run, with a remark; see the fixture ``tell``."""

    def __call__(self, figures: Figures, remark: str = "") -> None: ...


def everything(trade: Trade, category: str) -> list[StoredMessage]:
    """All events of a category, from position to position."""
    found: list[StoredMessage] = []
    while True:
        start = (found[-1].metadata.global_position or 0) + 1 if found else 0
        batch = trade.domain.storage.read_category(category, start)
        if not batch:
            return found
        found += batch


def audit(trade: Trade) -> Figures:
    """Compare what is stored with what the handlers have done about it."""
    domain = trade.domain
    added = everything(trade, "order")
    orders = domain.repository_for(trade.Order).query.all().items
    assert sum(len(order.items) for order in orders) == len(added)  # G1
    figures = Figures(events=len(added))
    sold = Counter(domain.registry.restore(*each[:2]).article for each in added)  # type: ignore[attr-defined]
    for number in range(ARTICLES):
        stock = domain.repository_for(trade.Inventory).get(f"a{number}").stock
        count(figures, STOCK - stock, sold[f"a{number}"])
    counted = domain.repository_for(trade.Sales).query.all().items
    for sales in counted:
        count(figures, sales.items, sold.pop(sales.id))
    figures.lost += sum(sold.values())
    billed = everything(trade, "bill")
    bills = {bill.id: bill.items for bill in domain.repository_for(trade.Bill).query.all().items}
    for order in orders:
        count(figures, bills.get(order.id, 0), len(order.items))
    assert sum(bills.values()) == len(billed)  # G1
    with connected(domain.storage.url) as connection:
        rows = connection.execute(
            f"SELECT handler, stream, position, message_id FROM {trade.table} ORDER BY place"
        ).fetchall()
    for handler, events in (("note", added), ("book", billed)):
        handled = [row[1:] for row in rows if row[0] == handler]
        seen = Counter(id for *_, id in handled)
        for each in events:
            count(figures, seen.pop(each.metadata.id, 0), 1)
        figures.doubled += sum(seen.values())  # effects of what was never committed
        figures.disordered += disorder((stream, position) for stream, position, _ in handled)
    return figures


def count(figures: Figures, found: int, wanted: int) -> None:
    figures.effects += found
    figures.lost += max(0, wanted - found)
    figures.doubled += max(0, found - wanted)


def disorder(handled: Iterable[tuple[str, int]]) -> int:
    """How many messages come after a later one of their stream, or again."""
    last: defaultdict[str, int] = defaultdict(lambda: -1)
    wrong = 0
    for stream, position in handled:
        wrong += position <= last[stream]
        last[stream] = max(position, last[stream])
    return wrong


def is_settled(trade: Trade) -> bool:
    """Whether nothing is left for any handler to do, dead letters apart."""
    domain = trade.domain
    return (
        not domain.storage.unnumbered().messages
        and not any(each.state != "dead" for each in domain.storage.deliveries())
        and not any(
            domain.storage.backlog(each.name, each.categories).messages
            for each in domain.subscriptions
        )
    )
