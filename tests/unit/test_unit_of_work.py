"""What a unit of work leaves behind in the storage's hands: nothing that is open."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from happened import (
    Aggregate,
    Command,
    ConcurrencyError,
    ConfigurationError,
    Domain,
    Entity,
    Event,
    HappenedError,
    atomic_change,
    handle,
    invariant,
)
from happened.adapters.memory import MemoryStorage, MemoryTransaction
from happened.fields import HasMany
from happened.hooks import Step
from happened.unit_of_work import UnitOfWork, current_unit_of_work


class Counting(MemoryStorage):
    """A storage that knows which of its transactions are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: set[int] = set()

    def begin(self, connection: Any = None) -> MemoryTransaction:
        super().begin(connection)
        return Counted(self)


class Counted(MemoryTransaction):
    def __init__(self, storage: Counting) -> None:
        super().__init__(storage)
        self.counting = storage
        storage.open.add(id(self))

    def commit(self) -> None:
        super().commit()
        self.counting.open.discard(id(self))

    def rollback(self) -> None:
        super().rollback()
        self.counting.open.discard(id(self))


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A domain on such a storage."""
    storage = Counting()
    monkeypatch.setattr("happened.domain.open_storage", lambda url: storage)
    return Domain("shelf")


def test_no_call_leaves_a_transaction_open(counting: Domain) -> None:
    @counting.aggregate
    class Book(Aggregate):
        title: str = ""

    counting.init(traverse=False)
    books = counting.repository_for(Book)
    storage: Any = counting.storage
    books.add(Book(id="b1"))
    calls: list[Callable[[], object]] = [
        lambda: books.get("b1"),
        lambda: "b2" in books,
        books.query.all,
        lambda: books.find_by(title=""),
        lambda: books.get("b2"),
        lambda: books.add(Book(id="b1")),
        lambda: books.remove(Book(id="b2")),
        lambda: books.remove(books.get("b1")),
    ]
    for call in calls:
        with suppress(HappenedError):
            call()
        assert storage.open == set()
    with counting.unit_of_work():
        assert len(storage.open) == 1
    assert storage.open == set()


def test_an_observer_that_breaks_the_rule_and_raises_leaves_no_transaction_open(
    counting: Domain,
) -> None:
    @counting.aggregate
    class Book(Aggregate): ...

    @counting.command(part_of=Book)
    class AddBook(Command): ...

    @counting.command_handler(part_of=Book)
    class Books:
        @handle(AddBook)
        def add(self, command: AddBook) -> None: ...

    def refuse(step: Step) -> None:
        if step.kind == "handling":
            raise KeyError(step.kind)

    counting.init(traverse=False)
    counting.observers.append(refuse)
    with pytest.raises(KeyError, match="handling"):
        counting.process(AddBook())
    storage: Any = counting.storage
    assert storage.open == set()


def test_it_takes_nothing_any_more_once_it_is_finished() -> None:
    """A task or thread that was started in it may outlive it; what it adds must not be lost."""
    domain = Domain("shelf")

    @domain.aggregate
    class Book(Aggregate): ...

    domain.init(traverse=False)
    books = domain.repository_for(Book)
    with domain.unit_of_work() as unit:
        pass
    token = current_unit_of_work.set(unit)
    try:
        books.add(Book(id="b1"))
        assert "b1" in books
        with domain.unit_of_work() as other:
            assert other is not unit
            books.add(Book(id="b2"))
    finally:
        current_unit_of_work.reset(token)
    assert [book.id for book in books.query] == ["b1", "b2"]


def test_it_is_finished_after_a_commit_and_after_a_rollback() -> None:
    for end in (UnitOfWork.commit, UnitOfWork.rollback):
        unit = UnitOfWork(MemoryStorage())
        assert not unit.finished
        end(unit)
        assert unit.finished


def test_a_commit_tells_what_was_persisted_with_its_events() -> None:
    domain = Domain("shelf")

    @domain.aggregate
    class Book(Aggregate): ...

    domain.init(traverse=False)
    unit = UnitOfWork(domain.storage)
    book = Book(id="b1")
    unit.add(book)
    assert unit.persisted == []
    assert unit.commit() == []
    assert unit.persisted == [(book, [])]


def test_a_domain_that_is_not_ready_says_so() -> None:
    domain = Domain("shelf")

    @domain.aggregate
    class Book(Aggregate): ...

    with pytest.raises(ConfigurationError, match=r"'shelf' is not ready; call init\(\)"):
        domain.repository_for(Book)
    with pytest.raises(ConfigurationError, match="not ready"), domain.unit_of_work():
        pass


def test_a_conflict_that_a_query_met_is_not_forgotten(
    counting: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage that locks may refuse a write at once, and the block may go on."""

    @counting.aggregate
    class Book(Aggregate): ...

    counting.init(traverse=False)
    books = counting.repository_for(Book)

    def refuse(*_: object, **__: object) -> None:
        raise ConcurrencyError("book-b1", expected=0, found=1)

    def work() -> None:
        with counting.unit_of_work():
            books.add(Book(id="b1"))
            with pytest.raises(ConcurrencyError):
                books.query.all()

    monkeypatch.setattr(Counted, "save", refuse)
    with pytest.raises(ConcurrencyError):
        work()


