"""What becomes of deliveries, whatever handlers do, on every storage that is durable."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
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
from happened.metadata import Metadata
from happened.server import Server
from happened.storage import Delivery, StoredMessage
from happened.streams import partition
from happened.subscription import Deliverer
from happened.tracing import current_trace
from happened.unit_of_work import current_unit_of_work
from happened.writes import delivery_of
from tests.storages import discard, postgres


def make(url: str, handler: Callable[[int], None], **options: Any) -> Any:
    """Orders, and slips that a handler makes of them after a function of the test was called."""
    mode = options.pop("event_processing", "async")
    domain = Domain("shop", storage=url, event_processing=mode)
    options = {"backoff": 0, "retries": 1} | options

    @domain.aggregate
    class Order(Aggregate):
        def place(self, n: int) -> None:
            self.raise_(OrderPlaced(n=n))

    @domain.event(part_of=Order)
    class OrderPlaced(Event):
        n: int

    @domain.aggregate
    class Slip(Aggregate):
        def print(self, n: int) -> None:
            self.raise_(SlipPrinted(n=n))

    @domain.event(part_of=Slip)
    class SlipPrinted(Event):
        n: int

    @domain.on(OrderPlaced, **options)
    def print_slip(event: OrderPlaced) -> None:
        slip = Slip(id=f"s{event.n}")
        slip.print(event.n)
        current_domain.repository_for(Slip).add(slip)
        handler(event.n)

    domain.init(traverse=False)
    domain.storage.create()

    def place(n: int, id: str) -> str:
        orders = domain.repository_for(Order)
        order = orders.get(id) if id in orders else Order(id=id)
        order.place(n)
        orders.add(order)
        return domain.storage.read(f"order-{id}")[-1].metadata.id

    slips = domain.repository_for(Slip)
    return SimpleNamespace(domain=domain, place=place, slips=slips)


def states(domain: Domain) -> list[tuple[str, str]]:
    return sorted((each.handler, each.state) for each in domain.storage.deliveries())


def neighbours(count: int) -> list[str]:
    """Identities whose streams lie in one partition, and so in one batch."""
    wanted = partition("order-o0")
    found = (f"o{n}" for n in range(10_000))
    return [id for id in found if partition(f"order-{id}") == wanted][:count]


@pytest.mark.parametrize("earlier_fails", [False, True])
def test_what_handlers_before_it_did_outlives_one_that_uses_the_connection_and_fails(
    durable_url: str, earlier_fails: bool
) -> None:
    def handler(n: int) -> None:
        if n == 0 and earlier_fails:
            raise KeyError("boom")
        if n == 1:
            unit = current_unit_of_work.get()
            assert unit is not None
            unit.connection.execute("SELECT 1")
            raise KeyError("bang")

    shop = make(durable_url, handler, retries=0)
    for n, id in enumerate(neighbours(3)):
        shop.place(n, id)
    shop.domain.catch_up()
    made = [0, 2][earlier_fails:]
    assert [each.n for each in shop.domain.read_category("slip")] == made
    assert [each.id for each in shop.slips.query.all().items] == [f"s{n}" for n in made]
    assert len(states(shop.domain)) == 1 + earlier_fails
    shop.domain.close()


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "error",
    [ValueError("a\0b"), ValueError("a\ud800b"), UnspeakableError()],
    ids=["nul", "half", "str"],
)
def test_an_error_that_cannot_be_written_as_it_is_leaves_a_dead_letter(
    storage_url: str, error: Exception
) -> None:
    calls: list[int] = []

    def handler(n: int) -> None:
        calls.append(n)
        if len(calls) > 50:
            raise KeyboardInterrupt
        raise error

    shop = make(storage_url, handler)
    shop.place(1, "o1")
    shop.domain.catch_up()
    assert states(shop.domain) == [("print_slip", "dead")]
    assert len(calls) <= 4
    shop.domain.close()


def test_an_error_that_cannot_be_written_is_a_dead_letter_at_once_where_processing_is_synchronous(
    durable_url: str,
) -> None:
    def handler(n: int) -> None:
        raise ValueError("a\0b\ud800")

    shop = make(durable_url, handler, event_processing="sync")
    with pytest.raises(ValueError, match="a"):
        shop.place(1, "o1")
    assert states(shop.domain) == [("print_slip", "dead")]
    shop.domain.close()


def test_a_transaction_that_a_handler_has_spoiled_is_its_failure(durable_url: str) -> None:
    calls: list[int] = []

    def handler(n: int) -> None:
        calls.append(n)
        if len(calls) > 50:
            raise KeyboardInterrupt
        if n == 1:
            unit = current_unit_of_work.get()
            assert unit is not None
            with suppress(Exception):  # what a user may write
                unit.connection.execute("SELECT nothing FROM nowhere")
            if refuses:
                raise StorageError(shop.domain.storage.url, "refused")

    refuses = durable_url.startswith("sqlite")  # there, a failed statement spoils nothing

    shop = make(durable_url, handler)
    for n, id in enumerate(neighbours(3)):
        shop.place(n, id)
    shop.domain.catch_up()
    assert states(shop.domain) == [("print_slip", "dead")]
    assert [each.n for each in shop.domain.read_category("slip")] == [0, 2]
    shop.domain.close()


def test_a_message_that_becomes_readable_but_is_nothing_for_its_subscription_is_done(
    storage_url: str,
) -> None:
    shop = make(storage_url, lambda n: None, retries=0)
    shop.place(1, "o1")
    (placed,) = shop.domain.storage.read("order-o1")
    transaction = shop.domain.storage.begin()
    strange = placed.metadata._replace(id="m1", position=1, type="Shop.Unknown.v1")
    transaction.append([StoredMessage(strange, b'{"n":1}')])
    transaction.commit()
    shop.domain.catch_up()
    assert states(shop.domain) == [("print_slip", "dead")]

    known = shop.domain.registry.messages
    known["Shop.Unknown.v1"] = known["Shop.SlipPrinted.v1"]
    (letter,) = shop.domain.storage.deliveries()
    transaction = shop.domain.storage.begin()
    transaction.settle(letter.handler, letter.message_id)
    transaction.defer(letter._replace(state="retrying", attempts=0))
    transaction.commit()
    rounds = iter(range(20))
    with shop.domain.domain_context():
        deliverer = Deliverer(shop.domain.processor, stopping=lambda: next(rounds, None) is None)
        deliverer.deliver_all(shop.domain.subscriptions)
    assert next(rounds, None) is not None, "it never ends"
    assert states(shop.domain) == []
    shop.domain.close()


def test_a_delivery_for_a_handler_that_is_not_here_is_kept(storage_url: str) -> None:
    shop = make(storage_url, lambda n: None)
    id = shop.place(1, "o1")
    shop.domain.catch_up()
    transaction = shop.domain.storage.begin()
    transaction.defer(
        Delivery(
            "print_slip.new", "print_slip", id, "order-o1", 0, "retrying", 0, datetime.now(UTC)
        )
    )
    transaction.commit()
    shop.domain.catch_up()
    (letter,) = shop.domain.storage.deliveries()
    assert (letter.handler, letter.state) == ("print_slip.new", "dead")
    assert "print_slip.new" in letter.error
    shop.domain.close()


def test_a_failure_does_not_bring_back_what_somebody_else_has_delivered(durable_url: str) -> None:
    """The process that committed the message is slow, and a server takes the message over."""
    other: list[Any] = []

    def handler(n: int) -> None:
        if other:
            other.pop().catch_up()
            raise KeyError("boom")

    shop = make(durable_url, handler, event_processing="sync")
    other.append(make(durable_url, lambda n: None, event_processing="sync").domain)
    with pytest.raises(KeyError):
        shop.place(1, "o1")
    assert [each.n for each in shop.domain.read_category("slip")] == [1]
    assert states(shop.domain) == []
    shop.domain.close()


def test_a_failed_retry_does_not_bring_back_what_was_settled_meanwhile(durable_url: str) -> None:
    """A server takes a message over, and the process that committed it ends its work after all."""

    def handler(n: int) -> None:
        (pending,) = shop.domain.storage.deliveries()
        transaction = shop.domain.storage.begin()
        transaction.settle(pending.handler, pending.message_id)
        transaction.commit()
        raise KeyError("boom")

    shop = make(durable_url, handler)
    id = shop.place(1, "o1")
    transaction = shop.domain.storage.begin()
    pending = Delivery(
        "print_slip", "print_slip", id, "order-o1", 0, "pending", 0, datetime.now(UTC)
    )
    for each in shop.domain.subscriptions:
        shop.domain.storage.subscribe(each.name, from_now=True)
    transaction.defer(pending)
    transaction.commit()
    shop.domain.catch_up()
    assert states(shop.domain) == []
    shop.domain.close()


def test_waiting_looks_at_what_waits_after_it_looked_how_far_was_read(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = [True]

    def handler(n: int) -> None:
        if fails:
            raise KeyError("boom")

    shop = make(storage_url, handler, backoff=300)
    id = shop.place(1, "o1")
    storage, original = shop.domain.storage, shop.domain.storage.deliveries

    def deliveries(**given: Any) -> Any:
        found = original(**given)
        if fails:
            shop.domain.catch_up()  # somebody fails just now
            fails.clear()
        return found

    monkeypatch.setattr(storage, "deliveries", deliveries)
    with pytest.raises(TimeoutError):
        shop.domain.wait_for(id, timeout=0)
    shop.domain.close()


def test_waiting_for_one_of_several_handlers_where_processing_is_synchronous(
    storage_url: str,
) -> None:
    domain = Domain("shop", storage=storage_url)

    @domain.aggregate
    class Order(Aggregate):
        def place(self) -> None:
            self.raise_(OrderPlaced())

    @domain.event(part_of=Order)
    class OrderPlaced(Event): ...

    @domain.event(part_of=Order)
    class OrderShipped(Event): ...

    @domain.event_handler(part_of=Order)
    class Log:
        @handle(OrderPlaced)
        def placed(self, event: OrderPlaced) -> None: ...

        @handle(OrderShipped)
        def shipped(self, event: OrderShipped) -> None: ...

    domain.init(traverse=False)
    domain.storage.create()
    order = Order(id="o1")
    order.place()
    domain.repository_for(Order).add(order)
    (stored,) = domain.storage.read("order-o1")
    domain.wait_for(stored.metadata.id, timeout=0)
    domain.close()


def test_a_server_outlives_whatever_a_handler_raises(storage_url: str) -> None:
    class Timeout(BaseException):
        """As gevent's is."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    raised: list[Any] = [Timeout, SystemExit, KeyboardInterrupt, asyncio.CancelledError]

    def handler(n: int) -> None:
        if n < 4:
            raise raised[n]
        if n == 4:
            asyncio.run(cancelled())

    shop = make(storage_url, handler, retries=0)
    for n in range(6):
        shop.place(n, f"o{n}")
    server = Server(
        shop.domain.processor,
        shop.domain.subscriptions,
        workers=2,
        poll=0.02,
        context=shop.domain.domain_context,
    )
    server.start()
    done = threading.Event()
    for _ in range(1500):
        if server.dead.total() == 5 and server.handled.total() >= 6:
            break
        done.wait(0.02)
    assert server.alive
    assert server.stop(timeout=30)
    assert server.dead == {"print_slip": 5}
    assert [each.n for each in shop.domain.read_category("slip")] == [5]
    shop.domain.close()


