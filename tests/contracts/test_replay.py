"""What a rebuild does on every storage: all events once, beside the view in use, then a switch."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from happened import (
    Aggregate,
    Domain,
    Event,
    HappenedError,
    Projection,
    ValidationError,
    current_domain,
    faults,
    handle,
    replay,
    trace,
)
from happened.fields import String
from happened.hooks import Step
from happened.replay import Replay
from happened.testing.storage_contract.actions import document, found, save
from tests.storages import discard, postgres, sqlite

BESIDE = "total~rebuild"


class Shop:
    """Orders and returns of books, a view of both, and a mail for each order."""

    def __init__(self, url: str, processing: str = "sync") -> None:
        self.domain = domain = Domain("shop", storage=url, event_processing=processing)
        self.worth = 1
        self.seen: list[int] = []
        self.mails: list[int] = []
        self.thanked: list[int] = []
        self.during: dict[int, Callable[[], object]] = {}
        shop = self

        @domain.aggregate
        class Order(Aggregate):
            def place(self, book: str, n: int) -> None:
                self.raise_(OrderPlaced(book=book, n=n))

        @domain.aggregate
        class Desk(Aggregate):
            def give_back(self, book: str, n: int) -> None:
                self.raise_(BookReturned(book=book, n=n))

        @domain.event(part_of=Order)
        class OrderPlaced(Event):
            book: str
            n: int

        @domain.event(part_of=Desk)
        class BookReturned(Event):
            book: str
            n: int

        @domain.projection
        class Total(Projection):
            sold: int = 0
            shelf: str | None = String(unique=True, default=None)

        @domain.event_handler(part_of=Total, backoff=0, retries=1)
        class Totals:
            @handle(OrderPlaced)
            def add(self, event: OrderPlaced) -> None:
                self.change(event.book, shop.worth)
                shop.seen.append(event.n)
                shop.during.get(event.n, int)()

            @handle(BookReturned)
            def take_off(self, event: BookReturned) -> None:
                self.change(event.book, -shop.worth)
                shop.seen.append(event.n)

            def change(self, book: str, by: int) -> None:
                totals = current_domain.repository_for(Total)
                total = totals[book] if book in totals else Total(id=book, shelf=f"of {book}")
                total.sold += by
                totals.add(total)

        @domain.on(BookReturned, source_stream="order")
        def thank(event: BookReturned) -> None:
            shop.thanked.append(event.n)

        @domain.on(OrderPlaced)
        def send_mail(event: OrderPlaced) -> None:
            shop.mails.append(event.n)

        self.Order: Any = Order
        self.Desk: Any = Desk
        self.Total: Any = Total
        domain.init(traverse=False)
        domain.storage.create()
        self.totals: Any = domain.repository_for(Total)

    def place(self, n: int, book: str = "emma") -> None:
        order = self.Order()
        order.place(book, n)
        self.domain.repository_for(self.Order).add(order)

    def give_back(self, n: int, book: str = "emma") -> None:
        desk = self.Desk()
        desk.give_back(book, n)
        self.domain.repository_for(self.Desk).add(desk)

    def rebuild(self, **options: Any) -> int:
        return self.domain.rebuild(self.Total, **options)

    def deliver(self) -> int:
        return self.domain.catch_up()

    def spoil(self, book: str = "emma") -> None:
        total = self.totals[book]
        total.sold = 1000
        self.totals.add(total)

    @property
    def sold(self) -> dict[str, int]:
        return {each.id: each.sold for each in self.totals.query.order_by("id")}

    def waiting(self) -> list[tuple[str, str]]:
        return sorted((each.handler, each.state) for each in self.domain.storage.deliveries())


def fail() -> None:
    raise KeyError("boom")


class Killed(BaseException):
    """Stands for the end of the process, which no code catches."""


def kill_at(point: str, turn: int) -> None:
    """Die where a point is reached so often."""
    passed = 0

    def reached(name: str) -> None:
        nonlocal passed
        passed += name == point
        if name == point and passed == turn:
            raise Killed

    faults.arm(reached)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two messages in a transaction, so that few messages are many transactions."""
    monkeypatch.setattr(replay, "BATCH", 2)
    yield
    faults.arm(None)


