"""What users found out by trying: each of these went wrong once."""

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import pytest
from pydantic import Field, SecretStr

from happened import (
    Aggregate,
    Command,
    ConcurrencyError,
    ConfigurationError,
    Dispatcher,
    Domain,
    Entity,
    Event,
    HappenedError,
    ImmutableError,
    ValidationError,
    ValueObject,
    current_domain,
    handle,
    invariant,
    trace,
)
from happened.errors import was_committed
from happened.fields import DateTime
from happened.hooks import Step
from happened.unit_of_work import UnitOfWork, current_unit_of_work
from tests.unit.attempts import made, misconfigured, refused


class Shop:
    """Books and counts of them: a command adds a book, a handler counts it."""

    def __init__(self, retries: int) -> None:
        self.domain = domain = Domain("shop")
        self.tries = 0
        self.rival = 0

        @domain.aggregate
        class Book(Aggregate):
            def add(self) -> None:
                self.raise_(BookAdded(book_id=self.id))

        @domain.event(part_of=Book)
        class BookAdded(Event):
            book_id: str

        @domain.aggregate
        class Count(Aggregate):
            books: int = 0

        @domain.command(part_of=Book)
        class AddBook(Command):
            book_id: str

        @domain.command_handler(part_of=Book, retries=retries)
        class Books:
            @handle(AddBook)
            def add(self, command: Any) -> None:
                book = Book(id=command.book_id)
                book.add()
                current_domain.repository_for(Book).add(book)

        @domain.event_handler(part_of=Count, stream_category="book", retries=retries)
        class Counting:
            @handle(BookAdded)
            def count(self, event: Any) -> None:
                shop.tries += 1
                counts = current_domain.repository_for(Count)
                count = counts.get("all")
                count.books += 1
                counts.add(count)
                if shop.tries <= shop.rival:
                    shop.from_elsewhere()

        shop = self
        self.Book: Any = Book
        self.BookAdded: Any = BookAdded
        self.AddBook: Any = AddBook
        self.Count: Any = Count
        domain.init(traverse=False)
        domain.repository_for(Count).add(Count(id="all"))

    def from_elsewhere(self) -> None:
        """Another writer counts a book meanwhile."""

        def write() -> None:
            counts = self.domain.repository_for(self.Count)
            count = counts.get("all")
            count.books += 100
            counts.add(count)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(write).result()

    def counted(self) -> int:
        return int(self.domain.repository_for(self.Count).get("all").books)


def test_an_event_handler_that_lost_a_race_is_called_again_if_it_asks_for_that() -> None:
    shop = Shop(retries=2)
    shop.rival = 2
    shop.domain.process(shop.AddBook(book_id="b1"))
    assert (shop.tries, shop.counted()) == (3, 201)


def test_a_failure_of_an_event_handler_says_that_the_event_stays() -> None:
    shop = Shop(retries=0)
    shop.rival = 1
    with pytest.raises(ConcurrencyError) as caught:
        shop.domain.process(shop.AddBook(book_id="b1"))
    assert caught.value.__notes__ == [
        "raised by event handler Counting.count for BookAdded; the event stays recorded"
    ]
    assert "b1" in shop.domain.repository_for(shop.Book)


def test_a_failure_tells_whether_what_it_came_from_was_committed() -> None:
    shop = Shop(retries=0)
    shop.rival = 1
    with pytest.raises(ConcurrencyError) as caught:
        shop.domain.process(shop.AddBook(book_id="b1"))
    assert was_committed(caught.value)
    with pytest.raises(ConcurrencyError) as caught:
        shop.domain.process(shop.AddBook(book_id="b1"))
    assert not was_committed(caught.value)


def test_a_group_was_committed_if_all_of_it_came_later() -> None:
    shop = Shop(retries=0)

    @shop.domain.on(shop.BookAdded)
    def fail(event: Any) -> None:
        if event.book_id == "b2":
            raise ExceptionGroup("of its own", [KeyError("one"), KeyError("two")])
        raise KeyError("one")

    shop.domain.init(traverse=False)
    shop.rival = 2
    with pytest.raises(ExceptionGroup) as caught:
        shop.domain.process(shop.AddBook(book_id="b1"))
    assert was_committed(caught.value)
    shop.rival = 0
    with pytest.raises(ExceptionGroup) as caught:
        shop.domain.process(shop.AddBook(book_id="b2"))
    assert was_committed(caught.value)
    with pytest.raises(ExceptionGroup) as again, shop.domain.unit_of_work():
        raise caught.value
    assert not was_committed(again.value)


