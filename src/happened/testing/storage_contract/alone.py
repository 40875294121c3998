"""Layer 6. The contract of storages: who is alone, who waits, and the tables."""

import threading
import time
from collections.abc import Callable

import pytest

from happened.errors import StorageError, ValidationError
from happened.storage import (
    Checkpoint,
    Collection,
    Storage,
)
from happened.testing.storage_contract.actions import (
    append,
    document,
    found,
    load,
    message,
    prepare,
    save,
)
from happened.testing.storage_contract.partitions import ONE, TWO, add, claim


def in_a_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
    thread.start()
    return thread, results


def test_whoever_holds_a_subscription_waits_for_its_claims(stock: Storage) -> None:
    add(stock, message(ONE, 0))
    transaction = stock.begin()
    got = claim(transaction)
    assert got is not None
    holder = stock.begin()
    thread, results = in_a_thread(lambda: holder.hold("Stock"))
    thread.join(0.1)
    assert thread.is_alive(), "it did not wait"
    transaction.advance(got.checkpoint._replace(position=1))
    transaction.commit()
    thread.join(10)
    assert results == [stock.checkpoints("Stock")]
    assert Checkpoint("Stock", 3, 1) in stock.checkpoints("Stock")
    add(stock, message(ONE, 1))
    assert claim(transaction) is None
    holder.advance(Checkpoint("Stock", 3, 2))
    holder.commit()
    assert claim(transaction) is None
    add(stock, message(ONE, 2))
    assert claim(transaction) is not None
    transaction.rollback()


def test_a_subscription_that_is_not_known_is_held_at_once(storage: Storage) -> None:
    transaction = storage.begin()
    assert transaction.hold("Nobody") == []
    transaction.rollback()


def test_while_writers_are_excluded_nobody_appends(stock: Storage) -> None:
    append(stock, message(ONE, 0))
    transaction = stock.begin()
    transaction.exclude_writers()
    thread, results = in_a_thread(lambda: append(stock, message(TWO, 0)))
    thread.join(0.1)
    assert thread.is_alive(), "it did not wait"
    assert stock.read(TWO) == []
    transaction.append([message(ONE, 1)])
    transaction.commit()
    thread.join(10)
    assert results == [None]
    assert len(stock.read_category(None)) == 3


def test_documents_take_the_place_of_those_of_another_category(storage: Storage) -> None:
    storage.prepare([Collection("book", ("isbn",))])
    storage.create()
    save(storage, "book", document("b1", data=b'{"isbn":1}'), document("b2", data=b'{"isbn":2}'))
    save(storage, "new", document("b2", data=b'{"isbn":1}'), document("b3"))
    transaction = storage.begin()
    transaction.replace("book", "new")
    assert found(storage, "book") == ["b1", "b2"]
    transaction.commit()
    assert found(storage, "book") == ["b2", "b3"]
    assert found(storage, "new") == []
    with pytest.raises(ValidationError):
        save(storage, "book", document("b4", data=b'{"isbn":1}'))
    save(storage, "book", document("b1", data=b'{"isbn":2}'))
    transaction = storage.begin()
    transaction.replace("book", None)
    transaction.commit()
    assert found(storage, "book") == []


def test_who_waits_is_woken_by_a_commit(stock: Storage) -> None:
    thread, results = in_a_thread(lambda: stock.wait(60))
    for position in range(200):
        append(stock, message(ONE, position))
        thread.join(0.05)
        if results:
            break
    assert results == [True]


def test_who_waits_can_be_woken(storage: Storage) -> None:
    storage.create()
    begun = time.monotonic()
    thread, results = in_a_thread(lambda: storage.wait(60))
    while not results and time.monotonic() < begun + 20:
        storage.wake()
        thread.join(0.05)
    assert len(results) == 1


def test_where_nothing_happens_waiting_ends_after_its_time(stock: Storage) -> None:
    for _ in range(20):  # what was committed before may still count
        begun = time.monotonic()
        if not stock.wait(0.1):
            assert 0.09 < time.monotonic() - begun < 5
            return
    pytest.fail("it says each time that something was committed")


def test_what_was_created_has_no_problems_and_is_not_created_again(storage: Storage) -> None:
    storage.prepare([Collection("book", ("isbn",), "Book", ("title",))])
    storage.create()
    assert storage.problems() == []
    assert storage.create() == []
    save(storage, "book", document("b1", data=b'{"isbn":"1","title":"Emma"}'))
    with pytest.raises(ValidationError, match=r"Book is not valid: isbn: .*'1'"):
        save(storage, "book", document("b2", data=b'{"isbn":"1"}'))


def test_a_field_that_has_a_value_twice_cannot_become_unique(storage: Storage) -> None:
    twice = b'{"isbn":"978"}'
    save(storage, "book", document("b1", data=twice), document("b2", data=twice))

    def prepare() -> None:
        storage.prepare([Collection("book", ("isbn",), "Book")])
        storage.create()

    with pytest.raises(ValidationError) as caught:
        prepare()
    assert list(caught.value.messages) == ["isbn"]
    assert caught.value.title == "Book"


def test_a_durable_storage_refuses_a_domain_of_another_name(storage: Storage) -> None:
    prepare(storage, [Collection("book")], "shop")
    save(storage, "book", document("b1"))
    if not storage.durable:
        prepare(storage, [Collection("loan")], "library")
        assert found(storage, "book") == ["b1"]
        return
    uses: list[Callable[[], object]] = [
        lambda: prepare(storage, [Collection("loan")], "library"),
        storage.create,
        storage.problems,
        lambda: load(storage, "book", "b1"),
        lambda: found(storage, "book"),
        lambda: save(storage, "book", document("b2")),
        lambda: append(storage, message(ONE, 0)),
        lambda: claim(storage.begin()),
        lambda: storage.read_category(None),
        lambda: storage.subscribe("Stock"),
        storage.deliveries,
    ]
    for use in uses:
        with pytest.raises(StorageError, match=r"domain 'shop', .* domain 'library'") as caught:
            use()
        assert caught.value.storage == storage.url
    storage.prepare([], "shop")
    assert found(storage, "book") == ["b1"]
    assert storage.read_category(None) == []
    assert storage.checkpoints() == []


def test_tables_take_the_name_of_the_first_domain_that_uses_them(storage: Storage) -> None:
    storage.create()
    save(storage, "book", document("b1"))
    storage.prepare([Collection("book")], "shop")
    assert storage.problems() == []
    assert found(storage, "book") == ["b1"]
    if storage.durable:
        with pytest.raises(StorageError, match=r"domain 'shop', .* domain 'library'"):
            prepare(storage, [], "library")
    storage.prepare([], "shop")
    assert found(storage, "book") == ["b1"]
