"""What repositories, queries and units of work do, on every storage."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pydantic
import pytest

from happened import (
    Aggregate,
    ConcurrencyError,
    ConfigurationError,
    Domain,
    Entity,
    Event,
    HappenedError,
    NotFoundError,
    Repository,
    ValidationError,
    ValueObject,
)
from happened.fields import DateTime, HasMany, Identifier, String
from happened.fields import Decimal as DecimalField
from tests.storages import STORAGES


class Shelf:
    """A domain with an aggregate, and what its handlers saw."""

    def __init__(self, url: str) -> None:
        self.domain = domain = Domain("shelf", storage=url)
        self.seen: list[str] = []

        @domain.value_object
        class Place(ValueObject):
            room: str
            row: int = 1

        @domain.entity(part_of="Book")
        class Chapter(Entity):
            heading: str

        @domain.aggregate
        class Book(Aggregate):
            title: str = ""
            pages: int = 0
            isbn: str | None = String(unique=True, default=None)
            tags: list[str] = pydantic.Field(default_factory=list)
            place: Place | None = None
            chapters: list[Chapter] = HasMany(Chapter, default=list)

            def read(self, pages: int = 1) -> None:
                self.raise_(BookRead(book_id=self.id, pages=pages))

        @domain.event(part_of=Book)
        class BookRead(Event):
            book_id: str
            pages: int = 1

        @domain.on(BookRead)
        def note(event: BookRead) -> None:
            self.seen.append(f"{event.book_id} {event.pages}")

        self.Book: Any = Book
        self.Place: Any = Place
        self.Chapter: Any = Chapter
        domain.init(traverse=False)
        domain.storage.create()
        self.books: Any = domain.repository_for(Book)

    def positions(self, stream: str) -> list[int | None]:
        return [each.metadata.position for each in self.domain.storage.read(stream)]


@pytest.fixture
def shelf(storage_url: str) -> Shelf:
    return Shelf(storage_url)


# ------------------------------------------------------------------- add, get, remove


def test_what_was_added_is_got_with_all_that_it_holds(shelf: Shelf) -> None:
    book = shelf.Book(
        id="b1",
        title="Émile",
        tags=["novel"],
        place=shelf.Place(room="attic", row=3),
        chapters=[shelf.Chapter(id="c1", heading="I")],
    )
    shelf.books.add(book)
    for got in (shelf.books.get("b1"), shelf.books["b1"], shelf.books.find_by(title="Émile")):
        assert got is not book
        assert got == book
        assert got.to_dict() == book.to_dict()
    assert "b1" in shelf.books
    assert "b2" not in shelf.books


def test_an_identity_that_is_not_text_is_turned_into_text(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="7"))
    assert shelf.books.get(7).id == "7"
    assert 7 in shelf.books


def test_what_is_not_there_is_not_found(shelf: Shelf) -> None:
    with pytest.raises(NotFoundError) as caught:
        shelf.books.get("b1")
    assert (caught.value.type, caught.value.criteria) == (shelf.Book, {"id": "b1"})
    with pytest.raises(LookupError):
        shelf.books["b1"]
    with pytest.raises(NotFoundError) as caught:
        shelf.books.find_by(title="Emma", pages=3)
    assert caught.value.criteria == {"title": "Emma", "pages": 3}


def test_an_identity_of_another_name_is_named_in_the_error(storage_url: str) -> None:
    domain = Domain("shelf", storage=storage_url)

    @domain.aggregate
    class Copy(Aggregate):
        barcode: str = Identifier(identifier=True)

    domain.init(traverse=False)
    domain.storage.create()
    with pytest.raises(NotFoundError) as caught:
        domain.repository_for(Copy).get(12)
    assert caught.value.criteria == {"barcode": "12"}
    domain.repository_for(Copy).add(Copy(barcode="12"))
    assert domain.repository_for(Copy).get(12).barcode == "12"


def test_the_stored_state_is_never_shared(shelf: Shelf) -> None:
    tags = ["novel"]
    book = shelf.Book(id="b1", tags=tags, chapters=[shelf.Chapter(heading="I")])
    shelf.books.add(book)
    tags.append("given")
    book.tags.append("added")
    book.chapters[0].heading = "changed"
    got = shelf.books.get("b1")
    got.tags.append("got")
    (listed,) = shelf.books.query.all().items
    listed.tags.append("listed")
    assert shelf.books.get("b1").tags == ["novel"]
    assert shelf.books.get("b1").chapters[0].heading == "I"


def test_an_aggregate_can_be_changed_and_added_again_and_again(shelf: Shelf) -> None:
    book = shelf.Book(id="b1")
    for pages in (1, 2, 3):
        book.pages = pages
        book.read(pages)
        shelf.books.add(book)
        assert shelf.books.get("b1").pages == pages
        assert book._events == []
    assert shelf.seen == ["b1 1", "b1 2", "b1 3"]
    assert shelf.positions("book-b1") == [0, 1, 2]


def test_a_second_add_over_a_newer_version_is_refused_and_changes_nothing(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="b1", title="Emma"))
    first, second = shelf.books.get("b1"), shelf.books.get("b1")
    first.title = "first"
    first.read()
    shelf.books.add(first)
    second.title = "second"
    second.read()
    with pytest.raises(ConcurrencyError) as caught:
        shelf.books.add(second)
    error = caught.value
    assert (error.stream, error.expected, error.found) == ("book-b1", 1, 2)
    assert shelf.books.get("b1").title == "first"
    assert shelf.seen == ["b1 1"]
    assert shelf.positions("book-b1") == [0]
    assert len(second._events) == 1


def test_an_identity_is_added_as_new_once(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="b1", title="Emma"))
    with pytest.raises(ConcurrencyError) as caught:
        shelf.books.add(shelf.Book(id="b1", title="Persuasion"))
    assert (caught.value.expected, caught.value.found) == (0, 1)
    assert shelf.books.get("b1").title == "Emma"


def test_a_removed_aggregate_is_gone_and_its_events_stay(shelf: Shelf) -> None:
    book = shelf.Book(id="b1")
    book.read(1)
    shelf.books.add(book)
    book.read(2)
    shelf.books.remove(book)
    assert "b1" not in shelf.books
    assert shelf.books.query.count() == 0
    assert shelf.seen == ["b1 1", "b1 2"]
    assert shelf.positions("book-b1") == [0, 1]
    with pytest.raises(ConcurrencyError) as caught:
        shelf.books.add(book)
    assert (caught.value.expected, caught.value.found) == (2, 0)


def test_what_another_changed_is_not_removed(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="b1"))
    stale, fresh = shelf.books.get("b1"), shelf.books.get("b1")
    shelf.books.add(fresh)
    with pytest.raises(ConcurrencyError):
        shelf.books.remove(stale)
    assert "b1" in shelf.books


def test_what_was_never_stored_cannot_be_removed(shelf: Shelf) -> None:
    with pytest.raises(NotFoundError) as caught:
        shelf.books.remove(shelf.Book(id="b1"))
    assert caught.value.criteria == {"id": "b1"}


def test_an_identity_whose_stream_exists_is_not_given_to_another(shelf: Shelf) -> None:
    """Two aggregates in one stream would have events at one position."""
    book = shelf.Book(id="b1")
    book.read()
    shelf.books.add(book)
    shelf.books.remove(book)
    successor = shelf.Book(id="b1")
    with pytest.raises(ValidationError, match="'b1' was removed, and its stream stays"):
        shelf.books.add(successor)
    successor.read()
    with pytest.raises(ValidationError, match="an identity is used once"):
        shelf.books.add(successor)
    assert "b1" not in shelf.books
    assert shelf.positions("book-b1") == [0]


def test_an_aggregate_of_another_class_is_refused(shelf: Shelf) -> None:
    class Magazine(Aggregate): ...

    for refused in (Magazine(), "Emma"):
        with pytest.raises(ConfigurationError, match=r"this repository holds Book, found"):
            shelf.books.add(refused)
        with pytest.raises(ConfigurationError, match=r"this repository holds Book, found"):
            shelf.books.remove(refused)


def test_a_unique_value_that_is_taken_is_a_validation_error_of_its_field(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="b1", isbn="1"))
    book = shelf.Book(id="b2", isbn="1")
    book.read()
    with pytest.raises(ValidationError) as caught:
        shelf.books.add(book)
    assert list(caught.value.messages) == ["isbn"]
    assert shelf.seen == []
    book.isbn = "2"
    shelf.books.add(book)
    assert shelf.seen == ["b2 1"]


# ------------------------------------------------------------------- inside a unit of work


def test_a_unit_of_work_stores_all_or_nothing(shelf: Shelf) -> None:
    def work(*, fail: bool) -> None:
        with shelf.domain.unit_of_work():
            for id in ("b1", "b2"):
                book = shelf.Book(id=id, isbn=id)
                book.read()
                shelf.books.add(book)
            if fail:
                raise KeyError("in the block")

    with pytest.raises(KeyError, match="in the block"):
        work(fail=True)
    assert shelf.books.query.count() == 0
    assert shelf.seen == []
    assert shelf.domain.storage.read_category(None) == []
    work(fail=False)
    assert shelf.books.query.count() == 2
    assert shelf.seen == ["b1 1", "b2 1"]


def test_nothing_of_a_unit_of_work_is_seen_or_dispatched_before_its_end(shelf: Shelf) -> None:
    with shelf.domain.unit_of_work():
        book = shelf.Book(id="b1")
        book.read()
        shelf.books.add(book)
        assert shelf.domain.storage.begin().load("book", "b1") is None
        assert shelf.seen == []
    assert shelf.seen == ["b1 1"]


def test_what_is_got_twice_is_one_object(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="b1", title="Emma"))
    with shelf.domain.unit_of_work():
        book = shelf.books.get("b1")
        assert shelf.books.get("b1") is book
        assert shelf.books.find_by(title="Emma") is book
        assert list(shelf.books.query) == [book]
        assert next(iter(shelf.books.query)) is book
        added = shelf.Book(id="b2")
        shelf.books.add(added)
        assert shelf.books.get("b2") is added
    assert shelf.books.get("b1") is not book


def test_what_was_changed_and_added_is_stored_as_it_is_at_the_end(shelf: Shelf) -> None:
    with shelf.domain.unit_of_work():
        book = shelf.Book(id="b1")
        shelf.books.add(book)
        book.title = "Emma"
        book.read(7)
    assert shelf.books.get("b1").title == "Emma"
    assert shelf.seen == ["b1 7"]


def test_what_was_changed_and_not_added_is_not_stored(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="b1", title="Emma"))
    with shelf.domain.unit_of_work():
        shelf.books.get("b1").title = "changed"
    assert shelf.books.get("b1").title == "Emma"


def test_events_of_what_was_not_added_are_an_error_that_says_so(shelf: Shelf) -> None:
    def forget() -> None:
        with shelf.domain.unit_of_work():
            shelf.books.add(shelf.Book(id="b2"))
            shelf.books.get("b1").read()

    shelf.books.add(shelf.Book(id="b1"))
    with pytest.raises(HappenedError, match=r"book-b1 raised BookRead but was not added; .*Book"):
        forget()
    assert "b2" not in shelf.books
    assert shelf.seen == []


def test_a_query_sees_what_was_added_changed_and_removed_before(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="b1", pages=1))
    shelf.books.add(shelf.Book(id="b2", pages=1))
    with shelf.domain.unit_of_work():
        shelf.books.add(shelf.Book(id="b3", pages=1))
        assert shelf.books.query.filter(pages=1).count() == 3
        changed = shelf.books.get("b1")
        changed.pages = 5
        shelf.books.add(changed)
        shelf.books.remove(shelf.books.get("b2"))
        assert [book.id for book in shelf.books.query.filter(pages=1)] == ["b3"]
        assert shelf.books.find_by(pages=5) is changed
        assert "b2" not in shelf.books
        changed.pages = 6
        assert shelf.books.find_by(pages=6) is changed
    assert [book.id for book in shelf.books.query] == ["b1", "b3"]
    assert shelf.books.get("b1").pages == 6


def test_a_query_between_an_add_and_a_later_event_counts_the_position_right(shelf: Shelf) -> None:
    with shelf.domain.unit_of_work():
        book = shelf.Book(id="b1")
        shelf.books.add(book)
        assert shelf.books.query.count() == 1
        book.read()
    later = shelf.books.get("b1")
    later.read()
    shelf.books.add(later)
    assert shelf.positions("book-b1") == [0, 1]


@pytest.mark.parametrize("query", [False, True])
def test_what_is_added_and_removed_was_never_there(shelf: Shelf, query: bool) -> None:
    with shelf.domain.unit_of_work():
        book = shelf.Book(id="b1")
        book.read()
        shelf.books.add(book)
        assert not query or shelf.books.query.count() == 1
        shelf.books.remove(book)
        assert "b1" not in shelf.books
        assert not query or shelf.books.query.count() == 0
    assert shelf.books.query.count() == 0
    assert shelf.seen == []
    assert shelf.domain.storage.read_category(None) == []


@pytest.mark.parametrize("query", [False, True])
def test_what_is_removed_and_added_again_stays(shelf: Shelf, query: bool) -> None:
    shelf.books.add(shelf.Book(id="b1", title="Emma"))
    with shelf.domain.unit_of_work():
        book = shelf.books.get("b1")
        shelf.books.remove(book)
        assert not query or shelf.books.query.count() == 0
        book.title = "again"
        shelf.books.add(book)
        assert shelf.books.get("b1") is book
        assert not query or shelf.books.query.count() == 1
    assert shelf.books.get("b1").title == "again"


@pytest.mark.parametrize("query", [False, True])
def test_what_is_changed_added_and_removed_is_gone(shelf: Shelf, query: bool) -> None:
    shelf.books.add(shelf.Book(id="b1", title="Emma"))
    with shelf.domain.unit_of_work():
        book = shelf.books.get("b1")
        book.title = "changed"
        shelf.books.add(book)
        assert not query or shelf.books.query.count() == 1
        shelf.books.remove(book)
        book.read()
    assert shelf.books.query.count() == 0
    assert shelf.seen == ["b1 1"]


def test_of_two_objects_of_one_identity_none_is_lost_in_silence(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="b1"))

    def two_new() -> None:
        with shelf.domain.unit_of_work():
            shelf.books.add(shelf.Book(id="b2"))
            shelf.books.add(shelf.Book(id="b2"))

    def one_with_events() -> None:
        other = shelf.books.get("b1")
        with shelf.domain.unit_of_work():
            shelf.books.get("b1").read()
            shelf.books.add(other)

    def one_added_one_removed() -> None:
        other = shelf.books.get("b1")
        with shelf.domain.unit_of_work():
            shelf.books.add(shelf.books.get("b1"))
            shelf.books.remove(other)

    def one_replaced() -> None:
        with shelf.domain.unit_of_work():
            shelf.books.remove(shelf.books.get("b1"))
            shelf.books.add(shelf.Book(id="b1"))

    for work in (two_new, one_with_events, one_added_one_removed, one_replaced):
        with pytest.raises(ConcurrencyError):
            work()
    assert [book.id for book in shelf.books.query] == ["b1"]


def test_an_object_from_before_may_be_added_if_the_other_was_only_looked_at(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="b1"))
    before = shelf.books.get("b1")
    before.title = "before"
    with shelf.domain.unit_of_work():
        assert shelf.books.get("b1").title == ""
        shelf.books.add(before)
    assert shelf.books.get("b1").title == "before"


def test_events_come_in_the_order_in_which_their_aggregates_were_added(shelf: Shelf) -> None:
    with shelf.domain.unit_of_work():
        first, second = shelf.Book(id="b1"), shelf.Book(id="b2")
        second.read(1)
        shelf.books.add(second)
        first.read(2)
        shelf.books.add(first)
        second.read(3)
    assert shelf.seen == ["b2 1", "b2 3", "b1 2"]
    read = shelf.domain.storage.read_category("book")
    assert [each.metadata.stream for each in read] == ["book-b2", "book-b2", "book-b1"]


def test_unique_values_can_be_swapped_in_a_unit_of_work(shelf: Shelf) -> None:
    shelf.books.add(shelf.Book(id="b1", isbn="1"))
    shelf.books.add(shelf.Book(id="b2", isbn="2"))
    with shelf.domain.unit_of_work():
        first, second = shelf.books.get("b1"), shelf.books.get("b2")
        first.isbn, second.isbn = second.isbn, first.isbn
        shelf.books.add(first)
        shelf.books.add(second)
    assert shelf.books.find_by(isbn="2").id == "b1"
    with pytest.raises(ValidationError):
        shelf.books.add(shelf.Book(isbn="1"))


def test_a_value_that_does_not_fit_its_field_is_refused_when_it_is_stored(shelf: Shelf) -> None:
    book = shelf.Book(id="b1", tags=["novel"])
    list.append(book.tags, 7)  # behind the back of the list that checks
    with pytest.raises(ValidationError):
        shelf.books.add(book)
    assert "b1" not in shelf.books


@pytest.mark.parametrize("where", ["aggregate", "event"])
def test_half_a_character_is_refused_when_it_is_stored(storage_url: str, where: str) -> None:
    domain = Domain("shelf", storage=storage_url)

    @domain.aggregate
    class Book(Aggregate):
        title: str = ""

    @domain.event(part_of=Book)
    class BookRead(Event):
        by: str = ""

    domain.init(traverse=False)
    domain.storage.create()
    book = Book(id="b1", title="\ud800" if where == "aggregate" else "")
    book.raise_(BookRead(by="\ud800" if where == "event" else ""))
    with pytest.raises(ValidationError, match=r"is not valid: _entity: .*surrogates") as caught:
        domain.repository_for(Book).add(book)
    assert caught.value.title == ("Book" if where == "aggregate" else "BookRead")
    assert "b1" not in domain.repository_for(Book)
    assert domain.read_category() == []


def test_a_repository_is_a_class() -> None:
    with pytest.raises(ConfigurationError, match=r"^domain 'shelf': repository 7 is no class$"):
        Domain("shelf").repository(part_of="Book")(7)  # type: ignore[type-var]


def test_a_repository_of_ones_own_has_methods_of_its_own(storage_url: str) -> None:
    domain = Domain("shelf", storage=storage_url)

    @domain.aggregate
    class Book(Aggregate):
        title: str

    @domain.repository(part_of=Book)
    class Books(Repository[Book]):
        def titled(self, title: str) -> Book:
            return self.find_by(title=title)

    domain.init(traverse=False)
    domain.storage.create()
    books = domain.repository_for(Book)
    assert isinstance(books, Books)
    books.add(Book(title="Emma"))
    assert books.titled("Emma").title == "Emma"


def test_a_repository_needs_no_base_of_its_own(storage_url: str) -> None:
    domain = Domain("shelf", storage=storage_url)

    @domain.aggregate
    class Book(Aggregate):
        title: str

    @domain.repository(part_of="Book")
    class Books:
        """Ours."""

        def add(self, book: Book) -> None:
            book.title = book.title.upper()
            super().add(book)  # type: ignore[misc]

    domain.init(traverse=False)
    domain.storage.create()
    domain.repository_for(Book).add(Book(title="Emma"))
    assert domain.repository_for(Book).find_by(title="EMMA").title == "EMMA"
    assert (Books.__name__, Books.__doc__) == ("Books", "Ours.")
    assert Books.__module__ == __name__


# ------------------------------------------------------------------- queries


class Genre(Enum):
    NOVEL = "novel"
    POEM = "poem"


class Level(Enum):
    LOW = 1
    HIGH = 2


def at(hour: int, offset: int = 0) -> dt.datetime:
    return dt.datetime(2026, 3, 1, hour, tzinfo=dt.timezone(dt.timedelta(hours=offset)))


class Library:
    """A domain whose aggregate has a field of every kind; three are stored, ``a``, ``b``, ``c``."""

    def __init__(self, url: str) -> None:
        domain = Domain("library", storage=url)

        @domain.value_object
        class Size(ValueObject):
            width: int
            unit: str = "cm"

        @domain.aggregate
        class Item(Aggregate):
            text: str
            count: int
            ratio: float
            price: Decimal
            cost: Annotated[Decimal, pydantic.Field(ge=0)] = Decimal(0)
            fee: Decimal | None = DecimalField(default=None)
            tax: Annotated[Decimal, pydantic.Field(ge=0)] | None = None
            flag: bool
            day: dt.date
            moment: dt.datetime = DateTime()
            local: dt.datetime
            hour: dt.time
            genre: Genre
            level: Level
            word: Literal["x", "y"]
            code: UUID
            number: int | float
            tags: list[str]
            size: Size | None = None
            note: str | None = None
            owner: str | None = Identifier(default=None)
            anything: Any = None

        domain.init(traverse=False)
        domain.storage.create()
        self.items: Any = domain.repository_for(Item)
        rows: list[dict[str, Any]] = [
            {
                "text": "Emma",
                "count": 9,
                "ratio": 0.5,
                "price": Decimal("9.50"),
                "fee": Decimal("10"),
                "flag": True,
                "day": dt.date(2026, 3, 1),
                "moment": at(12),
                "local": dt.datetime(2026, 3, 1, 12),  # noqa: DTZ001  naive ones count as UTC
                "hour": dt.time(9),
                "genre": Genre.NOVEL,
                "level": Level.LOW,
                "word": "x",
                "code": UUID(int=1),
                "number": 1,
                "tags": ["old", "good"],
                "size": Size(width=10),
                "note": "hello",
                "owner": 7,
            },
            {
                "text": "Ímmanuel",
                "count": 10,
                "ratio": 1.5,
                "price": Decimal("10.00"),
                "fee": Decimal("9.5"),
                "tax": Decimal("10.0"),
                "flag": False,
                "day": dt.date(2026, 11, 2),
                "moment": at(12, offset=2),  # two hours before a's
                "local": at(13),
                "hour": dt.time(10),
                "genre": Genre.POEM,
                "level": Level.HIGH,
                "word": "y",
                "code": UUID(int=2),
                "number": 1.5,
                "tags": [],
                "size": Size(width=9, unit="in"),
                "owner": "8",
            },
            {
                "text": "emma",
                "count": -1,
                "ratio": -2.5,
                "price": Decimal("100"),
                "flag": True,
                "day": dt.date(2025, 12, 31),
                "moment": at(11, offset=-5),  # four hours after a's
                "local": at(11),
                "hour": dt.time(8, 30),
                "genre": Genre.NOVEL,
                "level": Level.HIGH,
                "word": "x",
                "code": UUID(int=3),
                "number": -1,
                "tags": ["good"],
            },
        ]
        for id, values in zip("abc", rows, strict=True):
            self.items.add(Item(id=id, **values))

    def ids(self, **conditions: Any) -> str:
        return "".join(item.id for item in self.items.query.filter(**conditions))


@pytest.fixture(scope="module", params=STORAGES, ids=lambda address: str(address.__name__))
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Made once for each storage: it is only read."""
    return Library(request.param(tmp_path_factory.mktemp("library")))