@pytest.fixture
def shop(storage_url: str) -> Iterator[Shop]:
    made = Shop(storage_url)
    yield made
    made.domain.close()


@pytest.fixture
def later(storage_url: str) -> Iterator[Shop]:
    """A shop whose events are handled later."""
    made = Shop(storage_url, "async")
    yield made
    made.domain.close()


def test_a_rebuild_makes_the_view_of_all_events_and_sends_no_mail_again(shop: Shop) -> None:
    for n in range(5):
        shop.place(n, "emma" if n % 2 else "persuasion")
    shop.give_back(5, "emma")
    right = {"emma": 1, "persuasion": 3}
    assert shop.sold == right
    shop.spoil()
    shop.totals.remove(shop.totals["persuasion"])
    shop.seen.clear()
    assert shop.rebuild() == 6
    assert shop.sold == right
    assert shop.seen == list(range(6))
    assert shop.mails == list(range(5))


def test_a_mended_handler_makes_a_new_view(shop: Shop) -> None:
    for n in range(5):
        shop.place(n)
    shop.worth = 3
    shop.rebuild()
    assert shop.sold == {"emma": 15}
    shop.place(5)
    assert shop.sold == {"emma": 18}


def test_rows_stand_in_the_order_of_the_events(shop: Shop) -> None:
    for n, book in enumerate(["persuasion", "emma", "sanditon"]):
        shop.place(n, book)
    shop.rebuild()
    assert [each.id for each in shop.totals.query] == ["persuasion", "emma", "sanditon"]


def test_a_view_of_no_events_is_empty(shop: Shop) -> None:
    shop.totals.add(shop.Total(id="by hand"))
    assert shop.rebuild() == 0
    assert shop.sold == {}


def test_progress_is_told_after_each_transaction(shop: Shop) -> None:
    told: list[tuple[int, int]] = []
    for n in range(5):
        shop.place(n)

    def tell(read: int, left: int) -> None:
        told.append((read, left))

    shop.rebuild(progress=tell)
    assert told == [(2, 3), (4, 1), (5, 0)]


def test_readers_see_the_old_view_until_the_switch(shop: Shop) -> None:
    for n in range(5):
        shop.place(n)
    shop.worth = 3
    before: list[dict[str, int]] = []

    def look(read: int, left: int) -> None:
        before.append(shop.sold)

    shop.rebuild(progress=look)
    assert before == [{"emma": 5}] * 3
    assert shop.sold == {"emma": 15}


def test_a_failure_names_the_event_and_leaves_the_view_in_use_alone(shop: Shop) -> None:
    for n in range(5):
        shop.place(n)
    shop.worth = 3
    shop.during[3] = fail
    checkpoints = shop.domain.storage.checkpoints("Totals")
    with pytest.raises(HappenedError) as raised:
        shop.rebuild()
    stored = shop.domain.read_category("order", start=3, limit=1)[0]._metadata
    assert str(raised.value) == (
        f"Totals.add failed on Shop.OrderPlaced.v1 {stored.id} at global position 3: "
        "KeyError: 'boom'; mend it, and run this again to go on"
    )
    assert isinstance(raised.value.__cause__, KeyError)
    assert shop.sold == {"emma": 5}
    assert shop.domain.storage.checkpoints("Totals") == checkpoints


def test_the_next_rebuild_goes_on_where_a_failure_stopped_the_first(shop: Shop) -> None:
    for n in range(6):
        shop.place(n)
    shop.during[4] = fail
    with pytest.raises(HappenedError):
        shop.rebuild()
    shop.during.clear()
    shop.seen.clear()
    assert shop.rebuild() == 2
    assert shop.seen == [4, 5]
    assert shop.sold == {"emma": 6}


