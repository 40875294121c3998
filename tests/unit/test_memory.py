"""What memory storage has and no other storage: its price, and its own ways to be wrong."""

import gc
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from happened import (
    Aggregate,
    Command,
    ConcurrencyError,
    ConfigurationError,
    Domain,
    Event,
    current_domain,
    handle,
    new_id,
)
from happened.adapters.memory import MemoryStorage
from happened.query import Criteria
from happened.storage import Collection, open_storage, storage_problem
from happened.testing.storage_contract.actions import append, document, load, message, save


def test_each_memory_storage_is_one_of_its_own() -> None:
    one, two = open_storage("memory://"), open_storage("memory://")
    save(one, "book", document("b1"))
    assert load(two, "book", "b1") is None
    assert isinstance(one, MemoryStorage)
    assert MemoryStorage().url == "memory://"


def test_a_storage_without_an_adapter_is_refused_with_those_there_are() -> None:
    for url in ("", "memory", "memory:", "nosuch://x", "://"):
        assert "no adapter for it; there is one for 'memory://'" in str(storage_problem(url))
        with pytest.raises(ConfigurationError, match="no adapter for it"):
            open_storage(url)
    assert storage_problem("memory://shelf") is None
    with pytest.raises(ConfigurationError, match=r"^storage 'mysql://\.\.\.': no adapter") as e:
        open_storage("mysql://me:secret@db/shop")
    assert "secret" not in str(e.value)


def calls_of(work: Callable[[], object]) -> int:
    """How many calls of functions, those of C included, some work makes in this thread."""
    calls = 0

    def count(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    gc.disable()  # who is called back at a collection is no part of the price
    with pytest.MonkeyPatch.context() as patch:
        # The first identifier of a millisecond costs a call more: no millisecond passes.
        patch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
        new_id()
        sys.setprofile(count)
        try:
            work()
        finally:
            sys.setprofile(before)
            gc.enable()
    return calls


def test_the_price_of_an_operation_does_not_grow_with_what_is_stored() -> None:
    storage = MemoryStorage()
    storage.prepare([Collection("book", ("isbn",))])

    def write(number: int) -> None:
        id, data = f"b{number}", b'{"isbn":%d}' % number
        transaction = storage.begin()
        transaction.load("book", id)
        transaction.save("book", document(id, data=data), expected=0)
        transaction.save("book", document(id, 2, data), expected=1)
        transaction.append([message(f"book-{id}", 0), message("log-1", number)])
        transaction.commit()
        storage.read(f"book-{id}")
        storage.read("log-1", start=number)
        storage.read_category("log", start=2 * number)

    def grow(start: int, end: int) -> None:
        for number in range(start, end):
            write(number)

    grow(0, 99)
    few = calls_of(lambda: write(99))
    grow(100, 9_999)
    assert calls_of(lambda: write(9_999)) == few


def test_the_price_of_a_command_does_not_grow_with_what_is_stored() -> None:
    domain = Domain("shelf")

    @domain.aggregate
    class Book(Aggregate):
        def find(self) -> None:
            self.raise_(BookFound(book_id=self.id))

    @domain.event(part_of=Book)
    class BookFound(Event):
        book_id: str

    @domain.command(part_of=Book)
    class FindBook(Command):
        book_id: str

    @domain.command_handler(part_of=Book)
    class Books:
        @handle(FindBook)
        def find(self, command: FindBook) -> None:
            books = current_domain.repository_for(Book)
            book = books.get("b1") if "b1" in books else Book(id="b1")
            book.find()
            books.add(book)
            other = Book(id=command.book_id)
            other.find()
            books.add(other)

    @domain.event_handler(part_of=Book)
    class Notes:
        @handle(BookFound)
        def note(self, event: BookFound) -> None:
            assert event.book_id in current_domain.repository_for(Book)

    domain.init(traverse=False)

    def process(number: int) -> int:
        command = FindBook(book_id=f"book {number}")
        return calls_of(lambda: domain.process(command))

    for number in range(100):
        process(number)
    few = process(100)
    transaction = domain.storage.begin()
    for number in range(5_000):
        transaction.save("book", document(f"more {number}"), expected=0)
    transaction.append([message("book-more", position) for position in range(5_000)])
    transaction.commit()
    assert process(101) == few


def test_many_unique_values_in_one_transaction_cost_one_by_one() -> None:
    def price(count: int) -> int:
        storage = MemoryStorage()
        storage.prepare([Collection("book", ("isbn",))])
        documents = [document(f"b{n}", data=b'{"isbn":%d}' % n) for n in range(count)]
        return calls_of(lambda: save(storage, "book", *documents))

    assert price(400) < 4.2 * price(100)


def test_what_a_query_parsed_is_parsed_once() -> None:
    storage = MemoryStorage()
    save(storage, "book", *(document(f"b{n}") for n in range(100)))
    first = calls_of(lambda: storage.begin().find("book", Criteria()))
    second = calls_of(lambda: storage.begin().find("book", Criteria()))
    assert second < first / 2


def test_what_was_removed_is_not_kept_in_memory() -> None:
    storage = MemoryStorage()
    storage.prepare([Collection("book", ("isbn",))])
    save(storage, "book", document("b1", data=b'{"isbn":1}'))
    storage.begin().find("book", Criteria())
    transaction = storage.begin()
    transaction.remove("book", "b1", expected=1)
    transaction.commit()
    table = storage._tables["book"]
    assert (table.rows, table.parsed, table.unique) == ({}, {}, {"isbn": {}})


def test_a_message_without_a_place_is_refused() -> None:
    storage = MemoryStorage()
    nowhere = message("book-b1", 0)
    nowhere = nowhere._replace(metadata=nowhere.metadata._replace(position=None))
    with pytest.raises(ConcurrencyError, match="book-b1"):
        append(storage, nowhere)


def test_a_commit_waits_for_no_query_that_is_only_filtering() -> None:
    """Queries hold the lock while they gather, not while they compare."""
    storage = MemoryStorage()
    save(storage, "book", document("b1"))
    committed = threading.Event()

    def commit() -> None:
        save(storage, "book", document("b2"))
        committed.set()

    class Slow:
        def matches(self, data: dict[str, Any]) -> bool:
            thread = threading.Thread(target=commit)
            thread.start()
            thread.join(10)
            return committed.is_set()

    filters: Any = (Slow(),)
    page = storage.begin().find("book", Criteria(filters=filters))
    assert [each.id for each in page.items] == ["b1"]