@pytest.mark.parametrize(
    "condition,value,expected",
    [
        # text: case counts, unless the lookup says otherwise
        ("text", "Emma", "a"),
        ("text__exact", "emma", "c"),
        ("text__ne", "Emma", "bc"),
        ("text__gt", "Emma", "bc"),
        ("text__gte", "emma", "bc"),
        ("text__lt", "emma", "a"),
        ("text__lte", "Emma", "a"),
        ("text__in", ["Emma", "nobody"], "a"),
        ("text__in", (), ""),
        ("text__contains", "mm", "abc"),
        ("text__contains", "Em", "a"),
        ("text__icontains", "EM", "ac"),
        ("text__icontains", "ÍMM", "b"),
        ("text__startswith", "Í", "b"),
        ("text__startswith", "%", ""),
        ("text__contains", "_", ""),
        ("text__endswith", "ma", "ac"),
        ("text__contains", "", "abc"),
        # numbers, by value
        ("count", 9, "a"),
        ("count", 9.0, "a"),
        ("count__ne", 9, "bc"),
        ("count__gt", 9, "b"),
        ("count__gte", 9, "ab"),
        ("count__lt", 9, "c"),
        ("count__lte", 9.5, "ac"),
        ("count__in", {9, -1}, "ac"),
        ("ratio__gt", 0, "ab"),
        ("number__gte", 1, "ab"),
        # decimals, as numbers
        ("price__gt", Decimal("9.9"), "bc"),
        ("price", Decimal("9.5"), "a"),
        ("price", 10, "b"),
        ("price__lt", 100.5, "abc"),
        ("price__in", [Decimal("9.500"), "100.0"], "ac"),
        ("fee__lt", "9.75", "b"),
        ("cost__lte", 0, "abc"),
        ("tax__gt", Decimal(9), "b"),
        # true and false
        ("flag", True, "ac"),
        ("flag__ne", True, "b"),
        ("flag__in", [False], "b"),
        # days and moments; the offset does not count
        ("day__lt", dt.date(2026, 3, 2), "ac"),
        ("day", dt.date(2026, 3, 1), "a"),
        ("day__in", [dt.date(2026, 3, 1), "2026-11-02"], "ab"),
        ("moment", at(13, offset=1), "a"),
        ("moment__lt", at(12), "b"),
        ("moment__gte", at(7, offset=-5), "ac"),
        ("moment__in", [at(10), at(16)], "bc"),
        ("moment__gt", "2026-03-01T12:00:00Z", "c"),
        ("local__gte", at(12), "ab"),
        ("local__lt", dt.datetime(2026, 3, 1, 12), "c"),  # noqa: DTZ001
        ("hour__gt", dt.time(8, 45), "ab"),
        # enumerations, literals, identifiers
        ("genre", Genre.NOVEL, "ac"),
        ("genre", "novel", "ac"),
        ("genre__ne", Genre.NOVEL, "b"),
        ("genre__in", [Genre.POEM], "b"),
        ("level__gte", Level.HIGH, "bc"),
        ("word", "y", "b"),
        ("word__startswith", "x", "ac"),
        ("code", UUID(int=2), "b"),
        ("code__in", [str(UUID(int=2))], "b"),
        ("owner", 7, "a"),
        ("owner__in", [7, 8], "ab"),
        ("id", "b", "b"),
        # lists hold
        ("tags__contains", "good", "ac"),
        ("tags", ["good"], "c"),
        ("tags", [], "b"),
        # None: equal to None alone, different from all else, and in no order
        ("note", None, "bc"),
        ("note__ne", None, "a"),
        ("note__ne", "hello", "bc"),
        ("note__isnull", True, "bc"),
        ("note__isnull", False, "a"),
        ("note__gt", "", "a"),
        ("note__lt", "zzz", "a"),
        ("note__contains", "", "a"),
        ("note__in", [None, "other"], "bc"),
        ("note__gt", None, ""),
        ("fee__isnull", True, "c"),
        ("fee__in", [None, 10], "ac"),
        # into a value object
        ("size__width", 9, "b"),
        ("size__width__gte", 9, "ab"),
        ("size__unit__ne", "cm", "bc"),
        ("size__unit__isnull", True, "c"),
        ("size__isnull", True, "c"),
        ("size__isnull", False, "ab"),
        ("size", None, "c"),
        ("size", {"width": 9, "unit": "in"}, "b"),
        ("anything__isnull", True, "abc"),
    ],
)
def test_a_lookup_finds(library: Library, condition: str, value: Any, expected: str) -> None:
    assert library.ids(**{condition: value}) == expected