def test_a_subscription_with_much_to_do_does_not_keep_the_workers_from_the_others(
    storage_url: str,
) -> None:
    domain = Domain("shop", storage=storage_url, event_processing="async")
    seen: list[str] = []
    go_on = threading.Event()

    @domain.aggregate
    class Order(Aggregate):
        def place(self) -> None:
            self.raise_(OrderPlaced())

    @domain.event(part_of=Order)
    class OrderPlaced(Event): ...

    @domain.on(OrderPlaced)
    def slow(event: OrderPlaced) -> None:
        seen.append("slow")
        go_on.wait(0.02)

    @domain.on(OrderPlaced)
    def fast(event: OrderPlaced) -> None:
        seen.append("fast")

    domain.init(traverse=False)
    domain.storage.create()
    for n in range(400):
        order = Order(id=f"o{n}")
        order.place()
        domain.repository_for(Order).add(order)
    server = Server(
        domain.processor, domain.subscriptions, workers=1, context=domain.domain_context
    )
    server.start()
    for _ in range(3000):
        if seen.count("fast") == 400:
            break
        threading.Event().wait(0.02)
    before = seen[: len(seen) - seen[::-1].index("fast")].count("slow")
    go_on.set()
    assert server.stop(timeout=60)
    assert 0 < before < 400
    domain.close()


