"""Happened's handler that writes one row for each event.

Run by `happened server benchmarks.servers.happened:domain`; the variable HAPPENED_STORAGE says
where.
"""

import os
import time
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from happened import Aggregate, Domain, Event, current_domain, handle
from happened.hooks import Step


def slips(url: str | None = None) -> tuple[Domain, Any, Any]:
    """A domain, its aggregate that raises an event, and the one that the handler adds."""
    domain = Domain("slips", storage=url, event_processing="async")

    @domain.aggregate
    class Order(Aggregate):
        book_id: str
        quantity: int

        @classmethod
        def place(cls, book_id: str) -> Self:
            order = cls(id=str(uuid4()), book_id=book_id, quantity=1)
            order.raise_(OrderPlaced(order_id=order.id, book_id=book_id, quantity=1))
            return order

    @domain.event(part_of=Order)
    class OrderPlaced(Event):
        order_id: str
        book_id: str
        quantity: int

    @domain.aggregate
    class Slip(Aggregate):
        book_id: str
        quantity: int

    @domain.event_handler(part_of=Slip, stream_category="order")
    class Slips:
        @handle(OrderPlaced)
        def write(self, event: OrderPlaced) -> None:
            slip = Slip(id=event.order_id, book_id=event.book_id, quantity=event.quantity)
            current_domain.repository_for(Slip).add(slip)

    domain.init(traverse=False)
    return domain, Order, Slip


if "BENCH_HANDLED" in os.environ:
    handled = Path(os.environ["BENCH_HANDLED"]).open("a", buffering=1)  # noqa: SIM115
    domain, _, _ = slips()

    def note(step: Step) -> None:
        if step.kind == "handled" and step.message is not None:
            fields: Any = step.message
            handled.write(f"{fields.order_id} {time.perf_counter()}\n")

    domain.observers.append(note)
