"""Layer 6. The contract of storages: checkpoints and claims of partitions."""

import time
from concurrent.futures import ThreadPoolExecutor

from happened.storage import (
    Checkpoint,
    Claim,
    Storage,
)
from happened.streams import PARTITIONS
from happened.testing.storage_contract.actions import append, document, load, message
from happened.testing.storage_contract.partitions import (
    NOW,
    ONE,
    TWO,
    add,
    claim,
    defer,
    delivery,
    streams_of,
)


def test_a_subscription_has_a_checkpoint_in_each_partition(storage: Storage) -> None:
    assert storage.checkpoints() == []
    storage.subscribe("Stock")
    storage.subscribe("Emails")
    expected = [Checkpoint("Stock", number, 0) for number in range(PARTITIONS)]
    assert storage.checkpoints("Stock") == expected
    assert [each.subscription for each in storage.checkpoints()] == (
        ["Emails"] * PARTITIONS + ["Stock"] * PARTITIONS
    )
    assert storage.checkpoints("Nobody") == []


def test_a_subscription_from_now_on_begins_behind_the_last_message(storage: Storage) -> None:
    add(storage, message(ONE, 0), message(TWO, 0))
    storage.subscribe("Stock", from_now=True)
    assert {each.position for each in storage.checkpoints("Stock")} == {2}
    transaction = storage.begin()
    assert claim(transaction) is None
    transaction.rollback()
    add(storage, message(ONE, 1))
    got = claim(transaction)
    assert got is not None
    assert got.checkpoint == Checkpoint("Stock", 3, 2)
    transaction.rollback()


def test_to_subscribe_again_changes_nothing(stock: Storage) -> None:
    add(stock, message(ONE, 0))
    advance(stock, 1)
    stock.subscribe("Stock")
    stock.subscribe("Stock", from_now=True)
    positions = {each.partition: each.position for each in stock.checkpoints("Stock")}
    assert positions == {**dict.fromkeys(range(PARTITIONS), 0), 3: 1}


def advance(storage: Storage, position: int) -> None:
    transaction = storage.begin()
    got = claim(transaction)
    assert got is not None
    transaction.advance(got.checkpoint._replace(position=position))
    transaction.commit()


def test_to_unsubscribe_forgets_checkpoints_and_what_waits(stock: Storage) -> None:
    stock.subscribe("Emails")
    other = delivery(ONE, 0, "m1", handler="Emails.send", subscription="Emails")
    defer(stock, delivery(ONE, 0, "m1"), delivery(ONE, 0, "m2", state="dead"), other)
    stock.unsubscribe("Stock")
    stock.unsubscribe("Nobody")
    assert stock.checkpoints("Stock") == []
    assert stock.deliveries() == [other]
    assert len(stock.checkpoints("Emails")) == PARTITIONS


def test_a_checkpoint_is_committed_with_what_was_written_beside_it(stock: Storage) -> None:
    add(stock, message(ONE, 0))
    transaction = stock.begin()
    got = claim(transaction)
    assert got is not None
    transaction.advance(got.checkpoint._replace(position=1))
    transaction.save("book", document("b1"), expected=0)
    assert {each.position for each in stock.checkpoints("Stock")} == {0}
    transaction.rollback()
    assert {each.position for each in stock.checkpoints("Stock")} == {0}
    advance(stock, 1)
    assert Checkpoint("Stock", 3, 1) in stock.checkpoints("Stock")
    assert load(stock, "book", "b1") is None


def test_where_there_is_nothing_to_do_nothing_is_claimed(storage: Storage) -> None:
    transaction = storage.begin()
    assert claim(transaction) is None
    add(storage, message(ONE, 0))
    assert claim(transaction) is None, "no such subscription"
    storage.subscribe("Stock")
    assert transaction.claim("Stock", ["shelf"], NOW) is None
    assert transaction.claim("Stock", [], NOW) is None
    transaction.rollback()


