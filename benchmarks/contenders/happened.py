"""The library itself, written as its guide writes programs."""

from collections.abc import Sequence

from benchmarks.contenders import STOCK, AsyncHandlers, AsyncRun, Handlers, Run, Shop
from happened import Aggregate, Command, Dispatcher, Domain, Event, current_domain, handle


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


def open_shop(books: Sequence[str]) -> Shop:
    domain = Domain("shop")

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
    for book in books:
        domain.repository_for(Inventory).add(Inventory(id=book, stock=STOCK))

    def place_order(order_id: str, book_id: str) -> None:
        domain.process(PlaceOrder(order_id=order_id, book_id=book_id, quantity=1))

    return Shop(place_order, lambda book: domain.repository_for(Inventory).get(book).stock)