def test_a_worker_outlives_a_handler_that_exits_where_events_are_handled_at_once(
    storage_url: str,
) -> None:
    domain = Domain("shop", storage=storage_url, command_processing="async")
    seen: list[str] = []

    @domain.aggregate
    class Order(Aggregate):
        def place(self) -> None:
            self.raise_(OrderPlaced())

    @domain.event(part_of=Order)
    class OrderPlaced(Event): ...

    @domain.command(part_of=Order)
    class PlaceOrder(Command): ...

    @domain.command_handler(part_of=Order)
    class Orders:
        @handle(PlaceOrder)
        def place(self, command: PlaceOrder) -> None:
            order = Order()
            order.place()
            current_domain.repository_for(Order).add(order)

    @domain.on(OrderPlaced)
    def leave(event: OrderPlaced) -> None:
        seen.append("leave")
        raise SystemExit

    domain.init(traverse=False)
    domain.storage.create()
    server = Server(
        domain.processor, domain.subscriptions, workers=1, context=domain.domain_context
    )
    server.start()
    for count in (1, 2):
        domain.process(PlaceOrder())
        for _ in range(1500):
            if len(seen) == count:
                break
            threading.Event().wait(0.02)
    assert seen == ["leave", "leave"]
    assert server.stop(timeout=30)
    domain.close()