def test_a_value_object_is_found_by_an_equal_one(library: Library) -> None:
    size = library.items.get("b").size
    assert library.ids(size=size) == "b"


def test_a_decimal_in_a_value_object_is_a_number_only_where_it_is_named(storage_url: str) -> None:
    shop = Domain("shop", storage=storage_url)

    @shop.value_object
    class Price(ValueObject):
        amount: Decimal

    @shop.aggregate
    class Offer(Aggregate):
        price: Price
        rebates: list[Decimal]

    shop.init(traverse=False)
    shop.storage.create()
    offers = shop.repository_for(Offer)
    stored, shorter = Decimal("9.50"), Decimal("9.5")
    offers.add(Offer(price=Price(amount=stored), rebates=[stored]))

    def found(**conditions: object) -> int:
        return offers.query.filter(**conditions).count()

    assert found(price=Price(amount=stored)) == 1
    assert found(price=Price(amount=shorter)) == 0
    assert found(price__in=[Price(amount=shorter)]) == 0
    assert found(price__ne=Price(amount=shorter)) == 1
    assert found(rebates__contains=stored) == 1
    assert found(rebates__contains=shorter) == 0
    assert found(price__amount=shorter) == 1


def test_conditions_add_up(library: Library) -> None:
    query = library.items.query.filter(flag=True, count__gt=0).filter(price__lt=10)
    assert [item.id for item in query] == ["a"]
    assert library.ids() == "abc"


