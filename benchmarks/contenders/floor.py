"""The floor: the same work by hand, with Pydantic models and dictionaries and no library.

Nobody would write an application like this: nothing is isolated, checked at start or reusable.
It is the nearest thing to a limit for a library that validates with Pydantic. It does what the
others do: messages get a random id, a time and a correlation id; an aggregate is stored as plain
data with a version, and read back as a new object; events are stored beside the aggregates.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.contenders import STOCK, AsyncHandlers, AsyncRun, Handlers, Run, Shop


def now() -> datetime:
    return datetime.now(UTC)


class Message(BaseModel):
    model_config = ConfigDict(frozen=True)

    message_id: UUID = Field(default_factory=uuid4)
    occurred_at: datetime = Field(default_factory=now)
    correlation_id: UUID | None = None
    causation_id: UUID | None = None


class PlaceOrder(Message):
    order_id: str
    book_id: str
    quantity: int


class OrderPlaced(Message):
    order_id: str
    book_id: str
    quantity: int


class Order(BaseModel):
    id: str
    book_id: str
    quantity: int


class Inventory(BaseModel):
    id: str
    stock: int


def create_events(n: int) -> None:
    for _ in range(n):
        OrderPlaced(order_id="order-1", book_id="book-1", quantity=2)


def create_and_read_events(n: int) -> None:
    for _ in range(n):
        event = OrderPlaced(order_id="order-1", book_id="book-1", quantity=2)
        _ = event.message_id, event.occurred_at, event.correlation_id


def dispatch(handlers: Handlers) -> Run:
    by_type: dict[type, Handlers] = {OrderPlaced: handlers}
    event = OrderPlaced(order_id="order-1", book_id="book-1", quantity=2)

    def run(n: int) -> None:
        for _ in range(n):
            for handler in by_type[type(event)]:
                handler(event)

    return run


def dispatch_async(handlers: AsyncHandlers) -> AsyncRun:
    by_type: dict[type, AsyncHandlers] = {OrderPlaced: handlers}
    event = OrderPlaced(order_id="order-1", book_id="book-1", quantity=2)

    async def run(n: int) -> None:
        for _ in range(n):
            for handler in by_type[type(event)]:
                await handler(event)

    return run


def open_shop(books: Sequence[str], url: str) -> Shop:
    orders: dict[str, tuple[int, dict[str, Any]]] = {}
    inventories = {book: (0, Inventory(id=book, stock=STOCK).model_dump()) for book in books}
    events: list[dict[str, Any]] = []

    def place(command: PlaceOrder) -> None:
        order = Order(id=command.order_id, book_id=command.book_id, quantity=command.quantity)
        event = OrderPlaced(
            order_id=order.id,
            book_id=order.book_id,
            quantity=order.quantity,
            correlation_id=command.correlation_id,
            causation_id=command.message_id,
        )
        orders[order.id] = (0, order.model_dump())
        events.append(event.model_dump())
        for handler in handlers[type(event)]:
            handler(event)

    def reduce(event: OrderPlaced) -> None:
        version, row = inventories[event.book_id]
        inventory = Inventory.model_validate(row)
        inventory.stock -= event.quantity
        if inventories[inventory.id][0] != version:
            raise RuntimeError(f"inventory {inventory.id} is no longer at version {version}")
        inventories[inventory.id] = (version + 1, inventory.model_dump())

    handlers = {OrderPlaced: [reduce]}

    def place_order(order_id: str, book_id: str) -> None:
        place(PlaceOrder(order_id=order_id, book_id=book_id, quantity=1, correlation_id=uuid4()))

    return Shop(place_order, lambda book: int(inventories[book][1]["stock"]))