def test_an_async_handler_that_is_cancelled_does_not_stop_its_neighbours(storage_url: str) -> None:
    domain = Domain("shop", storage=storage_url)
    seen: list[str] = []

    @domain.aggregate
    class Order(Aggregate):
        def place(self) -> None:
            self.raise_(OrderPlaced())

    @domain.event(part_of=Order)
    class OrderPlaced(Event): ...

    @domain.on(OrderPlaced)
    async def give_up(event: OrderPlaced) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    @domain.on(OrderPlaced)
    def note(event: OrderPlaced) -> None:
        seen.append("note")

    domain.init(traverse=False)
    domain.storage.create()
    order = Order()
    order.place()
    with pytest.raises(HappenedError, match="give_up was cancelled"):
        domain.repository_for(Order).add(order)
    assert seen == ["note"]
    domain.close()


def test_a_transaction_that_holds_a_connection_finds_a_message(durable_url: str) -> None:
    shop = make(durable_url, lambda n: None)
    id = shop.place(1, "o1")
    transaction = shop.domain.storage.begin()
    transaction.connection.execute("SELECT 1")
    found = transaction.find_message("order-o1", 0)
    assert found is not None
    assert found.metadata.id == id
    assert transaction.find_message("order-o1", 1) is None
    transaction.rollback()
    shop.domain.close()


