"""The library itself, written as its guide writes programs."""

import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.contenders import (
    STOCK,
    Append,
    AsyncHandlers,
    AsyncRun,
    Backlog,
    Handlers,
    Publisher,
    Read,
    Run,
    Shop,
    Writers,
)
from benchmarks.servers.happened import slips
from happened import Aggregate, Command, Dispatcher, Domain, Event, current_domain, handle
from happened.storage import StoredMessage, open_storage


class OrderPlaced(Event):
    order_id: str
    book_id: str
    quantity: int


def create_events(n: int) -> None:
    for _ in range(n):
        OrderPlaced(order_id="order-1", book_id="book-1", quantity=2)


def create_and_read_events(n: int) -> None:
    for _ in range(n):
        event = OrderPlaced(order_id="order-1", book_id="book-1", quantity=2)
        _ = event.event_id, event.occurred_at, event.correlation_id


def dispatch(handlers: Handlers) -> Run:
    dispatcher = Dispatcher()
    for handler in handlers:
        dispatcher.on(OrderPlaced)(handler)
    event = OrderPlaced(order_id="order-1", book_id="book-1", quantity=2)

    def run(n: int) -> None:
        for _ in range(n):
            dispatcher.dispatch_sync(event)

    return run


def dispatch_async(handlers: AsyncHandlers) -> AsyncRun:
    dispatcher = Dispatcher()
    for handler in handlers:
        dispatcher.on(OrderPlaced)(handler)
    event = OrderPlaced(order_id="order-1", book_id="book-1", quantity=2)

    async def run(n: int) -> None:
        for _ in range(n):
            await dispatcher.dispatch(event)

    return run


def open_shop(books: Sequence[str], url: str) -> Shop:
    domain = Domain("shop", storage=url)

    @domain.aggregate
    class Order(Aggregate):
        book_id: str
        quantity: int

    @domain.aggregate
    class Inventory(Aggregate):
        stock: int

    @domain.command(part_of=Order)
    class PlaceOrder(Command):
        order_id: str
        book_id: str
        quantity: int

    @domain.event(part_of=Order)
    class OrderPlaced(Event):
        order_id: str
        book_id: str
        quantity: int

    @domain.command_handler(part_of=Order)
    class Orders:
        @handle(PlaceOrder)
        def place(self, command: PlaceOrder) -> None:
            order = Order(id=command.order_id, book_id=command.book_id, quantity=command.quantity)
            order.raise_(
                OrderPlaced(order_id=order.id, book_id=order.book_id, quantity=order.quantity)
            )
            current_domain.repository_for(Order).add(order)

    @domain.event_handler(part_of=Inventory, stream_category="order")
    class Stock:
        @handle(OrderPlaced)
        def reduce(self, event: OrderPlaced) -> None:
            inventories = current_domain.repository_for(Inventory)
            inventory = inventories.get(event.book_id)
            inventory.stock -= event.quantity
            inventories.add(inventory)

    domain.init(traverse=False)
    domain.storage.create()
    for book in books:
        domain.repository_for(Inventory).add(Inventory(id=book, stock=STOCK))

    def place_order(order_id: str, book_id: str) -> None:
        domain.process(PlaceOrder(order_id=order_id, book_id=book_id, quantity=1))

    def stock(book: str) -> int:
        return domain.repository_for(Inventory).get(book).stock

    return Shop(place_order, stock, domain.storage.close)


def open_backlog(url: str, events: int) -> Backlog:
    domain, rows = fill(url, events)

    def handle() -> float:
        begun = time.perf_counter()
        domain.catch_up()
        return time.perf_counter() - begun

    return Backlog(handle, rows, domain.storage.close)


def fill(url: str, events: int) -> tuple[Domain, Callable[[], int]]:
    """A storage in which each of so many orders has raised an event; and how many slips it has."""
    domain, Order, Slip = slips(url)  # noqa: N806
    domain.storage.create()
    orders = domain.repository_for(Order)
    for first in range(0, events, 500):
        with domain.unit_of_work():
            for _ in range(min(500, events - first)):
                orders.add(Order.place("book-1"))
    return domain, domain.repository_for(Slip).query.count


def open_publisher(url: str) -> Publisher:
    domain, Order, _ = slips(url)  # noqa: N806
    domain.storage.create()
    orders = domain.repository_for(Order)

    def publish() -> str:
        order = Order.place("book-1")
        orders.add(order)
        return str(order.id)

    program = "benchmarks.servers.happened:domain"
    server = [sys.executable, "-m", "happened", "server", program]
    return Publisher(publish, server, {"HAPPENED_STORAGE": url}, domain.storage.close)


def open_writers(url: str) -> Writers:
    storage = open_storage(url)
    storage.create()

    def open_writer(writer: int) -> Append:
        def append(position: int, delay: float) -> None:
            event = OrderPlaced(order_id=f"{writer}", book_id="book-1", quantity=1)
            event._place(f"order-{writer}", position)
            transaction = storage.begin()
            transaction.append([StoredMessage(event._metadata, event.to_json())])
            _ = transaction.connection  # what was appended is inserted now, not at the commit
            time.sleep(delay)
            transaction.commit()

        return Append(append)

    def open_reader() -> Read:
        checkpoint = 0

        def read() -> list[str]:
            nonlocal checkpoint
            page = storage.read_category("order", checkpoint, 1000)
            if page:
                checkpoint = (page[-1].metadata.global_position or 0) + 1
            return [message.metadata.id for message in page]

        return Read(read, storage.close)

    return Writers(open_writer, open_reader)
