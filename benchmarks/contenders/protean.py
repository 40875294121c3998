"""protean: a framework with the same building blocks, on its memory adapters.

Its log is off, and its domain context stays open over all commands: both make it faster.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

from protean import Domain, current_domain, handle
from protean.fields import Identifier, Integer

from benchmarks.contenders import STOCK, Shop

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


def open_shop(books: Sequence[str]) -> Shop:
    domain = Domain(name="Shop")
    domain.config["command_processing"] = domain.config["event_processing"] = "sync"

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

    domain.init(traverse=False)
    domain.domain_context().push()
    for book in books:
        domain.repository_for(Inventory).add(Inventory(id=book, stock=STOCK))

    def place_order(order_id: str, book_id: str) -> None:
        domain.process(PlaceOrder(order_id=order_id, book_id=book_id, quantity=1))

    return Shop(place_order, lambda book: int(domain.repository_for(Inventory).get(book).stock))