def test_a_partition_is_claimed_by_one_transaction_at_a_time(stock: Storage) -> None:
    add(stock, message(ONE, 0))
    first, second = stock.begin(), stock.begin()
    assert claim(first) == Claim(Checkpoint("Stock", 3, 0), [], frozenset())
    assert claim(second) is None
    first.rollback()
    got = claim(second)
    assert got is not None
    assert claim(first) is None
    second.advance(got.checkpoint._replace(position=1))
    second.commit()
    assert claim(first) is None, "it is read to the end"
    first.rollback()


def test_of_two_subscriptions_each_has_claims_of_its_own(stock: Storage) -> None:
    stock.subscribe("Emails")
    add(stock, message(ONE, 0))
    first, second = stock.begin(), stock.begin()
    assert first.claim("Stock", None, NOW) is not None
    assert second.claim("Emails", ["book"], NOW) is not None
    first.rollback()
    second.rollback()


def test_the_partition_that_is_read_the_least_far_is_claimed_first(stock: Storage) -> None:
    add(stock, message(ONE, 0), message(TWO, 0), message(ONE, 1))
    advance(stock, 1)
    first, second = stock.begin(), stock.begin()
    claims = [claim(first), claim(second)]
    assert [each and each.checkpoint for each in claims] == [
        Checkpoint("Stock", 7, 0),
        Checkpoint("Stock", 3, 1),
    ]
    first.rollback()
    second.rollback()


def test_a_partition_is_read_from_its_checkpoint_in_order(stock: Storage) -> None:
    near = streams_of(3)[1]
    shelf = streams_of(3, "shelf")[0]
    add(stock, message(ONE, 0), message(TWO, 0), message(shelf, 0), message(near, 0))
    add(stock, message(ONE, 1), message(shelf, 1))
    transaction = stock.begin()
    got = claim(transaction)
    assert got is not None
    place = got.checkpoint

    def read(categories: list[str] | None, limit: int = 9) -> list[tuple[str | None, int | None]]:
        messages = transaction.read_partition(Claim(place, [], frozenset()), categories, limit)
        return [(each.metadata.stream, each.metadata.global_position) for each in messages]

    assert read(["book"]) == [(ONE, 0), (near, 3), (ONE, 4)]
    assert read(["book"], 2) == [(ONE, 0), (near, 3)]
    assert read(["shelf", "book"], 3) == [(ONE, 0), (shelf, 2), (near, 3)]
    assert read(None) == [(ONE, 0), (shelf, 2), (near, 3), (ONE, 4), (shelf, 5)]
    assert read([]) == []
    place = place._replace(position=4)
    assert read(None) == [(ONE, 4), (shelf, 5)]
    transaction.rollback()


def test_eight_threads_read_each_message_once_and_each_stream_in_order(stock: Storage) -> None:
    names = [f"book-b{n}" for n in range(40)]
    for position in range(5):
        append(stock, *(message(name, position) for name in names))
    while stock.number():
        pass
    read: list[tuple[str | None, int | None]] = []
    working: set[int] = set()
    overlaps = []

    def work() -> None:
        idle = 0
        while idle < 50:
            transaction = stock.begin()
            got = claim(transaction)
            if got is None:
                transaction.rollback()
                idle += 1
                time.sleep(0.002)
                continue
            number = got.checkpoint.partition
            if number in working:
                overlaps.append(number)
            working.add(number)
            messages = transaction.read_partition(got, ["book"], 3)
            last = messages[-1].metadata.global_position or 0
            transaction.advance(got.checkpoint._replace(position=last + 1))
            read.extend((each.metadata.stream, each.metadata.position) for each in messages)
            working.discard(number)
            transaction.commit()

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(work) for _ in range(8)]:
            each.result(60)
    assert overlaps == []
    assert len(read) == 200
    for name in names:
        assert [position for stream, position in read if stream == name] == [0, 1, 2, 3, 4]