class Shelf:
    """A domain whose one event has a handler."""

    def __init__(self) -> None:
        self.domain = domain = Domain("shelf")
        self.handled: list[str] = []

        @domain.aggregate
        class Book(Aggregate):
            title: str = ""

        @domain.event(part_of=Book)
        class BookAdded(Event):
            book_id: str

        @domain.on(BookAdded)
        def note(event: BookAdded) -> None:
            self.handled.append(event.book_id)

        domain.init(traverse=False)
        self.books: Any = domain.repository_for(Book)
        self.Book: Any = Book
        self.BookAdded: Any = BookAdded

    def added(self, id: str) -> Any:
        book = self.Book(id=id)
        book.raise_(self.BookAdded(book_id=id))
        return book


@pytest.mark.parametrize("query", [False, True])
def test_a_block_that_rolls_back_by_itself_stores_neither_state_nor_events(query: bool) -> None:
    shelf = Shelf()
    with shelf.domain.unit_of_work() as unit:
        shelf.books.add(shelf.added("b1"))
        if query:  # what was added is in the transaction now
            assert shelf.books.query.count() == 1
        unit.rollback()
    assert "b1" not in shelf.books
    assert shelf.domain.storage.read_category(None) == []
    assert shelf.handled == []


def test_a_block_that_commits_by_itself_does_so_once_and_its_events_are_dispatched() -> None:
    shelf = Shelf()
    with shelf.domain.unit_of_work() as unit:
        shelf.books.add(shelf.added("b1"))
        assert [event.to_dict() for event in unit.commit()] == [{"book_id": "b1"}]
        assert shelf.handled == []
    assert shelf.handled == ["b1"]
    assert shelf.books.get("b1")._version == 1
    assert len(shelf.domain.storage.read("book-b1")) == 1


@pytest.mark.parametrize("part", [False, True])
def test_what_is_in_the_middle_of_a_change_is_not_stored(part: bool) -> None:
    domain = Domain("shop")

    @domain.entity(part_of="Order")
    class Line(Entity):
        copies: int = 1

    @domain.aggregate
    class Order(Aggregate):
        lines: list[Line] = HasMany(Line)
        total: int = 1

        @invariant
        def it_adds_up(self) -> None:
            if self.total != sum(line.copies for line in self.lines):
                raise ValueError("the total is wrong")

    domain.init(traverse=False)
    orders = domain.repository_for(Order)
    order = Order(id="o1", lines=[Line(id="l1")])

    def work() -> None:
        with atomic_change(order.lines[0] if part else order):
            order.lines[0].copies = 2
            orders.add(order)

    with pytest.raises(HappenedError, match="order-o1 is in the middle of an atomic_change"):
        work()
    assert "o1" not in orders
    assert order.lines[0].copies == 1
    orders.add(order)
    assert orders.get("o1")._version == 1
