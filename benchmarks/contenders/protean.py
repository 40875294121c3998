"""protean: a framework with the same building blocks, on its memory adapters or PostgreSQL.

Its log is off, and its domain context stays open over all commands: both make it faster.
On PostgreSQL its aggregates lie there; its messages stay in its event store in memory, which
slows down with each message stored. So it is measured with few, its engine notes its position as
seldom as in its fastest profile and reads all at once, and the clock starts only then. The only
durable event store that it has needs the functions of message_db in the database.
"""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import uuid4

from protean import Domain, current_domain, handle
from protean.fields import Identifier, Integer
from protean.server import Engine

from benchmarks.contenders import STOCK, Backlog, Shop
from benchmarks.places import SERVER, connect, options

os.environ["PROTEAN_NO_AUTO_LOGGING"] = "1"
logging.getLogger("protean").setLevel(logging.CRITICAL + 1)


def create_events(n: int) -> None:
    order_placed = _event()
    for _ in range(n):
        order_placed(order_id="order-1", book_id="book-1", quantity=2)


@cache
def _event() -> Any:
    domain = Domain(name="Events")

    @domain.aggregate
    class Order:
        book_id = Identifier()

    @domain.event(part_of=Order)
    class OrderPlaced:
        order_id = Identifier()
        book_id = Identifier()
        quantity = Integer()

    domain.init(traverse=False)
    domain.domain_context().push()
    return OrderPlaced


def open_domain(url: str, processing: str) -> Domain:
    domain = Domain(name="Shop")
    domain.config["command_processing"] = domain.config["event_processing"] = processing
    domain.config["server"]["health"]["enabled"] = False
    if "schema" in options(url):
        schema = options(url)["schema"]
        database = {"provider": "postgresql", "database_uri": SERVER, "schema": schema}
        domain.config["databases"]["default"] = database
    return domain


def enter(domain: Domain) -> Any:
    """Complete the domain, create its tables, and leave its context open."""
    domain.init(traverse=False)
    context = domain.domain_context()
    context.push()
    provider = domain.providers["default"]
    if domain.config["databases"]["default"]["provider"] != "memory":
        provider._create_database_artifacts()

    def close() -> None:
        provider.close()
        context.pop()

    return close


def open_shop(books: Sequence[str], url: str) -> Shop:
    domain = open_domain(url, "sync")

    @domain.aggregate
    class Order:
        book_id = Identifier()
        quantity = Integer()

    @domain.aggregate
    class Inventory:
        stock = Integer()

    @domain.command(part_of=Order)
    class PlaceOrder:
        order_id = Identifier()
        book_id = Identifier()
        quantity = Integer()

    @domain.event(part_of=Order)
    class OrderPlaced:
        order_id = Identifier()
        book_id = Identifier()
        quantity = Integer()

    @domain.command_handler(part_of=Order)
    class Orders:
        @handle(PlaceOrder)
        def place(self, command: Any) -> None:
            order = Order(id=command.order_id, book_id=command.book_id, quantity=command.quantity)
            order.raise_(
                OrderPlaced(order_id=order.id, book_id=order.book_id, quantity=order.quantity)
            )
            current_domain.repository_for(Order).add(order)

    @domain.event_handler(part_of=Inventory, stream_category="shop::order")
    class Stock:
        @handle(OrderPlaced)
        def reduce(self, event: Any) -> None:
            inventories = current_domain.repository_for(Inventory)
            inventory = inventories.get(event.book_id)
            inventory.stock -= event.quantity
            inventories.add(inventory)

    close = enter(domain)
    for book in books:
        domain.repository_for(Inventory).add(Inventory(id=book, stock=STOCK))

    def place_order(order_id: str, book_id: str) -> None:
        domain.process(PlaceOrder(order_id=order_id, book_id=book_id, quantity=1))

    def stock(book: str) -> int:
        return int(domain.repository_for(Inventory).get(book).stock)

    return Shop(place_order, stock, close)


def open_backlog(url: str, events: int) -> Backlog:
    domain = open_domain(url, "async")

    @domain.aggregate
    class Order:
        book_id = Identifier()
        quantity = Integer()

    @domain.aggregate
    class Slip:
        book_id = Identifier()
        quantity = Integer()

    @domain.event(part_of=Order)
    class OrderPlaced:
        order_id = Identifier()
        book_id = Identifier()
        quantity = Integer()

    @domain.event_handler(
        part_of=Slip,
        stream_category="shop::order",
        subscription_type="event_store",
        subscription_config={"messages_per_tick": 500, "position_update_interval": 50},
    )
    class Slips:
        @handle(OrderPlaced)
        def write(self, event: Any) -> None:
            slip = Slip(id=event.order_id, book_id=event.book_id, quantity=event.quantity)
            current_domain.repository_for(Slip).add(slip)

    close = enter(domain)
    orders = domain.repository_for(Order)
    for _ in range(events):
        order = Order(id=str(uuid4()), book_id="book-1", quantity=1)
        order.raise_(OrderPlaced(order_id=order.id, book_id="book-1", quantity=1))
        orders.add(order)

    def run() -> float:
        engine = Engine(domain)
        handled = engine.handle_message
        done = 0
        begun = ended = 0.0

        async def count(*message: Any, **options: Any) -> bool:
            nonlocal done, begun, ended
            begun = begun or time.perf_counter()
            succeeded = await handled(*message, **options)
            done += 1
            if done == events:
                ended = time.perf_counter()
                engine._shutdown_task = asyncio.create_task(engine.shutdown())
            return succeeded

        engine.handle_message = count
        engine.run()
        return ended - begun

    def rows() -> int:
        with connect(url) as connection:
            row = connection.execute("SELECT count(DISTINCT id) FROM slip").fetchone()
        assert row is not None
        return int(str(row[0]))

    return Backlog(run, rows, close)
