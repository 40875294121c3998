"""Declarations: every style of field, mixed in one class, and what is refused."""

import dataclasses
import datetime as dt
from functools import cached_property
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import pydantic
import pytest
from pydantic import Field, computed_field

from happened import Aggregate, Command, ConfigurationError, Entity, Event, ValueObject, fields
from happened.declaration import field_specs, validation_error
from happened.fields import Decimal, HasMany, Identifier, Integer, String
from tests.unit import postponed
from tests.unit.attempts import made, misconfigured, refused


class Money(ValueObject):
    cents: int


class Chapter(Entity):
    heading: str
    pages: int = Integer(min_value=1, default=1)


class Copy(Aggregate):
    book_id: str = Identifier()
    title: Annotated[str, Field(max_length=5)] = ""
    lent: int = 0
    section: String(max_length=2, default="A1")  # type: ignore[valid-type]
    room: Integer(required=True)  # type: ignore[valid-type]
    note = String(max_length=3)
    price: Money | None = None
    chapters: list[Chapter] = HasMany(Chapter, default=list)
    ratings: ClassVar[int] = 5


EXPECTED = {
    "id": "c1",
    "book_id": "7",
    "title": "Emma",
    "lent": 0,
    "section": "A1",
    "room": 3,
    "note": None,
    "price": {"cents": 5},
    "chapters": [{"id": "i", "heading": "I", "pages": 2}],
}
GIVEN: dict[str, Any] = {
    "id": "c1",
    "book_id": 7,
    "title": "Emma",
    "room": "3",
    "price": {"cents": 5},
    "chapters": [{"id": "i", "heading": "I", "pages": 2}],
}

styles = pytest.mark.parametrize("kind", [Copy, postponed.Copy], ids=["evaluated", "postponed"])


@styles
def test_all_styles_of_fields_mix_in_one_class(kind: type[Any]) -> None:
    assert kind.__pydantic_complete__
    assert made(kind, **GIVEN).to_dict() == EXPECTED
    assert kind.ratings == 5


@styles
def test_every_wrong_and_every_missing_field_is_reported_nested_ones_by_their_path(
    kind: type[Any],
) -> None:
    assert refused(
        kind,
        title="Persuasion",
        lent="often",
        section="A12",
        note="long",
        price={"cents": "few", "currency": "EUR"},
        chapters=[{"heading": "I"}, {"pages": 0}],
        colour="red",
    ) == {
        "book_id": ["a value is required"],
        "title": ["String should have at most 5 characters (found 'Persuasion')"],
        "lent": [
            "Input should be a valid integer, unable to parse string as an integer (found 'often')"
        ],
        "section": ["String should have at most 2 characters (found 'A12')"],
        "room": ["a value is required"],
        "note": ["String should have at most 3 characters (found 'long')"],
        "price.cents": [
            "Input should be a valid integer, unable to parse string as an integer (found 'few')"
        ],
        "price.currency": ["there is no such field (found 'EUR')"],
        "chapters.1.heading": ["a value is required"],
        "chapters.1.pages": ["Input should be greater than or equal to 1 (found 0)"],
        "colour": ["there is no such field (found 'red')"],
    }


@styles
def test_a_typed_field_is_required_unless_it_has_a_default_or_none_is_allowed(
    kind: type[Any],
) -> None:
    required = {name for name, field in kind.model_fields.items() if field.is_required()}
    assert required == {"book_id", "room"}


def test_the_declarations_stay_with_the_class() -> None:
    assert set(field_specs(Copy)) == {"id", "book_id", "section", "room", "note", "chapters"}
    assert field_specs(Copy)["section"].constraints == {"max_length": 2}


def test_names_that_are_local_to_a_function_are_found() -> None:
    class Price(ValueObject):
        cents: int

    class Book(Aggregate):
        price: "Price"
        old_prices: "list[Price]" = HasMany("Price")
        shelf: 'fields.String(max_length=2, default="A1")'  # type: ignore[valid-type]

    made_here: Any = Book
    assert made_here.__pydantic_complete__
    assert made(Book, price={"cents": 5}).price == Price(cents=5)
    assert postponed.local().price == {"cents": 5}


