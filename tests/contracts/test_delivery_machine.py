"""Events, failures of every kind, retries and discards at random: each effect once, in order."""

import random
from typing import Any

import pytest
from pydantic import Field

from happened import Aggregate, Domain, Event, current_domain, handle
from happened.fields import String
from happened.subscription import Deliverer
from happened.unit_of_work import current_unit_of_work


class Shop:
    """Orders whose events are noted, by handlers that get into trouble as a seed has it."""

    def __init__(self, url: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.trouble = True
        self.domain = domain = Domain("shop", storage=url, event_processing="async")
        shop = self

        @domain.aggregate
        class Order(Aggregate):
            def place(self, n: int) -> None:
                self.raise_(OrderPlaced(order_id=self.id, n=n))

        @domain.event(part_of=Order)
        class OrderPlaced(Event):
            order_id: str
            n: int

        @domain.aggregate
        class Note(Aggregate):
            seen: list[int] = Field(default_factory=list[int])

        @domain.aggregate
        class Code(Aggregate):
            code: str = String(unique=True)

        def note(handler: str, event: OrderPlaced) -> None:
            notes = current_domain.repository_for(Note)
            id = f"{handler} {event.order_id}"
            found = notes.get(id) if id in notes else Note(id=id)
            found.seen = [*found.seen, event.n]
            notes.add(found)
            shop.stumble(Code)

        @domain.event_handler(part_of=Order, backoff=0, retries=1)
        class Ledger:
            @handle(OrderPlaced)
            def first(self, event: OrderPlaced) -> None:
                note("Ledger.first", event)

            @handle(OrderPlaced)
            def second(self, event: OrderPlaced) -> None:
                note("Ledger.second", event)

        @domain.on(OrderPlaced, backoff=0, retries=1)
        async def copy(event: OrderPlaced) -> None:
            note("copy", event)

        domain.init(traverse=False)
        domain.storage.create()
        self.notes: Any = domain.repository_for(Note)
        self.orders: Any = domain.repository_for(Order)
        self.order: Any = Order
        domain.repository_for(Code).add(Code(id="taken", code="taken"))

    def stumble(self, code: Any) -> None:
        if not self.trouble or self.random.random() > 0.4:
            return
        unit = current_unit_of_work.get()
        assert unit is not None
        match self.random.randrange(6):
            case 0:
                raise KeyError("boom")
            case 1:
                raise SystemExit(3)
            case 2:
                unit.spoiled = True
            case 3:
                current_domain.repository_for(code).add(code(code="taken"))
            case 4 if self.domain.storage.durable:
                unit.connection.execute("SELECT 1")
                raise KeyError("after a statement")
            case _:
                raise RecursionError("deep")

    def place(self, id: str, n: int) -> None:
        order = self.orders.get(id) if id in self.orders else self.order(id=id)
        order.place(n)
        self.orders.add(order)

    def deliver(self) -> None:
        with self.domain.domain_context():
            batch = self.random.choice([1, 2, 100])
            Deliverer(self.domain.processor, batch=batch).deliver_all(self.domain.subscriptions)

    def settle(self, *, again: bool) -> tuple[str, str] | None:
        """Retry or discard a dead letter, if there is one."""
        dead = sorted(self.domain.storage.deliveries(state="dead"))
        if not dead:
            return None
        chosen = self.random.choice(dead)
        transaction = self.domain.storage.begin()
        transaction.settle(chosen.handler, chosen.message_id)
        if again:
            transaction.defer(chosen._replace(state="retrying", attempts=0))
        transaction.commit()
        return chosen.handler, chosen.message_id


@pytest.mark.parametrize("seed", range(4))
def test_whatever_fails_each_effect_is_there_once_and_in_order(storage_url: str, seed: int) -> None:
    shop = Shop(storage_url, seed)
    discarded: set[tuple[str, str] | None] = set()
    for n in range(25):
        shop.place(f"o{shop.random.randrange(3)}", n)
        match shop.random.randrange(4):
            case 0 | 1:
                shop.deliver()
            case 2:
                shop.settle(again=True)
            case _:
                discarded.add(shop.settle(again=False))
    shop.trouble = False
    shop.deliver()
    while shop.settle(again=True):
        shop.deliver()
    assert shop.domain.storage.deliveries() == []
    wanted: dict[str, list[int]] = {}
    for message in shop.domain.read_category("order"):
        event: Any = message
        for handler in ("Ledger.first", "Ledger.second", "copy"):
            if (handler, event._metadata.id) not in discarded:
                wanted.setdefault(f"{handler} {event.order_id}", []).append(event.n)
    assert {note.id: note.seen for note in shop.notes.query.all().items} == wanted
    shop.domain.close()
