"""blinker: signals that call receivers, `def` or `async def`. It has no events of its own.

The event travels as the sender, so that it reaches each handler as its one argument.
"""

from dataclasses import dataclass

from blinker import Signal

from benchmarks.contenders import AsyncHandlers, AsyncRun, Handlers, Run


@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    book_id: str
    quantity: int


def dispatch(handlers: Handlers) -> Run:
    order_placed = Signal()
    for handler in handlers:
        order_placed.connect(handler, weak=False)
    event = OrderPlaced("order-1", "book-1", 2)

    def run(n: int) -> None:
        for _ in range(n):
            order_placed.send(event)

    return run


def dispatch_async(handlers: AsyncHandlers) -> AsyncRun:
    order_placed = Signal()
    for handler in handlers:
        order_placed.connect(handler, weak=False)
    event = OrderPlaced("order-1", "book-1", 2)

    async def run(n: int) -> None:
        for _ in range(n):
            await order_placed.send_async(event)

    return run