def test_what_another_domain_had_committed_is_not_what_this_one_has() -> None:
    other, shop = Shop(retries=0), Shop(retries=0)
    other.rival = 1
    with pytest.raises(ConcurrencyError) as caught, shop.domain.unit_of_work():
        other.domain.process(other.AddBook(book_id="b1"))
    assert not was_committed(caught.value)


def test_a_command_that_was_refused_was_not_committed_although_what_it_processed_was() -> None:
    shop = Shop(retries=0)
    shop.rival = 1

    def refuse() -> None:
        with shop.domain.unit_of_work():
            shop.domain.process(shop.AddBook(book_id="b1"))
            raise KeyError("no")

    with pytest.raises(ExceptionGroup) as caught:
        refuse()
    refused, later = caught.value.exceptions
    assert (was_committed(refused), was_committed(later)) == (False, True)
    assert not was_committed(caught.value)


def test_a_handler_is_not_called_again_once_something_inside_it_was_committed() -> None:
    shop = Shop(retries=3)
    calls = []

    @shop.domain.on(shop.BookAdded, retries=3)
    def order_another(event: Any) -> None:
        calls.append(event.book_id)
        if event.book_id == "b1":
            shop.domain.process(shop.AddBook(book_id="b2"))
            raise ConcurrencyError("book-b9", expected=1, found=2)

    shop.domain.init(traverse=False)
    with pytest.raises(ConcurrencyError):
        shop.domain.process(shop.AddBook(book_id="b1"))
    assert calls == ["b1", "b2"]
    assert shop.counted() == 2


def test_an_observer_that_raises_undoes_nothing_and_repeats_nothing() -> None:
    shop = Shop(retries=3)

    def faulty(step: Step) -> None:
        if step.kind == "persisted" and step.handler == "Books.add":
            raise ConcurrencyError("x", expected=1, found=2)

    shop.domain.observers.append(faulty)
    with pytest.raises(ConcurrencyError):
        shop.domain.process(shop.AddBook(book_id="b1"))
    assert (shop.tries, shop.counted()) == (1, 1)


def test_a_unit_of_work_that_has_ended_takes_nothing() -> None:
    shop = Shop(retries=0)
    unit = UnitOfWork(shop.domain.storage)
    unit.rollback()
    for change in (unit.add, unit.remove):
        with pytest.raises(HappenedError, match="this unit of work has ended"):
            change(shop.Book(id="b1"))


def test_a_block_may_be_left_in_another_context_than_it_was_entered_in() -> None:
    shop = Shop(retries=0)

    def dependency() -> Iterator[None]:
        with shop.domain.unit_of_work(), trace("request-1"):
            shop.domain.repository_for(shop.Book).add(shop.Book(id="b1"))
            yield

    opened = dependency()
    copy_context().run(next, opened)
    with suppress(StopIteration):
        copy_context().run(next, opened)
    assert "b1" in shop.domain.repository_for(shop.Book)
    assert current_unit_of_work.get() is None


def test_a_domain_whose_storage_is_not_prepared_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Shop(retries=0)

    def prepare(*_: object) -> None:
        raise OSError("no storage")

    monkeypatch.setattr(shop.domain.storage, "prepare", prepare)
    with pytest.raises(OSError, match="no storage"):
        shop.domain.init(traverse=False)
    assert "call init()" in misconfigured(shop.domain.process, shop.AddBook(book_id="b1"))[0]


def test_headers_are_plain_data() -> None:
    class BookLent(Event): ...

    assert refused(BookLent, metadata={"a": object()}).keys() == {"metadata"}
    given: dict[str, Any] = {"ids": ["b1"], 5: (1, 2)}  # type: ignore[dict-item]
    event = BookLent(metadata=given)
    given["ids"].append("b2")
    assert event.metadata == {"ids": ["b1"], "5": [1, 2]}
    with pytest.raises(ImmutableError):
        event.metadata["ids"].append("b3")


def test_a_correlation_id_of_its_own_begins_a_chain_of_its_own() -> None:
    class BookLent(Event): ...

    with trace("request-1", "m1", "order-7"):
        inside, own = BookLent(), BookLent(correlation_id="other")
    assert inside._metadata.origin_stream == "order-7"
    assert own._metadata.origin_stream is None