@pytest.mark.parametrize(
    "fields,expected",
    [
        (["text"], "acb"),
        (["-text"], "bca"),
        (["count"], "cab"),
        (["-count"], "bac"),
        (["price"], "abc"),
        (["-price"], "cba"),
        (["fee"], "bac"),
        (["-fee"], "abc"),
        (["moment"], "bac"),
        (["-moment"], "cab"),
        (["local"], "cab"),
        (["day"], "cab"),
        (["flag", "count"], "bca"),
        (["-flag", "-count"], "acb"),
        (["flag"], "bac"),
        (["-flag"], "acb"),
        (["note", "-text"], "abc"),
        (["size__width"], "bac"),
        (["-size__width"], "abc"),
        (["level", "-id"], "acb"),
        ([], "abc"),
    ],
)
def test_an_order_puts_none_last_and_keeps_what_is_equal(
    library: Library, fields: Sequence[str], expected: str
) -> None:
    assert "".join(item.id for item in library.items.query.order_by(*fields)) == expected


def test_the_last_order_counts(library: Library) -> None:
    query = library.items.query.order_by("text").order_by("count")
    assert [item.id for item in query] == ["c", "a", "b"]


def test_offset_and_limit_cut_after_the_order_and_leave_the_total(library: Library) -> None:
    query = library.items.query.order_by("-count")
    page = query.offset(1).limit(1).all()
    assert ([item.id for item in page], len(page), page.total) == (["a"], 1, 3)
    assert [item.id for item in query.limit(2)] == ["b", "a"]
    assert [item.id for item in query.offset(2)] == ["c"]
    assert query.offset(5).all().items == []
    assert (query.limit(0).all().items, query.limit(0).all().total) == ([], 3)
    assert query.offset(1).limit(1).count() == 3
    assert query.filter(flag=True).count() == 2


