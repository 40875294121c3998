"""Layer 6. The contract of storages: what waits for handlers, and marks."""

from datetime import UTC, datetime, timedelta

import pytest

from happened.errors import ConcurrencyError
from happened.query import Criteria
from happened.storage import (
    Backlog,
    Checkpoint,
    Claim,
    Storage,
)
from happened.testing.storage_contract.actions import append, document, found, load, message, save
from happened.testing.storage_contract.checkpoints import advance
from happened.testing.storage_contract.partitions import (
    LATER,
    NOW,
    ONE,
    TWO,
    add,
    claim,
    defer,
    delivery,
    streams_of,
)


def test_a_delivery_comes_back_whole(stock: Storage) -> None:
    full = delivery(
        *(ONE, 4, "m1"),
        state="dead",
        attempts=6,
        error="KeyError: 'é'",
        traceback="a\nb",
        blocks=False,
    )
    defer(stock, full)
    assert stock.deliveries() == [full]


def test_deliveries_are_told_by_what_they_are_and_the_earliest_first(stock: Storage) -> None:
    first = delivery(TWO, 0, "m1", due=NOW - timedelta(seconds=1))
    second = delivery(ONE, 0, "m2", state="dead")
    third = delivery(ONE, 1, "m3", state="held")
    fourth = delivery(TWO, 0, "m1", handler="Emails.send", subscription="Emails", due=LATER)
    defer(stock, fourth, third, first, second)
    assert stock.deliveries() == [first, second, third, fourth]
    assert stock.deliveries(limit=2) == [first, second]
    assert stock.deliveries(subscription="Stock") == [first, second, third]
    assert stock.deliveries(state="dead") == [second]
    assert stock.deliveries(message_id="m1") == [first, fourth]
    assert stock.deliveries(message_id="m1", subscription="Emails") == [fourth]
    assert stock.deliveries(subscription="Nobody") == []
    assert stock.waiting() == {"dead": 1, "held": 1, first.state: 2}
    assert stock.waiting("Emails") == {fourth.state: 1}
    assert stock.waiting("Nobody") == {}


def test_of_one_handler_and_message_the_last_delivery_counts(stock: Storage) -> None:
    defer(stock, delivery(ONE, 0, "m1"))
    defer(stock, delivery(ONE, 0, "m1", state="held"), delivery(ONE, 0, "m1", state="dead"))
    assert [each.state for each in stock.deliveries()] == ["dead"]


def test_what_is_settled_waits_no_longer(stock: Storage) -> None:
    defer(stock, delivery(ONE, 0, "m1"), delivery(ONE, 1, "m2"))
    transaction = stock.begin()
    transaction.settle("Stock.reduce", "m1")
    transaction.defer(delivery(ONE, 1, "m2", attempts=2))
    assert len(stock.deliveries()) == 2
    transaction.commit()
    assert stock.deliveries() == [delivery(ONE, 1, "m2", attempts=2)]


def test_what_does_not_wait_cannot_be_settled_and_nothing_is_written(stock: Storage) -> None:
    defer(stock, delivery(ONE, 0, "m1"))
    first, second = stock.begin(), stock.begin()
    for transaction in (first, second):
        transaction.settle("Stock.reduce", "m1")
    second.save("book", document("b1"), expected=0)
    second.append([message(ONE, 0)])
    second.defer(delivery(ONE, 1, "m2"))
    first.commit()
    with pytest.raises(ConcurrencyError):
        second.commit()
    second.rollback()
    assert load(stock, "book", "b1") is None
    assert stock.read(ONE) == []
    assert stock.deliveries() == []


def test_a_durable_storage_notes_what_a_process_was_about_to_do(stock: Storage) -> None:
    event = message(ONE, 0)._replace(claims=("Stock.reduce", "send"))
    before = datetime.now(UTC)
    add(stock, event)
    pending = sorted(stock.deliveries())
    if not stock.durable:
        assert pending == []
        return
    assert [(each.handler, each.subscription, each.state) for each in pending] == [
        ("Stock.reduce", "Stock", "pending"),
        ("send", "send", "pending"),
    ]
    assert {(each.message_id, each.stream, each.position) for each in pending} == {
        (event.metadata.id, ONE, 0)
    }
    assert all(before <= each.due <= datetime.now(UTC) for each in pending)
    (read,) = stock.read(ONE)
    assert read.claims == ("Stock.reduce", "send")