def test_an_aggregate_is_not_held_by_another_thing() -> None:
    class Book(Aggregate): ...

    class Chapter(Entity): ...

    def shelf_with_a_book() -> None:
        class Shelf(Aggregate):
            book: Book | None = None

    def price_with_a_chapter() -> None:
        class Price(ValueObject):
            chapters: list[Chapter]

    assert misconfigured(shelf_with_a_book) == (
        "Shelf.book: an aggregate is named by its identity, not held; store the identity as text",
    )
    assert misconfigured(price_with_a_chapter) == (
        "Price.chapters: a value object cannot change, but an entity can; hold its values instead",
    )


def test_an_invariant_that_returns_something_is_a_mistake() -> None:
    class Shelf(Aggregate):
        books: int = 0

        @invariant
        def they_fit(self) -> None:
            return self.books < 3  # type: ignore[return-value]

    with pytest.raises(ConfigurationError, match=r"Shelf.they_fit returned True; invariants"):
        Shelf()


def test_an_assertion_is_an_invariant_too() -> None:
    class Shelf(Aggregate):
        books: int = 0

        @invariant
        def they_fit(self) -> None:
            if self.books > 2:
                raise AssertionError("there is room for two")

    assert refused(Shelf, books=3) == {"_entity": ["there is room for two"]}


def test_what_lies_deep_in_a_field_is_held_to_the_invariants_before_it_is_stored() -> None:
    class Shelf(Aggregate):
        rows: dict[str, list[int]]

        @invariant
        def no_row_is_full(self) -> None:
            if any(len(row) > 2 for row in self.rows.values()):
                raise ValueError("a row is full")

    shelf = made(Shelf, rows={"a": [1, 2]})
    shelf.rows["a"].append(3)
    assert refused(shelf._to_document) == {"_entity": ["a row is full"]}


def test_a_repository_can_be_looped_over() -> None:
    shop = Shop(retries=0)
    shop.domain.process(shop.AddBook(book_id="b1"))
    assert [book.id for book in shop.domain.repository_for(shop.Book)] == ["b1"]


def test_a_text_alone_is_one_text() -> None:
    wrong: Any = {"title": "too long"}
    assert ValidationError(wrong).messages == {"title": ["too long"]}


def test_a_handler_that_cannot_be_called_with_a_message_is_a_mistake() -> None:
    shop = Shop(retries=0)

    class Wrong:
        @handle(shop.BookAdded)
        def nothing(self) -> None: ...

        @handle(shop.BookAdded)
        def more(self, event: Any, other: Any, *, late: int = 1) -> None: ...

    def two(event: Any, other: Any) -> None: ...

    shop.domain.on(shop.BookAdded)(two)
    shop.domain.event_handler(part_of=shop.Book)(Wrong)
    with pytest.raises(ConfigurationError) as caught:
        shop.domain.init(traverse=False)
    assert [problem.partition(", but ")[0] for problem in caught.value.problems] == [
        "domain 'shop': event handler two is called with the message alone",
        "domain 'shop': event handler Wrong.nothing is called with the message alone",
        "domain 'shop': event handler Wrong.more is called with the message alone",
    ]
    assert "it takes (event: Any, other: Any)" in caught.value.problems[0]
    dispatcher = Dispatcher()
    assert "is called with the event alone" in misconfigured(dispatcher.on(Event), two)[0]


def test_what_could_not_be_read_back_is_a_mistake() -> None:
    domain = Domain("shop")

    @domain.entity(part_of="Login")
    class Device(Entity): ...

    @domain.aggregate
    class Login(Aggregate):
        password: SecretStr | None = None
        draft: int = Field(default=1, exclude=True)

    @domain.event(part_of=Login)
    class LoggedIn(Event):
        devices: list[Device]

    with pytest.raises(ConfigurationError) as caught:
        domain.init(traverse=False)
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "domain 'shop': aggregate Login.password is a secret, which is stored as asterisks",
        "domain 'shop': aggregate Login.draft is declared with exclude=, so it is not stored",
        "domain 'shop': event LoggedIn.devices holds an entity, which can change",
    ]


def test_a_moment_without_a_time_zone_is_refused_beside_a_type_too() -> None:
    class Visit(Aggregate):
        at: dt.datetime = DateTime()
        left: dt.datetime | None = DateTime(default=None)

    assert refused(Visit, at="2026-03-01T10:00:00") == {
        "at": ["Input should have timezone info (found '2026-03-01T10:00:00')"]
    }
    assert made(Visit, at="2026-03-01T10:00:00+02:00").left is None
