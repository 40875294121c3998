"""What a unit of work leaves behind in the storage's hands: nothing that is open."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from happened import Aggregate, ConcurrencyError, ConfigurationError, Domain, HappenedError
from happened.adapters.memory import MemoryStorage, MemoryTransaction
from happened.unit_of_work import UnitOfWork, current_unit_of_work


class Counting(MemoryStorage):
    """A storage that knows which of its transactions are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: set[int] = set()

    def begin(self) -> MemoryTransaction:
        super().begin()
        return Counted(self)


class Counted(MemoryTransaction):
    def __init__(self, storage: Counting) -> None:
        super().__init__(storage)
        self.counting = storage
        storage.open.add(id(self))

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
