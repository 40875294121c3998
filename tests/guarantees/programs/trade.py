"""The domain of the fault tests: orders, and five handlers whose effects can be counted."""

import os
import sqlite3
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from happened import Aggregate, Command, Domain, Event, Projection, current_domain, handle
from happened.fields import List

STOCK = 100_000
ARTICLES = 3
ROWS = "INSERT INTO {table} (handler, stream, position, message_id, pid) VALUES ({values})"


def table_of(url: str) -> str:
    """The table in which two of the handlers write: in the schema of the storage, if it has one."""
    schema = parse_qs(urlsplit(url).query).get("schema")
    return f"{schema[0]}.handled" if schema else "handled"


class Trade:
    """Orders of items. Each reduces the stock, and goes into a bill, a projection and a table.

    The bill raises an event of its own, whose handler writes a row as well. So there are effects
    through repositories and through the connection, of events that commands and handlers raise.
    To add an item twice changes nothing, so whoever was killed begins again with the first one.

    What the environment says: ``TRADE_LOG`` names a file to which the handlers write when they
    begin and end, outside of all transactions; ``TRADE_SLOW`` is how long they take, in seconds.
    """

    def __init__(self, **settings: Any) -> None:
        self.domain = domain = Domain("trade", **settings)
        table = table_of(domain.storage.url)
        self.log = os.environ.get("TRADE_LOG")
        self.slow = float(os.environ.get("TRADE_SLOW", "0"))
        trade = self

        @domain.aggregate
        class Order(Aggregate):
            items: list[int] = List(default=list)

            def add_item(self, number: int) -> None:
                if number not in self.items:
                    self.items = [*self.items, number]
                    article = f"a{number % ARTICLES}"
                    self.raise_(ItemAdded(order_id=self.id, number=number, article=article))

        @domain.aggregate
        class Inventory(Aggregate):
            stock: int = STOCK

        @domain.aggregate
        class Bill(Aggregate):
            items: int = 0

            def add(self) -> None:
                self.items += 1
                self.raise_(Billed(order_id=self.id))

        @domain.projection
        class Sales(Projection):
            items: int = 0

        @domain.event(part_of=Order)
        class ItemAdded(Event):
            order_id: str
            number: int
            article: str

        @domain.event(part_of=Bill)
        class Billed(Event):
            order_id: str

        @domain.command(part_of=Order)
        class AddItem(Command):
            order_id: str
            number: int

        @domain.command_handler(part_of=Order, retries=50, backoff=0.01)
        class Orders:
            @handle(AddItem)
            def add_item(self, command: AddItem) -> None:
                orders = current_domain.repository_for(Order)
                known = command.order_id in orders
                order = orders.get(command.order_id) if known else Order(id=command.order_id)
                order.add_item(command.number)
                orders.add(order)

        @domain.event_handler(part_of=Inventory, stream_category="order", retries=50, backoff=0.01)
        class Stock:
            @handle(ItemAdded)
            def reduce(self, event: ItemAdded) -> None:
                inventories = current_domain.repository_for(Inventory)
                inventory = inventories.get(event.article)
                inventory.stock -= 1
                inventories.add(inventory)

        @domain.event_handler(part_of=Bill, stream_category="order", retries=50, backoff=0.01)
        class Bills:
            @handle(ItemAdded)
            def write(self, event: ItemAdded) -> None:
                bills = current_domain.repository_for(Bill)
                bill = bills.get(event.order_id) if event.order_id in bills else None
                bill = bill or Bill(id=event.order_id)
                bill.add()
                bills.add(bill)

        @domain.event_handler(part_of=Sales, stream_category="order", retries=50, backoff=0.01)
        class CountSales:
            @handle(ItemAdded)
            def count(self, event: ItemAdded) -> None:
                counted = current_domain.repository_for(Sales)
                sales = counted.get(event.article) if event.article in counted else None
                sales = sales or Sales(id=event.article)
                sales.items += 1
                counted.add(sales)

        @domain.on(ItemAdded, retries=50, backoff=0.01)
        def note(event: ItemAdded) -> None:
            trade.write_row("note", event)

        @domain.on(Billed, retries=50, backoff=0.01)
        def book(event: Billed) -> None:
            trade.write_row("book", event)

        self.Order: Any = Order
        self.Inventory: Any = Inventory
        self.Bill: Any = Bill
        self.Sales: Any = Sales
        self.AddItem: Any = AddItem
        self.table = table
        domain.init(traverse=False)

    def write_row(self, handler: str, event: Event) -> None:
        """Write a row in the handler's own transaction: what was handled, in which order."""
        metadata = event._metadata
        self.tell("begin", handler, event)
        with current_domain.unit_of_work() as unit:
            connection = unit.connection
            mark = "?" if isinstance(connection, sqlite3.Connection) else "%s"
            sql = ROWS.format(table=self.table, values=", ".join([mark] * 5))
            row = (handler, metadata.stream, metadata.position, metadata.id, os.getpid())
            connection.execute(sql, row)
        time.sleep(self.slow)
        self.tell("end", handler, event)

    def tell(self, moment: str, handler: str, event: Event) -> None:
        """Write a line outside of the transaction: it stays, whatever becomes of that."""
        if self.log is None:
            return
        metadata = event._metadata
        line = f"{moment} {handler} {metadata.stream} {metadata.position} {os.getpid()}\n"
        file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.close(file)