def test_a_class_may_name_one_that_is_defined_later() -> None:
    class Book(Aggregate):
        chapters: "list[Part]" = HasMany("Part", default=list)

    class Part(Entity):
        heading: str

    book = Book(chapters=[Part(heading="I")])
    assert isinstance(book.chapters[0], Part)
    assert book.chapters[0]._owner is book


def test_a_class_may_contain_its_own_kind() -> None:
    class Node(Entity):
        name: str
        parts: "list[Node]" = HasMany("Node", default=list)

    tree = made(Node, name="a", parts=[{"name": "b", "parts": [{"name": "c"}]}])
    assert tree.parts[0].parts[0].name == "c"


def test_a_field_inherits_its_declaration_and_a_subclass_may_change_it() -> None:
    class Medium(Aggregate):
        title = String(max_length=3, required=True)
        price: int = 0

    class Film(Medium):
        price: int = Integer(min_value=1)
        minutes = Integer(default=90)

    assert list(Film.model_fields) == ["id", "price", "title", "minutes"]
    assert set(refused(Film, title="long")) == {"title", "price"}
    assert made(Film, title="Jaws"[:3], price=1).to_dict().keys() == Film.model_fields.keys()


def test_an_entity_may_have_an_identity_of_its_own_which_its_subclasses_share() -> None:
    class Book(Aggregate):
        isbn: str = Identifier(identifier=True)

    class Atlas(Book):
        maps: int = 0

    for kind in (Book, Atlas):
        assert "id" not in kind.model_fields
        assert kind(isbn="978").identity == "978"


def test_a_field_called_id_is_the_identity_whatever_its_type() -> None:
    class Seat(Entity):
        id: int  # type: ignore[assignment]

    assert Seat(id=7).identity == "7"


def test_generic_messages_and_value_objects_work() -> None:
    T = TypeVar("T")

    class Range(ValueObject, Generic[T]):
        low: T
        high: T

    class Moved(Event, Generic[T]):
        to: T

    assert list(refused(Range[int], low=1, high="x")) == ["high"]
    assert made(Range[int], low="1", high=2).low == 1
    assert made(Moved[int], to="3").to == 3


@pytest.mark.parametrize(
    "base, field",
    [
        (Event, "event_id"),
        (Event, "occurred_at"),
        (Event, "correlation_id"),
        (Command, "command_id"),
        (Command, "metadata"),
        (Aggregate, "identity"),
    ],
)
def test_a_name_that_every_such_class_has_is_refused(base: type, field: str) -> None:
    text = (
        f"Thing.{field}: every class of this kind has this name already; give the field another one"
    )
    body = {"__module__": __name__, "__annotations__": {field: str}}
    assert misconfigured(type(base), "Thing", (base,), body) == (text,)
    body = {"__module__": __name__, field: String()}
    assert misconfigured(type(base), "Thing", (base,), body) == (text,)


def test_fields_of_a_plain_class_are_refused_rather_than_lost() -> None:
    class Dated:
        on = fields.Date()

    class Stamped(Dated):
        by: String()  # type: ignore[valid-type]

    assert misconfigured(type(Event), "BookLent", (Stamped, Event), {"__module__": __name__}) == (
        (
            "BookLent: its base Stamped declares by, but is a plain class; derive Stamped from "
            "Aggregate, Entity, ValueObject, Event or Command"
        ),
    )
    assert misconfigured(type(Event), "BookLent", (Dated, Event), {"__module__": __name__})[
        0
    ].startswith("BookLent: its base Dated declares on, but is a plain class")


def test_methods_of_a_plain_class_are_welcome() -> None:
    class Shouting:
        def shout(self) -> str:
            return str(self).upper()

    class BookLent(Shouting, Event):
        book_id: str

    assert BookLent(book_id="b1").shout() == "BOOKLENT(BOOK_ID='B1')"