def test_what_is_due_is_claimed_before_its_partition_has_new_messages(stock: Storage) -> None:
    retry = delivery(ONE, 0, "m1", due=LATER)
    defer(stock, retry)
    transaction = stock.begin()
    assert claim(transaction) is None
    got = claim(transaction, LATER)
    assert got == Claim(Checkpoint("Stock", 3, 0), [retry], frozenset({ONE}))
    transaction.rollback()


def test_of_a_blocked_stream_only_the_first_delivery_is_due(stock: Storage) -> None:
    near = streams_of(3)[1]
    first, held = delivery(ONE, 0, "m1", due=LATER), delivery(ONE, 1, "m2", state="held")
    dead, behind = delivery(near, 0, "m3", state="dead"), delivery(near, 1, "m4", state="held")
    aside = delivery(near, 2, "m5", blocks=False)
    defer(stock, aside, behind, dead, held, first)
    transaction = stock.begin()
    got = claim(transaction)
    assert got is not None
    assert got.due == [aside]
    assert got.blocked == {ONE, near}
    transaction.settle("Stock.reduce", "m1")
    transaction.settle("Stock.reduce", "m3")
    transaction.commit()
    got = claim(transaction)
    assert got is not None
    assert got.due == sorted([held, behind, aside], key=lambda each: (each.stream, each.position))
    assert got.blocked == {ONE, near}
    transaction.rollback()


def test_what_is_pending_is_left_for_a_while_to_who_committed_it(stock: Storage) -> None:
    defer(stock, delivery(ONE, 0, "m1", state="pending"))
    transaction = stock.begin()
    assert claim(transaction, NOW + timedelta(seconds=9), grace=10.0) is None
    assert claim(transaction, NOW + timedelta(seconds=10), grace=10.0) is not None
    transaction.rollback()


def test_a_dead_letter_alone_is_nothing_to_do(stock: Storage) -> None:
    defer(stock, delivery(ONE, 0, "m1", state="dead"))
    transaction = stock.begin()
    assert claim(transaction, LATER) is None
    transaction.rollback()


def test_the_backlog_is_what_was_not_read_yet(stock: Storage) -> None:
    assert stock.backlog("Stock", ["book"]) == Backlog(0, None)
    first, second, third = message(ONE, 0), message(TWO, 0), message("shelf-s1", 0)
    add(stock, first, second, third)
    assert stock.backlog("Stock", ["book"]) == Backlog(2, first.metadata.timestamp)
    assert stock.backlog("Stock", None) == Backlog(3, first.metadata.timestamp)
    assert stock.backlog("Stock", ["book", "shelf"]).messages == 3
    advance(stock, 1)
    assert stock.backlog("Stock", ["book"]) == Backlog(1, second.metadata.timestamp)
    assert stock.backlog("Nobody", None) == Backlog(0, None)


def test_all_is_numbered_once_it_was_read_by_category(stock: Storage) -> None:
    append(stock, message(ONE, 0), message(ONE, 1))
    assert stock.unnumbered().messages in (0, 2)
    assert [each.metadata.global_position for each in stock.read_category("book")] == [0, 1]
    assert stock.unnumbered() == Backlog(0, None)
    assert stock.number() == 0


def test_a_message_is_found_by_its_stream_and_position(storage: Storage) -> None:
    saved = [message(TWO, 0), message(ONE, 0, b'{"n":1}'), message(ONE, 1, b'{"n":2}')]
    append(storage, *saved)
    transaction = storage.begin()
    for number, (metadata, data, claims) in enumerate(saved):
        assert metadata.stream is not None
        assert metadata.position is not None
        early = transaction.find_message(metadata.stream, metadata.position)
        assert early is not None
        assert early.metadata._replace(global_position=None) == metadata
        assert early[1:] == (data, claims)
        read = storage.find_message(metadata.stream, metadata.position)
        assert read == (metadata._replace(global_position=number), data, claims)
        assert transaction.find_message(metadata.stream, metadata.position) == read
    for reader in (storage, transaction):
        assert reader.find_message(ONE, 2) is None
        assert reader.find_message(ONE, -1) is None
        assert reader.find_message("book-nobody", 0) is None
    transaction.rollback()


