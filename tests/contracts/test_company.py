"""What one handler does is never held against another one of the same transaction."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from happened import (
    Aggregate,
    Command,
    Domain,
    Event,
    HappenedError,
    StorageError,
    current_domain,
    handle,
)
from happened.faults import arm
from happened.streams import partition
from happened.subscription import Deliverer
from happened.unit_of_work import UnitOfWork, current_unit_of_work


def make(url: str, during: Callable[[str, int], None], **options: Any) -> Any:
    """Orders, and a class with two handlers: each makes a slip and calls a function of the test."""
    domain = Domain("shop", storage=url, event_processing="async")
    options = {"backoff": 0, "retries": 0} | options

    @domain.aggregate
    class Order(Aggregate):
        def place(self, n: int) -> None:
            self.raise_(OrderPlaced(n=n))

    @domain.event(part_of=Order)
    class OrderPlaced(Event):
        n: int

    @domain.aggregate
    class Slip(Aggregate):
        changes: int = 0

    @domain.aggregate
    class Bill(Aggregate): ...

    @domain.command(part_of=Bill)
    class SendBill(Command):
        n: int

    @domain.command_handler(part_of=Bill)
    class Bills:
        @handle(SendBill)
        def send(self, command: SendBill) -> None:
            domain.repository_for(Bill).add(Bill(id=f"b{command.n}"))

    @domain.event_handler(part_of=Order, **options)
    class Printing:
        @handle(OrderPlaced)
        def first(self, event: OrderPlaced) -> None:
            during("first", event.n)
            current_domain.repository_for(Slip).add(Slip(id=f"first{event.n}"))

        @handle(OrderPlaced)
        def second(self, event: OrderPlaced) -> None:
            during("second", event.n)
            current_domain.repository_for(Slip).add(Slip(id=f"second{event.n}"))

    domain.init(traverse=False)
    domain.storage.create()
    wanted = partition("order-o0")  # all in one partition, and so in one batch
    ids = [f"o{n}" for n in range(1000) if partition(f"order-o{n}") == wanted]

    def place(count: int) -> None:
        for n in range(count):
            order = Order(id=ids[n])
            order.place(n)
            domain.repository_for(Order).add(order)

    def ids_of(kind: type[Aggregate]) -> list[str]:
        return sorted(each.id for each in domain.repository_for(kind).query.all())

    return SimpleNamespace(
        domain=domain,
        place=place,
        process=lambda n: domain.process(SendBill(n=n)),
        slip=lambda id: domain.repository_for(Slip).get(id),
        change=lambda slip: domain.repository_for(Slip).add(slip),
        add=lambda id: domain.repository_for(Slip).add(Slip(id=id)),
        slips=lambda: ids_of(Slip),
        bills=lambda: ids_of(Bill),
        states=lambda: sorted((each.handler, each.state) for each in domain.storage.deliveries()),
    )


def open_unit() -> UnitOfWork:
    unit = current_unit_of_work.get()
    assert unit is not None
    return unit


def both(count: int) -> list[str]:
    return [f"{handler}{n}" for handler in ("first", "second") for n in range(count)]


@pytest.fixture(autouse=True)
def nothing_is_armed() -> Iterator[None]:
    yield
    arm(None)


@pytest.mark.parametrize("culprit", ["first", "second"])
@pytest.mark.parametrize("waits", [False, True], ids=["new", "due"])
@pytest.mark.parametrize("kind", [StorageError, UnicodeError])
def test_a_refusal_at_the_commit_is_held_against_the_handler_that_causes_it_and_no_other(
    durable_url: str, kind: type[Exception], waits: bool, culprit: str
) -> None:
    """As a deferred constraint of the user's own does, or a text that nobody can encode."""
    called: list[tuple[str, int]] = []
    is_down = waits

    def during(handler: str, n: int) -> None:
        if is_down:
            raise OSError("down")
        called.append((handler, n))

    def reached(point: str) -> None:
        if point == "delivery: claimed":
            del called[:]
        elif point == "commit: before the writes" and (culprit, 0) in called:
            text = "there is no such parent"
            raise StorageError(durable_url, text) if kind is StorageError else UnicodeError(text)

    shop = make(durable_url, during, retries=1)
    shop.place(3)
    rounds = iter(range(60))
    with shop.domain.domain_context():
        deliverer = Deliverer(shop.domain.processor, stopping=lambda: next(rounds, None) is None)
        if waits:
            shop.domain.storage.number()
            for each in shop.domain.subscriptions:
                each.subscribe(shop.domain.storage)
                deliverer.deliver(each)
        is_down = False
        arm(reached)
        for _ in range(12):
            with suppress(StorageError):
                deliverer.deliver_all(shop.domain.subscriptions)
    arm(None)
    assert next(rounds, None) is not None, "it never ends"
    assert shop.slips() == [each for each in both(3) if each != f"{culprit}0"]
    assert shop.states() == [(f"Printing.{culprit}", "dead")]
    (letter,) = shop.domain.storage.deliveries()
    assert "there is no such parent" in letter.error
    shop.domain.close()


