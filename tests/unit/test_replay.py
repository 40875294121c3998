"""Replay in memory: which messages it reads, which handlers it calls, and how far it came."""

from collections.abc import Iterator
from typing import Any

import pytest

from happened import (
    Aggregate,
    Domain,
    Event,
    HappenedError,
    Projection,
    current_domain,
    handle,
    replay,
)
from happened.replay import Replay
from happened.testing.storage_contract.actions import append, message


class Shelf:
    """Two aggregates, and handlers that note what they are called with."""

    def __init__(self) -> None:
        self.domain = domain = Domain("shelf")
        self.noted: list[str] = []
        noted = self.noted

        @domain.aggregate
        class Book(Aggregate): ...

        @domain.aggregate
        class Order(Aggregate): ...

        @domain.event(part_of=Book)
        class BookAdded(Event):
            n: int

        @domain.event(part_of=Order)
        class OrderPlaced(Event):
            n: int

        @domain.event(part_of=Order)
        class OrderShipped(Event):
            n: int

        @domain.projection
        class Sales(Projection):
            count: int = 0

        @domain.event_handler(part_of=Sales)
        class Counting:
            @handle(OrderPlaced)
            def count(self, event: OrderPlaced) -> None:
                noted.append(f"count {event.n}")
                all_sales = current_domain.repository_for(Sales)
                sales = all_sales["s"] if "s" in all_sales else Sales(id="s")
                sales.count += 1
                all_sales.add(sales)

        @domain.event_handler(part_of=Sales)
        class Marking:
            @handle(OrderPlaced)
            def mark(self, event: OrderPlaced) -> None:
                noted.append(f"mark {event.n}")

        @domain.on(BookAdded, OrderPlaced)
        def note(event: BookAdded | OrderPlaced) -> None:
            noted.append(f"note {event.n}")

        domain.init(traverse=False)
        self.kinds: Any = {
            "added": (Book, BookAdded),
            "placed": (Order, OrderPlaced),
            "shipped": (Order, OrderShipped),
        }
        self.Sales: Any = Sales

    def happen(self, *names: str) -> None:
        """Store an event of each of these kinds, and forget what was noted of it."""
        for n, name in enumerate(names):
            kind, event = self.kinds[name]
            aggregate = kind()
            aggregate.raise_(event(n=n))
            self.domain.repository_for(kind).add(aggregate)
        self.noted.clear()

    def replay(self, *names: str, **options: Any) -> Replay:
        subscriptions = [each for each in self.domain.subscriptions if each.name in names]
        assert len(subscriptions) == len(names)
        return Replay(self.domain.processor, "again", subscriptions, **options)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf()
    with made.domain.domain_context():
        yield made


def test_only_the_handlers_that_were_named_are_called(shelf: Shelf) -> None:
    shelf.happen("added", "placed", "shipped", "placed")
    assert shelf.replay("note").run() == 4
    assert shelf.noted == ["note 0", "note 1", "note 3"]


def test_a_replay_of_one_category_reads_no_other(shelf: Shelf) -> None:
    shelf.happen("added", "placed", "shipped", "placed")
    assert shelf.replay("Counting").run() == 3
    assert shelf.noted == ["count 1", "count 3"]


def test_several_handlers_take_turns_with_each_message(shelf: Shelf) -> None:
    shelf.happen("placed", "placed")
    shelf.replay("Counting", "Marking").run()
    assert shelf.noted == ["count 0", "mark 0", "count 1", "mark 1"]


def test_all_handlers_of_a_projection_rebuild_it_together(shelf: Shelf) -> None:
    shelf.happen("placed", "placed")
    shelf.domain.rebuild("Sales")
    assert shelf.noted == ["count 0", "mark 0", "count 1", "mark 1"]
    assert shelf.domain.repository_for(shelf.Sales)["s"].count == 2


def test_a_replay_can_begin_later(shelf: Shelf) -> None:
    shelf.happen("placed", "placed", "placed")
    assert shelf.replay("Marking").run(start=2) == 1
    assert shelf.noted == ["mark 2"]


def test_messages_of_unknown_types_are_passed_over(shelf: Shelf) -> None:
    shelf.happen("placed")
    append(shelf.domain.storage, message("order-x", 0))
    assert shelf.replay("Marking").run() == 2
    assert shelf.noted == ["mark 0"]


def test_a_message_that_cannot_be_read_stops_a_replay(shelf: Shelf) -> None:
    odd = message("order-x", 0, b'{"n": "many"}')
    odd = odd._replace(metadata=odd.metadata._replace(type="Shelf.OrderPlaced.v1"))
    append(shelf.domain.storage, odd)
    with pytest.raises(HappenedError, match="OrderPlaced"):
        shelf.replay("Marking").run()
    assert shelf.noted == []


def test_how_far_it_came_is_kept_until_the_end(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "BATCH", 2)
    shelf.happen("placed", "placed", "placed")
    kept: list[set[int]] = []

    def look(read: int, left: int) -> None:
        kept.append({each.position for each in shelf.domain.storage.checkpoints("again")})

    shelf.replay("Marking", progress=look).run()
    assert kept == [{2}, {3}]
    assert shelf.domain.storage.checkpoints("again") == []


def test_catching_up_keeps_how_far_it_came(shelf: Shelf) -> None:
    shelf.happen("placed", "placed")
    again = shelf.replay("Marking")
    assert again.catch_up() == 2
    shelf.happen("placed")
    assert again.catch_up() == 1
    assert shelf.noted == ["mark 0"]


def test_a_replay_of_nothing_tells_no_progress(shelf: Shelf) -> None:
    told: list[int] = []

    def tell(read: int, left: int) -> None:
        told.append(read)

    assert shelf.replay("Marking", progress=tell).run() == 0
    assert told == []
