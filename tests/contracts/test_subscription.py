"""What subscriptions do on every storage: each message once, in order, whatever fails."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from happened import (
    Aggregate,
    Command,
    ConcurrencyError,
    ConfigurationError,
    Domain,
    Event,
    HappenedError,
    MessageError,
    StorageError,
    current_domain,
    handle,
    waiting,
)
from happened import server as server_module
from happened.server import Server
from happened.storage import StoredMessage
from happened.subscription import Deliverer, wait_before


class Shop:
    """Orders whose events are handled later, by a class and by a function."""

    def __init__(self, url: str, **options: Any) -> None:
        self.domain = domain = Domain("shop", storage=url, event_processing="async")
        self.seen: list[tuple[str, int]] = []
        self.failing: dict[tuple[str, int], Callable[[], None]] = {}
        shop = self

        @domain.aggregate
        class Order(Aggregate):
            def place(self, n: int) -> None:
                self.raise_(OrderPlaced(n=n))

        @domain.aggregate
        class Stock(Aggregate):
            left: int = 100

        @domain.event(part_of=Order)
        class OrderPlaced(Event):
            n: int

        @domain.event_handler(part_of=Stock, stream_category="order", **options)
        class Reducing:
            @handle(OrderPlaced)
            def reduce(self, event: OrderPlaced) -> None:
                stocks = current_domain.repository_for(Stock)
                stock = stocks.get("s1")
                stock.left -= 1
                stocks.add(stock)
                shop.see("reduce", event.n)

            @handle(OrderPlaced)
            def check(self, event: OrderPlaced) -> None:
                shop.see("check", event.n)

        @domain.on(OrderPlaced, **options)
        def notify(event: OrderPlaced) -> None:
            shop.see("notify", event.n)

        self.Order: Any = Order
        self.OrderPlaced: Any = OrderPlaced
        domain.init(traverse=False)
        domain.storage.create()
        self.orders: Any = domain.repository_for(Order)
        self.stocks: Any = domain.repository_for(Stock)
        self.stocks.add(Stock(id="s1"))

    def see(self, handler: str, n: int) -> None:
        self.seen.append((handler, n))
        self.failing.get((handler, n), int)()

    def place(self, n: int, id: str = "") -> Any:
        order = self.orders.get(id) if id and id in self.orders else self.Order(id=id or f"o{n}")
        order.place(n)
        self.orders.add(order)
        return self.domain.storage.read(f"order-{order.id}")[-1].metadata.id

    def deliver(self, *, batch: int = 100) -> int:
        """Deliver all that is due, retries that wait included."""
        with self.domain.domain_context():
            deliverer = Deliverer(self.domain.processor, batch=batch)
            return deliverer.deliver_all(self.domain.subscriptions)

    def numbers(self, handler: str) -> list[int]:
        return [n for found, n in self.seen if found == handler]

    def states(self) -> list[tuple[str, str, int]]:
        found = self.domain.storage.deliveries()
        return sorted((each.handler, each.state, each.attempts) for each in found)

    @property
    def left(self) -> int:
        return int(self.stocks.get("s1").left)


def fail() -> None:
    raise KeyError("boom")


@pytest.fixture
def shop(storage_url: str) -> Shop:
    return Shop(storage_url, backoff=0, retries=2)


def test_nothing_is_handled_before_it_is_delivered_and_then_everything_once(shop: Shop) -> None:
    for n in range(10):
        shop.place(n, "one")
    assert shop.seen == []
    assert shop.deliver() == 20
    for handler in ("reduce", "check", "notify"):
        assert shop.numbers(handler) == list(range(10))
    assert shop.left == 90
    assert shop.deliver() == 0


def test_two_methods_of_a_class_take_turns_with_each_message(shop: Shop) -> None:
    shop.place(1, "one")
    shop.place(2, "one")
    shop.deliver()
    of_the_class = [each for each in shop.seen if each[0] != "notify"]
    assert of_the_class == [("reduce", 1), ("check", 1), ("reduce", 2), ("check", 2)]


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_a_failing_handler_is_undone_alone_and_tried_again(shop: Shop, batch: int) -> None:
    for n in range(6):
        shop.place(n)
    once = [KeyError("boom")]

    def fail_once() -> None:
        if once:
            raise once.pop()

    shop.failing["reduce", 3] = fail_once
    shop.deliver(batch=batch)
    assert shop.left == 94
    assert sorted(shop.numbers("reduce")) == [0, 1, 2, 3, 3, 4, 5]
    assert sorted(shop.numbers("check")) == sorted(shop.numbers("notify")) == list(range(6))
    assert shop.states() == []


def test_a_handler_that_keeps_failing_leaves_a_dead_letter_and_others_go_on(shop: Shop) -> None:
    ids = [shop.place(n) for n in range(4)]
    shop.failing["reduce", 2] = fail
    shop.deliver()
    assert shop.states() == [("Reducing.reduce", "dead", 3)]
    (dead,) = shop.domain.storage.deliveries()
    assert (dead.message_id, dead.error) == (ids[2], "KeyError: 'boom'")
    assert "in fail" in dead.traceback
    assert shop.left == 97
    assert sorted(shop.numbers("check")) == [0, 1, 2, 3]


def test_later_messages_of_a_stream_wait_behind_a_dead_letter_in_order(shop: Shop) -> None:
    for n in range(4):
        shop.place(n, "one")
    shop.place(9, "two")
    shop.failing["reduce", 1] = fail
    shop.deliver()
    assert shop.states() == [
        ("Reducing.check", "held", 0),
        ("Reducing.check", "held", 0),
        ("Reducing.reduce", "dead", 3),
        ("Reducing.reduce", "held", 0),
        ("Reducing.reduce", "held", 0),
    ]
    assert (shop.left, sorted(shop.numbers("notify"))) == (98, [0, 1, 2, 3, 9])
    del shop.failing["reduce", 1]
    retry_dead(shop)
    shop.deliver()
    assert shop.states() == []
    assert shop.left == 95
    assert [n for n in shop.numbers("reduce") if n != 9] == [0, 1, 1, 1, 1, 2, 3]
    assert [n for n in shop.numbers("check") if n != 9] == [0, 1, 2, 3]


def retry_dead(shop: Shop) -> None:
    transaction = shop.domain.storage.begin()
    for dead in shop.domain.storage.deliveries(state="dead"):
        transaction.defer(dead._replace(state="retrying", attempts=0))
    transaction.commit()


def test_a_discarded_dead_letter_lets_its_stream_go_on(shop: Shop) -> None:
    shop.place(1, "one")
    shop.place(2, "one")
    shop.failing["notify", 1] = fail
    shop.deliver()
    assert shop.numbers("notify") == [1, 1, 1]
    (dead,) = shop.domain.storage.deliveries(state="dead")
    transaction = shop.domain.storage.begin()
    transaction.settle(dead.handler, dead.message_id)
    transaction.commit()
    shop.deliver()
    assert shop.numbers("notify") == [1, 1, 1, 2]
    assert shop.states() == []


def test_a_handler_may_ask_to_go_on_behind_a_dead_letter(storage_url: str) -> None:
    shop = Shop(storage_url, backoff=0, retries=0, on_dead_letter="go_on")
    for n in range(3):
        shop.place(n, "one")
    shop.failing["notify", 1] = fail
    shop.deliver()
    assert sorted(shop.numbers("notify")) == [0, 1, 2]
    assert shop.states() == [("notify", "dead", 1)]
    shop.place(3, "one")
    shop.deliver()
    assert shop.numbers("notify")[-1] == 3


def test_a_retry_waits_until_it_is_due(storage_url: str) -> None:
    shop = Shop(storage_url, backoff=60)
    shop.place(1)
    shop.failing["notify", 1] = fail
    shop.deliver()
    shop.deliver()
    assert shop.states() == [("notify", "retrying", 1)]
    assert shop.numbers("notify") == [1]


def test_waits_double_up_to_five_minutes_and_differ() -> None:
    assert all(0.5 <= wait_before(1, 1.0) <= 1.0 for _ in range(50))
    assert all(4.0 <= wait_before(4, 1.0) <= 8.0 for _ in range(50))
    assert all(150.0 <= wait_before(60, 1.0) <= 300.0 for _ in range(50))
    assert len({wait_before(3, 1.0) for _ in range(20)}) > 1


def test_a_conflict_is_tried_again_at_once(shop: Shop) -> None:
    shop.place(1)

    def be_faster() -> None:
        shop.failing.clear()
        transaction = shop.domain.storage.begin()
        document = transaction.load("stock", "s1")
        assert document is not None
        changed = document._replace(version=document.version + 1, data=b'{"id":"s1","left":50}')
        transaction.save("stock", changed, expected=document.version)
        transaction.commit()

    shop.failing["reduce", 1] = be_faster
    shop.deliver()
    assert shop.left == 49
    assert shop.states() == []


def test_a_handler_that_looks_for_what_it_wrote_is_undone_as_well(storage_url: str) -> None:
    domain = Domain("shop", storage=storage_url, event_processing="async")
    failures = [1, 1]
    counts = []

    @domain.aggregate
    class Order(Aggregate):
        def place(self) -> None:
            self.raise_(OrderPlaced())

    @domain.aggregate
    class Slip(Aggregate): ...

    @domain.event(part_of=Order)
    class OrderPlaced(Event): ...

    @domain.on(OrderPlaced, backoff=0)
    def print_slip(event: OrderPlaced) -> None:
        slips = current_domain.repository_for(Slip)
        slips.add(Slip())
        counts.append(slips.query.count())
        if failures:
            failures.pop()
            raise KeyError("boom")

    domain.init(traverse=False)
    domain.storage.create()
    for n in range(3):
        order = Order(id=f"o{n}")
        order.place()
        domain.repository_for(Order).add(order)
    for _ in range(9):
        domain.catch_up()
    assert domain.repository_for(Slip).query.count() == 3
    assert domain.storage.deliveries() == []


def test_commands_are_handled_later_too_and_what_they_raise_after_them(storage_url: str) -> None:
    domain = Domain(
        "shop", storage=storage_url, event_processing="async", command_processing="async"
    )
    seen: list[str] = []

    @domain.aggregate
    class Order(Aggregate):
        def place(self) -> None:
            self.raise_(OrderPlaced(order_id=self.id))

    @domain.event(part_of=Order)
    class OrderPlaced(Event):
        order_id: str

    @domain.command(part_of=Order)
    class PlaceOrder(Command):
        order_id: str

    @domain.command_handler(part_of=Order)
    class Orders:
        @handle(PlaceOrder)
        def place(self, command: PlaceOrder) -> None:
            order = Order(id=command.order_id)
            order.place()
            current_domain.repository_for(Order).add(order)

    @domain.on(OrderPlaced, source_stream="order")
    async def notify(event: OrderPlaced) -> None:
        seen.append(event.order_id)

    domain.init(traverse=False)
    domain.storage.create()
    id = domain.process(PlaceOrder(order_id="o1"))
    with pytest.raises(TimeoutError, match="Orders has not handled"):
        domain.wait_for(id, timeout=0)
    assert domain.catch_up() == 2
    domain.wait_for(id, timeout=0)
    (command,) = domain.read_stream(f"order:command-{id}")
    domain.wait_for(command, timeout=0)
    assert seen == ["o1"]
    assert command == PlaceOrder(order_id="o1")
    (event,) = domain.read_category("order")
    assert event.causation_id == id


def test_waiting_for_a_command_that_was_not_left_for_later(storage_url: str) -> None:
    domain = Domain("shop", storage=storage_url)

    @domain.aggregate
    class Order(Aggregate): ...

    @domain.command(part_of=Order)
    class PlaceOrder(Command): ...

    @domain.command_handler(part_of=Order)
    class Orders:
        @handle(PlaceOrder)
        def place(self, command: PlaceOrder) -> None: ...

    domain.init(traverse=False)
    domain.storage.create()
    command = PlaceOrder()
    domain.process(command)
    with pytest.raises(TimeoutError, match="is not stored"):
        domain.wait_for(command, timeout=0)


def test_messages_that_cannot_be_read_are_set_aside_until_they_can(shop: Shop) -> None:
    shop.place(1, "one")
    (placed,) = shop.domain.storage.read("order-one")
    strange = [
        placed.metadata._replace(id="m1", position=1, type="Shop.Unknown.v1"),
        placed.metadata._replace(id="m2", position=2),
    ]
    transaction = shop.domain.storage.begin()
    transaction.append([StoredMessage(each, b'{"n":2}') for each in strange])
    transaction.append([StoredMessage(strange[1]._replace(id="m3", position=3), b'{"n":"x"}')])
    transaction.commit()
    for _ in range(9):
        shop.deliver()
    assert shop.numbers("notify") == [1]
    errors = {each.message_id: each.error for each in shop.domain.storage.deliveries(state="dead")}
    assert "no message of this type" in errors["m1"]
    shop.domain.registry.messages["Shop.Unknown.v1"] = shop.OrderPlaced
    retry_dead(shop)
    for _ in range(9):
        shop.deliver()
    assert shop.numbers("notify") == [1, 2, 2]
    dead = shop.domain.storage.deliveries(state="dead")
    assert {(each.subscription, each.message_id) for each in dead} == {
        ("Reducing", "m3"),
        ("notify", "m3"),
    }
    assert "n: Input should be a valid integer" in dead[0].error


def test_a_message_that_becomes_readable_is_handled_before_those_behind_it(shop: Shop) -> None:
    shop.place(0, "one")
    (placed,) = shop.domain.storage.read("order-one")
    transaction = shop.domain.storage.begin()
    for n in (1, 2, 3):
        later = placed.metadata._replace(id=f"m{n}", position=n)
        stored = later._replace(type="Shop.Unknown.v1") if n == 1 else later
        transaction.append([StoredMessage(stored, b'{"n":%d}' % n)])
    transaction.commit()
    shop.deliver()
    assert shop.numbers("reduce") == [0]
    shop.domain.registry.messages["Shop.Unknown.v1"] = shop.OrderPlaced
    retry_dead(shop)
    shop.deliver()
    for handler in ("reduce", "check", "notify"):
        assert shop.numbers(handler) == [0, 1, 2, 3]
    assert shop.states() == []


def test_waiting_for_a_message(shop: Shop) -> None:
    id = shop.place(1)
    with pytest.raises(TimeoutError, match="has not handled"):
        shop.domain.wait_for(id, timeout=0)
    shop.deliver()
    shop.domain.wait_for(id, timeout=0)
    shop.domain.wait_for(id, handler="notify", timeout=0)
    with pytest.raises(ConfigurationError, match="did you mean 'notify'"):
        shop.domain.wait_for(id, handler="notfy", timeout=0)
    with pytest.raises(TimeoutError, match="is not stored"):
        shop.domain.wait_for("nobody", timeout=0.01)
    poison = shop.place(2)
    shop.failing["notify", 2] = fail
    shop.deliver()
    shop.domain.wait_for(poison, handler="Reducing", timeout=0)
    with pytest.raises(MessageError, match="dead letter of notify: KeyError"):
        shop.domain.wait_for(poison, timeout=0)


def test_waiting_for_a_message_by_itself(shop: Shop) -> None:
    shop.place(1, "one")
    shop.place(2, "one")
    first, second = shop.domain.read_stream("order-one")
    with pytest.raises(
        TimeoutError, match=f"has not handled Shop.OrderPlaced.v1 {first._metadata.id}"
    ):
        shop.domain.wait_for(first, timeout=0)
    shop.failing["notify", 2] = fail
    shop.deliver()
    shop.domain.wait_for(first, timeout=0)
    with pytest.raises(MessageError, match=f"{second._metadata.id}: it is a dead letter of notify"):
        shop.domain.wait_for(second, timeout=0)


def test_waiting_for_an_event_that_lost_its_place_to_another_one(shop: Shop) -> None:
    shop.place(1, "one")
    mine = shop.orders.get("one")
    lost = shop.OrderPlaced(n=3)
    with pytest.raises(TimeoutError, match=f"{lost.event_id} is not stored"):
        shop.domain.wait_for(lost, timeout=0)
    mine.raise_(lost)
    with pytest.raises(TimeoutError, match=f"{lost.event_id} is not stored"):
        shop.domain.wait_for(lost, timeout=0)
    shop.place(2, "one")
    with pytest.raises(ConcurrencyError):
        shop.orders.add(mine)
    shop.deliver()
    with pytest.raises(TimeoutError, match=f"{lost.event_id} is not stored"):
        shop.domain.wait_for(lost, timeout=0)


@pytest.mark.parametrize("by_id", [False, True])
def test_waiting_for_an_event_that_is_raised_meanwhile(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, by_id: bool
) -> None:
    event = shop.OrderPlaced(n=1)
    steps: list[Callable[[], object]] = []

    def place() -> None:
        order = shop.Order(id="o1")
        order.raise_(event)
        shop.orders.add(order)

    steps += [place, shop.deliver]
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: steps.pop(0)())
    monkeypatch.setattr(waiting, "time", clock)
    shop.domain.wait_for(event.event_id if by_id else event, timeout=60)
    assert steps == []
    assert shop.numbers("notify") == [1]


def test_who_waits_for_a_message_that_is_tried_again_learns_why(storage_url: str) -> None:
    shop = Shop(storage_url, backoff=60)
    shop.failing["notify", 1] = fail
    id = shop.place(1)
    shop.deliver()
    with pytest.raises(TimeoutError, match=r"which is retrying \(KeyError: 'boom'\), after 0 s"):
        shop.domain.wait_for(id, timeout=0)


def test_a_new_handler_begins_where_it_asks_for(storage_url: str) -> None:
    first = Shop(storage_url, start_from="now")
    first.place(1)
    first.deliver()
    assert first.seen == []
    first.place(2)
    first.deliver()
    assert {n for _, n in first.seen} == {2}


def test_a_server_delivers_until_it_is_stopped(shop: Shop) -> None:
    server = Server(
        shop.domain.processor, shop.domain.subscriptions, context=shop.domain.domain_context
    )
    assert not server.alive
    server.start()
    try:
        ids = [shop.place(n, f"o{n % 5}") for n in range(40)]
        for id in ids:
            shop.domain.wait_for(id, timeout=30)
        assert (server.alive, server.ready) == (True, True)
    finally:
        assert server.stop(timeout=30)
    assert server.handled["notify"] == 40
    assert server.handled["Reducing"] >= 40, "after a conflict, a message may be put aside first"
    assert (server.alive, server.ready) == (False, False)
    assert shop.left == 60
    for stream in range(5):
        handled = [n for n in shop.numbers("notify") if n % 5 == stream]
        assert handled == list(range(stream, 40, 5))


def test_a_server_runs_once(shop: Shop) -> None:
    server = Server(
        shop.domain.processor, shop.domain.subscriptions, context=shop.domain.domain_context
    )
    server.start()
    threads = len(server._threads)
    with pytest.raises(HappenedError, match="was started already"):
        server.start()
    assert len(server._threads) == threads
    assert server.stop(timeout=30)
    assert server.stop(timeout=30)
    with pytest.raises(HappenedError, match="was stopped; to begin again, make another Server"):
        server.start()
    assert not server.alive


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_server_subscribes_again_where_the_tables_were_made_anew(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    """At once after the storage was lost; if nobody noticed, after a while."""
    storage, number = shop.domain.storage, shop.domain.storage.number
    domain = shop.domain
    lost: list[StorageError] = []

    def broken() -> int:
        if lost:
            raise lost.pop()
        return number()

    monkeypatch.setattr(storage, "number", broken)
    monkeypatch.setattr(server_module, "SUBSCRIBE", 3600 if is_lost else 0.05)
    server = Server(
        domain.processor, domain.subscriptions, poll=0.02, context=domain.domain_context
    )
    server.start()
    try:
        domain.wait_for(shop.place(1), timeout=30)
        for each in domain.subscriptions:
            storage.unsubscribe(each.name)
        lost += [StorageError(storage.url, "the tables are not there")] * is_lost
        domain.wait_for(shop.place(2), timeout=30)
    finally:
        assert server.stop(timeout=30)
    assert set(shop.numbers("notify")) == {1, 2}


def test_a_server_that_leaves_handlers_running_warns(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def work() -> None:
        at_work.set()
        go_on.wait(30)

    shop.failing["notify", 1] = work
    shop.place(1)
    server = Server(
        shop.domain.processor, shop.domain.subscriptions, context=shop.domain.domain_context
    )
    server.start()
    assert at_work.wait(30)
    assert not server.stop(timeout=0)
    go_on.set()
    assert server.stop(timeout=30)
    (warning,) = caplog.records
    assert (warning.levelname, warning.message) == (
        "WARNING",
        "stopped while handlers were running",
    )


def test_a_server_counts_failures_and_survives_what_nobody_expects(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.place(1)
    shop.failing["notify", 1] = fail
    broken = [RuntimeError("unexpected"), ConcurrencyError("x", expected=1, found=2)]
    original = Deliverer.deliver

    def deliver(self: Deliverer, subscription: Any) -> int | None:
        if broken:
            raise broken.pop()
        return original(self, subscription)

    monkeypatch.setattr(Deliverer, "deliver", deliver)
    server = Server(shop.domain.processor, shop.domain.subscriptions, workers=1, poll=0.02)
    server._context = shop.domain.domain_context
    server.start()
    done = threading.Event()
    for _ in range(1500):
        if server.dead:
            break
        done.wait(0.02)
    assert server.stop(timeout=30)
    assert server.dead == {"notify": 1}
    assert server.retries == {"notify": 2}
    assert broken == []


def test_an_event_handler_may_process_a_command(storage_url: str) -> None:
    domain = Domain("shop", storage=storage_url, event_processing="async")
    shipped: list[str] = []

    @domain.aggregate
    class Order(Aggregate):
        def place(self) -> None:
            self.raise_(OrderPlaced(order_id=self.id))

    @domain.event(part_of=Order)
    class OrderPlaced(Event):
        order_id: str

    @domain.command(part_of=Order)
    class ShipOrder(Command):
        order_id: str

    @domain.command_handler(part_of=Order)
    class Shipping:
        @handle(ShipOrder)
        def ship(self, command: ShipOrder) -> None:
            orders = current_domain.repository_for(Order)
            orders.add(orders.get(command.order_id))
            shipped.append(command.order_id)

    @domain.on(OrderPlaced)
    def ask_for_shipping(event: OrderPlaced) -> None:
        current_domain.process(ShipOrder(order_id=event.order_id))

    domain.init(traverse=False)
    domain.storage.create()
    for id in ("o1", "o2"):
        order = Order(id=id)
        order.place()
        domain.repository_for(Order).add(order)
    domain.catch_up()
    assert sorted(shipped) == ["o1", "o2"]
    assert domain.storage.deliveries() == []
