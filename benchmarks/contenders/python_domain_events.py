"""python-domain-events: immutable Pydantic events and a dispatcher that awaits its handlers.

Its dispatcher logs each event; the log is disabled here, which is its fastest setting.
"""

import logging

from python_domain_events import BaseDomainEvent, IDomainEventHandler, InProcessEventDispatcher

from benchmarks.contenders import AsyncHandlers, AsyncRun

logging.getLogger("python_domain_events.dispatcher").disabled = True


class OrderPlaced(BaseDomainEvent):
    event_type: str = "order.placed"
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


def dispatch_async(handlers: AsyncHandlers) -> AsyncRun:
    dispatcher = InProcessEventDispatcher()
    for handler in handlers:
        # A handler is an object with a method `handle`: the nearest to the function itself.
        methods = {"handle": staticmethod(handler)}
        dispatcher.register(OrderPlaced, type("Handler", (IDomainEventHandler,), methods)())
    event = OrderPlaced(order_id="order-1", book_id="book-1", quantity=2)

    async def run(n: int) -> None:
        for _ in range(n):
            await dispatcher.dispatch(event)

    return run