def test_pydantic_and_dataclasses_may_be_used_inside() -> None:
    @dataclasses.dataclass(frozen=True)
    class Size:
        width: int

    class Parcel(Aggregate):
        size: Size
        weight: Annotated[int, Field(gt=0)]

        @pydantic.field_validator("weight")
        @classmethod
        def even(cls, value: int) -> int:
            if value % 2:
                raise ValueError("it must be even")
            return value

    assert refused(Parcel, size=Size(1), weight=3) == {"weight": ["it must be even (found 3)"]}
    parcel = made(Parcel, size={"width": 1}, weight=2)
    assert Parcel._from_document(parcel._to_document(), 1, 0).size == Size(1)


def test_what_is_computed_is_not_stored_and_aliases_do_not_matter_to_storage() -> None:
    class Book(Aggregate):
        page_count: int = Field(alias="pageCount")

        @computed_field  # type: ignore[prop-decorator]
        @property
        def sheets(self) -> int:
            return self.page_count // 2

    class BookPrinted(Event):
        page_count: int = Field(alias="pageCount")

        @computed_field  # type: ignore[prop-decorator]
        @property
        def sheets(self) -> int:
            return self.page_count // 2

    book = made(Book, id="b1", pageCount=10)
    assert book.to_dict() == {"id": "b1", "page_count": 10}
    assert Book._from_document(book._to_document(), 1, 0).sheets == 5
    event = made(BookPrinted, pageCount=10)
    assert event.to_dict() == {"page_count": 10}
    assert BookPrinted._restore(event.to_json(), event._metadata) == event
    assert event.model_copy() == event
    assert event.model_copy(update={"page_count": 8}).sheets == 4


def test_what_is_cached_is_not_part_of_the_value() -> None:
    class Range(ValueObject):
        low: int
        high: int

        @cached_property
        def size(self) -> int:
            return self.high - self.low

    wide = Range(low=1, high=9)
    assert wide.size == 8
    assert wide.replace(high=3).size == 2
    assert wide == Range(low=1, high=9)


def test_bytes_that_are_no_text_are_stored() -> None:
    class Scan(Aggregate):
        image: bytes

    scan = Scan(image=b"\xff\x00")
    assert Scan._from_document(scan._to_document(), 1, 0).image == b"\xff\x00"


def test_numbers_that_json_does_not_have_are_refused() -> None:
    class Rating(ValueObject):
        stars: float
        all: list[float] = fields.List(float, default=list)

    assert set(refused(Rating, stars=float("nan"), all=[float("inf")])) == {"stars", "all.0"}


def test_a_misspelt_option_is_refused() -> None:
    options: dict[str, Any] = {"max_lenght": 3}
    with pytest.raises(TypeError, match="max_lenght"):
        String(**options)


def test_a_long_value_is_shortened_in_the_error() -> None:
    text = refused(Chapter, heading="I", pages="x" * 500)["pages"][0]
    assert text.endswith(f"(found '{'x' * 56}...)")
    text = refused(Chapter, heading="I", notes="x" * 500)["notes"][0]
    assert len(text) < 100


def test_a_failed_model_validator_names_the_whole_object() -> None:
    class Stay(ValueObject):
        first: dt.date
        last: dt.date

        @pydantic.model_validator(mode="after")
        def ends_later(self) -> "Stay":
            if self.last < self.first:
                raise ValueError("it ends before it begins")
            return self

    messages = refused(Stay, first="2026-01-02", last="2026-01-01")
    assert list(messages) == ["_entity"]
    assert messages["_entity"][0].startswith("it ends before it begins")


def test_an_error_of_pydantic_is_translated_with_its_title() -> None:
    with pytest.raises(pydantic.ValidationError) as raised:
        pydantic.TypeAdapter(dict[str, int]).validate_python({"a": "x"})
    translated = validation_error(raised.value, "Counts")
    assert (translated.title, list(translated.messages)) == ("Counts", ["a"])
    assert not isinstance(translated, ConfigurationError)


def test_money_in_decimals_is_exact() -> None:
    class Price(ValueObject):
        amount = Decimal(decimal_places=2, required=True)

    assert str(made(Price, amount="0.10").amount) == "0.10"