def test_a_rebuild_can_begin_again(shop: Shop) -> None:
    for n in range(6):
        shop.place(n)
    shop.during[4] = fail
    with pytest.raises(HappenedError):
        shop.rebuild()
    shop.during.clear()
    shop.worth = 3
    shop.seen.clear()
    assert shop.rebuild(restart=True) == 6
    assert shop.seen == list(range(6))
    assert shop.sold == {"emma": 18}


@pytest.mark.parametrize(
    "point, turn",
    [
        *(("delivery: before the commit", turn) for turn in (1, 2, 3, 4)),  # the fourth: the switch
        *(("delivery: done", turn) for turn in (1, 2, 3)),
    ],
)
def test_killed_anywhere_a_rebuild_goes_on_and_counts_each_event_once(
    shop: Shop, point: str, turn: int
) -> None:
    for n in range(6):
        shop.place(n)
    shop.worth = 3
    kill_at(point, turn)
    with pytest.raises(Killed):
        shop.rebuild()
    faults.arm(None)
    assert shop.sold == {"emma": 6}
    read = 2 * (turn if point == "delivery: done" else turn - 1)
    assert shop.rebuild() == 6 - read
    assert shop.sold == {"emma": 18}


def test_killed_right_after_the_switch_the_next_rebuild_begins_at_the_first_event(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        shop.place(n)
    shop.worth = 3

    def killed(name: str) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(shop.domain.storage, "unsubscribe", killed)
        with pytest.raises(Killed):
            shop.rebuild()
    assert shop.sold == {"emma": 9}
    assert shop.rebuild() == 3
    assert shop.sold == {"emma": 9}


def test_a_switch_leaves_nothing_behind(shop: Shop) -> None:
    storage = shop.domain.storage
    for n in range(3):
        shop.place(n)
    shop.rebuild()
    assert storage.checkpoints(BESIDE) == []
    assert found(storage, BESIDE) == []
    assert shop.waiting() == []


def test_what_was_there_before_a_switch_is_forgotten(shop: Shop) -> None:
    shop.place(1)
    shop.totals.remove(shop.totals["emma"])
    shop.totals.add(shop.Total(id="by hand", shelf="top"))
    shop.rebuild()
    assert shop.sold == {"emma": 1}
    shop.totals.add(shop.Total(id="sanditon", shelf="top"))
    with pytest.raises(ValidationError) as raised:
        shop.totals.add(shop.Total(id="persuasion", shelf="of emma"))
    assert list(raised.value.messages) == ["shelf"]


def test_two_rebuilds_follow_each_other(shop: Shop) -> None:
    for n in range(3):
        shop.place(n)
    shop.totals.remove(shop.totals["emma"])
    for worth in (2, 3):
        shop.worth = worth
        assert shop.rebuild() == 3
        assert shop.sold == {"emma": 3 * worth}


# ------------------------------------------------------------------- checkpoints, deliveries


def test_what_a_rebuild_has_read_is_not_delivered_again(later: Shop) -> None:
    later.place(0)
    assert later.deliver() == 2
    for n in range(1, 5):
        later.place(n)
    assert later.rebuild() == 5
    assert later.sold == {"emma": 5}
    assert later.deliver() == 4  # the mails
    assert later.sold == {"emma": 5}
    assert sorted(later.mails) == list(range(5))
    later.place(5)
    assert later.deliver() == 2
    assert later.sold == {"emma": 6}


def test_a_switch_leaves_every_checkpoint_behind_the_last_event(later: Shop) -> None:
    for n in range(5):
        later.place(n)
    later.rebuild()
    positions = {each.position for each in later.domain.storage.checkpoints("Totals")}
    assert positions == {5}


def test_a_failed_rebuild_leaves_deliveries_to_the_server(later: Shop) -> None:
    for n in range(5):
        later.place(n)
    later.during[3] = fail
    with pytest.raises(HappenedError):
        later.rebuild()
    later.during.clear()
    later.deliver()
    assert later.sold == {"emma": 5}
    later.rebuild()
    assert later.sold == {"emma": 5}


def test_a_switch_settles_the_dead_letters_of_the_view_and_no_others(later: Shop) -> None:
    later.during[1] = fail
    for n in range(3):
        later.place(n)
    later.deliver()
    later.deliver()
    assert later.waiting() == [("Totals.add", "dead")]
    later.during.clear()
    later.rebuild()
    assert later.waiting() == []
    assert later.sold == {"emma": 3}


# ------------------------------------------------------------------- meanwhile


@pytest.mark.parametrize("processing", ["sync", "async"])
def test_events_that_come_during_a_rebuild_count_once(storage_url: str, processing: str) -> None:
    shop = Shop(storage_url, processing)
    for n in range(5):
        shop.place(n)
    shop.deliver()

    def place_one(read: int, left: int) -> None:
        if len(shop.domain.read_category("order")) < 9:
            shop.place(100 + read)

    shop.worth = 3
    assert shop.rebuild(progress=place_one) == 9
    assert shop.sold == {"emma": 27}
    shop.deliver()
    assert shop.sold == {"emma": 27}
    shop.domain.close()


def test_events_that_come_right_before_the_switch_are_in_the_new_view(
    later: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    later.place(0)
    storage = later.domain.storage
    subscribe = storage.subscribe

    def place_first(subscription: str, **options: Any) -> None:
        if subscription == "Totals":  # all was read, and the switch comes next
            for n in range(1, 4):
                later.place(n)
        subscribe(subscription, **options)

    with monkeypatch.context() as patched:
        patched.setattr(storage, "subscribe", place_first)
        assert later.rebuild() == 1
    assert later.sold == {"emma": 4}
    assert later.deliver() == 4  # the mails
    assert later.sold == {"emma": 4}


def test_a_switch_waits_for_a_handler_that_is_at_work(later: Shop) -> None:
    at_work, go_on = threading.Event(), threading.Event()
    later.place(1)

    def work() -> None:
        later.during.clear()
        at_work.set()
        assert go_on.wait(20)

    later.during[1] = work
    delivering = threading.Thread(target=later.deliver)
    delivering.start()
    assert at_work.wait(10)
    rebuilding = threading.Thread(target=later.rebuild)
    rebuilding.start()
    rebuilding.join(0.3)
    assert rebuilding.is_alive()
    go_on.set()
    delivering.join(20)
    rebuilding.join(20)
    assert later.sold == {"emma": 1}
    assert later.seen == [1, 1]


@pytest.mark.parametrize("processing", ["sync", "async"])
def test_events_that_come_at_the_switch_count_once(storage_url: str, processing: str) -> None:
    shop = Shop(storage_url, processing)
    for n in range(4):
        shop.place(n)
    shop.deliver()
    started = threading.Event()
    writers: list[threading.Thread] = []

    def write() -> None:
        started.set()
        for n in range(10, 15):
            shop.place(n)

    def reached(name: str) -> None:  # the third commit is that of the switch
        if name == "delivery: before the commit" and threading.current_thread() not in writers:
            passed.append(name)
            if len(passed) == 3:
                writers.append(threading.Thread(target=write))
                writers[0].start()
                assert started.wait(10)

    passed: list[str] = []
    faults.arm(reached)
    shop.rebuild()
    faults.arm(None)
    writers[0].join(20)
    shop.deliver()
    assert shop.sold == {"emma": 9}
    assert sorted(set(shop.seen)) == [0, 1, 2, 3, 10, 11, 12, 13, 14]
    shop.domain.close()


@pytest.mark.parametrize("address", [sqlite, postgres])
def test_an_event_whose_caller_was_late_counts_once(
    address: Callable[[Path], str], tmp_path: Path
) -> None:
    """Its caller has committed it, and comes to the handlers only after the switch.

    A storage that outlives the process notes what a caller has still to do; memory does not.
    """
    url = address(tmp_path)
    shop = Shop(url)
    shop.place(0)
    reached, go_on = threading.Event(), threading.Event()
    main = threading.current_thread()

    def wait(step: Step) -> None:
        if step.kind == "persisted" and threading.current_thread() is not main:
            reached.set()
            go_on.wait(10)

    shop.domain.observers.append(wait)
    late = threading.Thread(target=shop.place, args=(1,))
    late.start()
    assert reached.wait(10)
    assert shop.rebuild() == 2
    go_on.set()
    late.join(10)
    assert shop.sold == {"emma": 2}
    assert shop.mails == [0, 1]
    shop.domain.close()
    discard(url)


# ------------------------------------------------------------------- what is refused


def test_a_handler_that_changes_an_aggregate_is_refused(shop: Shop) -> None:
    shop.place(1)
    desks = shop.domain.repository_for(shop.Desk)
    shop.during[1] = lambda: desks.add(shop.Desk(id="d1"))
    with pytest.raises(HappenedError) as raised:
        shop.rebuild()
    assert str(raised.value.__cause__) == (
        "desk-d1 cannot be changed while total is rebuilt; "
        "a handler of a projection changes that projection alone"
    )
    assert "d1" not in desks
    desks.add(shop.Desk(id="d2"))
    shop.during[1] = lambda: desks.remove(desks["d2"])
    with pytest.raises(HappenedError, match="desk-d2 cannot be changed"):
        shop.rebuild()
    assert "d2" in desks
    shop.during[1] = lambda: desks["d2"]  # may be read
    shop.rebuild()
    assert shop.sold == {"emma": 1}


def test_a_handler_that_writes_through_the_connection_is_refused(shop: Shop) -> None:
    shop.place(1)

    def connect() -> None:
        with shop.domain.unit_of_work() as unit:
            assert unit.connection

    shop.during[1] = connect
    with pytest.raises(HappenedError, match="total cannot be rebuilt beside itself") as raised:
        shop.rebuild()
    assert "empty your table, and use `happened replay`" in str(raised.value)
    assert shop.sold == {"emma": 1}


def test_documents_that_somebody_left_beside_the_view_are_gone_after_a_restart(shop: Shop) -> None:
    save(shop.domain.storage, BESIDE, document("left", data=b'{"id":"left","sold":7}'))
    shop.place(1)
    shop.rebuild(restart=True)
    assert shop.sold == {"emma": 1}


# ------------------------------------------------------------------- replay of any handler


def replay_of(shop: Shop, name: str, **options: Any) -> Replay:
    subscription = next(each for each in shop.domain.subscriptions if each.name == name)
    return Replay(shop.domain.processor, f"{name}~replay", [subscription], **options)


def test_a_replay_calls_one_handler_again_and_does_what_it_does(shop: Shop) -> None:
    for n in range(5):
        shop.place(n)
    with shop.domain.domain_context():
        assert replay_of(shop, "send_mail").run() == 5
        assert shop.mails == [*range(5), *range(5)]
        assert shop.sold == {"emma": 5}
        assert replay_of(shop, "Totals").run(start=3) == 2
    assert shop.sold == {"emma": 7}
    assert shop.domain.storage.checkpoints("Totals~replay") == []


def test_a_replay_goes_on_where_a_failure_stopped_it(shop: Shop) -> None:
    for n in range(5):
        shop.place(n)
    shop.during[3] = fail
    with shop.domain.domain_context():
        with pytest.raises(HappenedError, match=r"Totals\.add failed on"):
            replay_of(shop, "Totals").run()
        assert shop.sold == {"emma": 7}  # five, and the first transaction
        shop.during.clear()
        assert replay_of(shop, "Totals").run() == 3
    assert shop.sold == {"emma": 10}
    with shop.domain.domain_context():
        assert replay_of(shop, "Totals").run() == 5  # that one is over: this is another


def test_a_replay_asks_for_the_source_stream(shop: Shop) -> None:
    shop.give_back(1)
    with trace("c1", origin_stream="order-o1"):
        shop.give_back(2)
    assert shop.thanked == [2]
    with shop.domain.domain_context():
        replay_of(shop, "thank").run()
    assert shop.thanked == [2, 2]