def test_a_message_is_found_by_its_id(storage: Storage) -> None:
    saved = [message(ONE, 0), message(ONE, 1, b'{"n":1}'), message(TWO, 0)]
    append(storage, *saved)
    found = storage.find_message_by_id(saved[1].metadata.id)
    assert found == (saved[1].metadata._replace(global_position=1), b'{"n":1}', ())
    assert storage.find_message_by_id("nobody") is None


def test_streams_are_told_by_their_names(storage: Storage) -> None:
    assert storage.streams() == []
    last = message("book-b1", 1)
    append(storage, message("book-b1", 0), message("shelf-s1", 0), last, message("book-a", 0))
    append(storage, message("book", 0), message("bookend-1", 0), message("book:command-1", 0))
    assert [each.stream for each in storage.streams()] == sorted(
        ["book", "book-a", "book-b1", "book:command-1", "bookend-1", "shelf-s1"]
    )
    assert [each.stream for each in storage.streams("book")] == ["book", "book-a", "book-b1"]
    (summary,) = storage.streams("book", after="book-a")
    assert summary == ("book-b1", 2, last.metadata.timestamp)
    assert [each.stream for each in storage.streams(after="book-b1", limit=2)] == [
        "book:command-1",
        "bookend-1",
    ]
    assert storage.streams("nothing") == storage.streams(limit=0) == []


@pytest.mark.parametrize("query", [False, True])
def test_what_was_written_after_a_mark_can_be_forgotten(stock: Storage, query: bool) -> None:
    save(stock, "book", document("b1"))
    defer(stock, delivery(ONE, 0, "m1"), delivery(ONE, 1, "m2"))
    add(stock, message(ONE, 0))
    transaction = stock.begin()
    got = claim(transaction)
    assert got is not None
    transaction.save("book", document("b1", 2), expected=1)
    transaction.append([message(ONE, 1)])
    transaction.settle("Stock.reduce", "m1")
    mark = transaction.savepoint(sure=True)
    transaction.save("book", document("b1", 3), expected=2)
    transaction.save("book", document("b2"), expected=0)
    transaction.append([message(ONE, 2), message(TWO, 0)])
    transaction.advance(got.checkpoint._replace(position=1))
    transaction.settle("Stock.reduce", "m2")
    transaction.defer(delivery(ONE, 2, "m3"))
    if query:
        assert transaction.find("book", Criteria()).total == 2
    assert transaction.restore(mark)
    assert [each.version for each in transaction.find("book", Criteria()).items] == [2]
    transaction.save("book", document("b3"), expected=0)
    transaction.commit()
    assert found(stock, "book") == ["b1", "b3"]
    assert len(stock.read(ONE)) == 2
    assert stock.read(TWO) == []
    assert [each.message_id for each in stock.deliveries()] == ["m2"]
    assert {each.position for each in stock.checkpoints("Stock")} == {0}


def test_a_conflict_shows_when_it_is_asked_for(stock: Storage) -> None:
    save(stock, "book", document("b1"))
    transaction = stock.begin()
    transaction.save("book", document("b1", 2), expected=1)
    transaction.flush()
    assert load(stock, "book", "b1") == document("b1")
    transaction.save("book", document("b1", 3), expected=2)
    transaction.append([message(ONE, 1)])
    with pytest.raises(ConcurrencyError):
        transaction.flush()
    transaction.rollback()
    assert load(stock, "book", "b1") == document("b1")


def test_what_was_flushed_is_committed_once(stock: Storage) -> None:
    transaction = stock.begin()
    transaction.save("book", document("b1"), expected=0)
    transaction.append([message(ONE, 0)])
    transaction.flush()
    transaction.flush()
    transaction.save("book", document("b1", 2), expected=1)
    transaction.append([message(ONE, 1)])
    transaction.commit()
    assert load(stock, "book", "b1") == document("b1", 2)
    assert len(stock.read(ONE)) == 2