def test_a_retry_is_given_the_global_position_of_its_message(storage_url: str) -> None:
    """Whoever committed the message died before it was numbered, where that is a second step."""
    positions: list[int | None] = []

    def handler(n: int) -> None:
        trace = current_trace.get()
        assert isinstance(trace, Metadata)
        positions.append(trace.global_position)

    shop = make(storage_url, handler)
    shop.place(1, "o1")
    shop.domain.catch_up()
    storage = shop.domain.storage
    (placed,) = storage.read("order-o1")
    later = placed.metadata._replace(id="m1", position=1, global_position=None)
    transaction = storage.begin()
    transaction.append([StoredMessage(later, b'{"n":2}', ("print_slip",))])
    transaction.defer(delivery_of("print_slip", later, "held"))
    transaction.commit()
    with shop.domain.domain_context():
        for each in shop.domain.subscriptions:
            Deliverer(shop.domain.processor).deliver(each)
    (_, second) = storage.read("order-o1")
    assert positions == [placed.metadata.global_position, second.metadata.global_position]
    shop.domain.close()


@pytest.mark.parametrize(
    "id,position",
    [(None, 1), ("m1", 0), ("m1", 1)],
    ids=["no message", "another message", "neither"],
)
def test_a_delivery_whose_message_is_gone_is_settled(
    storage_url: str, id: str | None, position: int
) -> None:
    calls: list[int] = []
    shop = make(storage_url, calls.append)
    stored = shop.place(1, "o1")
    shop.domain.catch_up()
    (placed,) = shop.domain.storage.read("order-o1")
    held = delivery_of("print_slip", placed.metadata, "held")
    transaction = shop.domain.storage.begin()
    transaction.defer(held._replace(message_id=id or stored, position=position))
    transaction.commit()
    assert shop.domain.catch_up() == 1
    assert calls == [1]
    assert states(shop.domain) == []
    shop.domain.close()


def test_a_delivery_whose_message_somebody_deleted_is_settled(durable_url: str) -> None:
    calls: list[int] = []

    def handler(n: int) -> None:
        calls.append(n)
        raise KeyError("boom")

    shop = make(durable_url, handler, retries=0)
    shop.place(1, "o1")
    shop.domain.catch_up()
    is_sqlite = durable_url.startswith("sqlite")
    schema = durable_url.rpartition("schema=")[2]
    table = "happened_messages" if is_sqlite else f"{schema}.messages"
    (letter,) = shop.domain.storage.deliveries()
    transaction = shop.domain.storage.begin()
    transaction.connection.execute(f"DELETE FROM {table}")
    transaction.defer(letter._replace(state="held"))
    transaction.commit()
    assert shop.domain.catch_up() == 1
    assert calls == [1]
    assert states(shop.domain) == []
    shop.domain.close()


def test_one_connection_is_enough_to_retry(tmp_path: Path) -> None:
    def handler(n: int) -> None:
        raise KeyError("boom")

    url = postgres(tmp_path)
    shop = make(f"{url}&pool_size=1", handler)
    shop.place(1, "o1")
    shop.domain.catch_up()
    assert states(shop.domain) == [("print_slip", "dead")]
    shop.domain.close()
    discard(url)


def test_a_handler_that_takes_longer_than_the_storage_waits_leaves_a_dead_letter(
    tmp_path: Path,
) -> None:
    calls: list[int] = []

    def handler(n: int) -> None:
        calls.append(n)
        if n == 0:
            threading.Event().wait(1.3)

    url = postgres(tmp_path)
    shop = make(f"{url}&handler_timeout=1", handler, retries=0)
    for n, id in enumerate(neighbours(2)):
        shop.place(n, id)
    with shop.domain.domain_context():
        deliverer = Deliverer(shop.domain.processor)
        for _ in range(6):
            with suppress(StorageError):
                deliverer.deliver_all(shop.domain.subscriptions)
    assert states(shop.domain) == [("print_slip", "dead")]
    assert [each.n for each in shop.domain.read_category("slip")] == [1]
    assert calls.count(0) == 4
    shop.domain.close()
    discard(url)