def test_the_first_respects_what_was_asked(library: Library) -> None:
    query = library.items.query.order_by("count")
    assert query.first().id == "c"
    assert query.offset(1).first().id == "a"
    assert query.limit(2).first().id == "c"
    assert query.limit(0).first() is None
    assert query.filter(count=77).first() is None


def test_a_query_is_never_changed_by_what_is_built_on_it(library: Library) -> None:
    every = library.items.query
    every.filter(count=9).order_by("text").offset(1).limit(1)
    assert [item.id for item in every] == ["a", "b", "c"]


def test_the_largest_and_the_finest_decimals_are_compared(storage_url: str) -> None:
    domain = Domain("shop", storage=storage_url)

    @domain.aggregate
    class Offer(Aggregate):
        price: Decimal

    domain.init(traverse=False)
    domain.storage.create()
    offers = domain.repository_for(Offer)
    for id, price in {"a": "9E+131071", "b": "-9E+131071", "c": "1E-16383", "d": "0"}.items():
        offers.add(Offer(id=id, price=Decimal(price)))
    for price in ("1E+131072", "1E-16384"):
        with pytest.raises(ValidationError):
            Offer(price=Decimal(price))
    assert [offer.id for offer in offers.query.order_by("price")] == ["b", "d", "c", "a"]
    assert [offer.id for offer in offers.query.filter(price__gt=Decimal("1E-16383"))] == ["a"]
    assert offers.query.filter(price__lt=Decimal("9E+131071")).count() == 3
    assert offers.query.filter(price__lt=0)
    assert not offers.query.filter(price__in=[5, 6])
    domain.close()