@pytest.mark.parametrize("waits", [False, True], ids=["new", "due"])
@pytest.mark.parametrize("swallows", [False, True])
def test_a_handler_that_processes_a_command_is_not_refused_for_what_others_lock(
    durable_url: str, waits: bool, swallows: bool
) -> None:
    is_down = waits

    def during(handler: str, n: int) -> None:
        if is_down:
            raise OSError("down")
        if handler == "first":
            open_unit().connection.execute("SELECT 1")
        else:
            with suppress(HappenedError) if swallows else nullcontext():
                shop.process(n)

    shop = make(durable_url, during, retries=int(waits))
    shop.place(4)
    with shop.domain.domain_context():
        deliverer = Deliverer(shop.domain.processor)
        if waits:
            shop.domain.storage.number()
            for each in shop.domain.subscriptions:
                each.subscribe(shop.domain.storage)
                deliverer.deliver(each)
            is_down = False
        deliverer.deliver_all(shop.domain.subscriptions)
    assert shop.states() == []
    assert shop.bills() == ["b0", "b1", "b2", "b3"]
    assert shop.slips() == both(4)
    shop.domain.close()


def test_a_handler_that_locks_and_then_processes_a_command_fails_by_itself(
    durable_url: str,
) -> None:
    calls: list[int] = []

    def during(handler: str, n: int) -> None:
        if handler == "second":
            calls.append(n)
            open_unit().connection.execute("SELECT 1")
            shop.process(n)

    shop = make(durable_url, during)
    shop.place(2)
    shop.domain.catch_up()
    assert shop.states() == [("Printing.second", "dead")] * 2
    assert shop.slips() == ["first0", "first1"]
    assert shop.bills() == []
    assert len(calls) <= 8
    shop.domain.close()


def test_what_waits_is_handled_without_locks_that_others_would_wait_for(durable_url: str) -> None:
    locks: list[bool] = []
    is_down = True

    def during(handler: str, n: int) -> None:
        if is_down:
            raise OSError("down")
        locks.append(open_unit().transaction.locking)

    shop = make(durable_url, during, retries=1)
    shop.place(3)
    with shop.domain.domain_context():
        deliverer = Deliverer(shop.domain.processor)
        shop.domain.storage.number()
        for each in shop.domain.subscriptions:
            each.subscribe(shop.domain.storage)
            deliverer.deliver(each)
        is_down = False
        deliverer.deliver_all(shop.domain.subscriptions)
    assert shop.slips() == both(3)
    assert locks == [False] * 6
    shop.domain.close()


def test_after_a_conflict_a_handler_does_not_keep_what_others_have_locked(
    durable_url: str,
) -> None:
    locks: list[bool] = []
    conflicts = 2  # at the commit, and then when handlers are called one by one

    def during(handler: str, n: int) -> None:
        nonlocal conflicts
        if handler == "second" and n == 0:
            locks.append(open_unit().transaction.locking)
            slip = shop.slip("shared")
            if conflicts:
                conflicts -= 1
                transaction = shop.domain.storage.begin()
                document = transaction.load("slip", "shared")
                newer = document._replace(version=document.version + 1)
                transaction.save("slip", newer, expected=document.version)
                transaction.commit()
            slip.changes += 1
            shop.change(slip)

    shop = make(durable_url, during)
    shop.add("shared")
    shop.place(2)
    shop.domain.catch_up()
    assert shop.states() == []
    assert shop.slips() == [*both(2), "shared"]
    assert shop.slip("shared").changes == 1
    assert locks == [False] * 3
    shop.domain.close()
