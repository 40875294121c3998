"""Declared fields: what each takes, what it refuses, and what its options do."""

import datetime as dt
import decimal
import typing
import uuid
from collections.abc import Callable
from enum import Enum
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from happened import Aggregate, Entity, Event, ValueObject, fields, new_id
from tests.unit.attempts import changed, made, misconfigured, refused


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Money(ValueObject):
    cents: int


class Line(Entity):
    book_id: str


class Leg(Entity):
    b: str


NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def with_field(field: Any) -> Any:
    """A class with one field, called `it`."""
    return type("Thing", (Aggregate,), {"__module__": __name__, "it": field})


@pytest.mark.parametrize(
    "field, given, stored",
    [
        (fields.String(), "a", "a"),
        (fields.Text(), "a" * 10_000, "a" * 10_000),
        (fields.Integer(), "7", 7),
        (fields.Float(), 1, 1.0),
        (fields.Decimal(), "1.50", decimal.Decimal("1.50")),
        (fields.Boolean(), "yes", True),
        (fields.Date(), "2026-03-01", dt.date(2026, 3, 1)),
        (fields.DateTime(), "2026-03-01T12:00:00Z", NOON),
        (fields.Identifier(), 7, "7"),
        (fields.Identifier(), "b1", "b1"),
        (fields.List(), (1, "a"), [1, "a"]),
        (fields.List(int), ["1"], [1]),
        (fields.Dict(), {"a": 1}, {"a": 1}),
        (fields.ValueObject(Money), {"cents": 5}, Money(cents=5)),
        (fields.HasOne(Line), Line(id="l1", book_id="b"), Line(id="l1", book_id="x")),
        (fields.HasMany(Line), [{"id": "l1", "book_id": "b"}], [Line(id="l1", book_id="x")]),
    ],
    ids=lambda value: None if isinstance(value, fields.FieldSpec) else "",
)
def test_a_field_takes_its_values_and_gives_them_back_from_storage(
    field: Any, given: object, stored: object
) -> None:
    kind = with_field(field)
    thing = kind(it=given)
    assert thing.it == stored
    assert isinstance(thing.it, type(stored))
    assert kind._from_document(thing._to_document(), 1, 0).it == stored


@pytest.mark.parametrize(
    "field, given, text",
    [
        (
            fields.String(max_length=2),
            "abc",
            "String should have at most 2 characters (found 'abc')",
        ),
        (fields.String(min_length=2), "a", "String should have at least 2 characters (found 'a')"),
        (fields.String(), 7, "Input should be a valid string (found 7)"),
        (fields.String(choices=("a", "b")), "c", "Input should be one of 'a', 'b' (found 'c')"),
        (fields.String(choices=Size), "xl", "Input should be one of 's', 'l' (found 'xl')"),
        (
            fields.Integer(min_value=1),
            0,
            "Input should be greater than or equal to 1 (found 0)",
        ),
        (fields.Integer(max_value=1), 2, "Input should be less than or equal to 1 (found 2)"),
        (fields.Integer(choices=[1, 2]), 3, "Input should be one of 1, 2 (found 3)"),
        (
            fields.Float(min_value=0),
            -0.5,
            "Input should be greater than or equal to 0 (found -0.5)",
        ),
        (fields.Float(max_value=0), 0.5, "Input should be less than or equal to 0 (found 0.5)"),
        (fields.Float(), float("nan"), "Input should be a finite number (found nan)"),
        (fields.Float(), float("inf"), "Input should be a finite number (found inf)"),
        (
            fields.Decimal(decimal_places=2),
            "1.005",
            "Decimal input should have no more than 2 decimal places (found '1.005')",
        ),
        (
            fields.Decimal(max_digits=3),
            "12.34",
            "Decimal input should have no more than 3 digits in total (found '12.34')",
        ),
        (fields.Decimal(min_value=0), -1, "Input should be greater than or equal to 0 (found -1)"),
        (fields.Decimal(max_value=0), 1, "Input should be less than or equal to 0 (found 1)"),
        (
            fields.Boolean(),
            "maybe",
            "Input should be a valid boolean, unable to interpret input (found 'maybe')",
        ),
        (
            fields.Date(min_value=dt.date(2026, 1, 1)),
            dt.date(2025, 1, 1),
            "Input should be greater than or equal to 2026-01-01 (found datetime.date(2025, 1, 1))",
        ),
        (
            fields.Date(max_value=dt.date(2026, 1, 1)),
            dt.date(2027, 1, 1),
            "Input should be less than or equal to 2026-01-01 (found datetime.date(2027, 1, 1))",
        ),
        (
            fields.DateTime(),
            "2026-03-01T12:00:00",
            "Input should have timezone info (found '2026-03-01T12:00:00')",
        ),
        (fields.Identifier(), 1.5j, "Input should be a valid string (found 1.5j)"),
        (
            fields.List(max_length=1),
            [1, 2],
            "List should have at most 1 item after validation, not 2 (found [1, 2])",
        ),
        (
            fields.List(min_length=1),
            [],
            "List should have at least 1 item after validation, not 0 (found [])",
        ),
        (fields.Dict(), [], "Input should be a valid dictionary (found [])"),
        (
            fields.HasMany(Leg, max_length=0),
            [Leg(id="l", b="1")],
            "List should have at most 0 items after validation, not 1 (found [Leg(id='l', b='1')])",
        ),
    ],
    ids=lambda value: None if isinstance(value, fields.FieldSpec) else "",
)
def test_a_field_refuses_what_does_not_fit_and_says_what_was_found(
    field: Any, given: object, text: str
) -> None:
    kind = with_field(field)
    assert refused(kind, it=given) == {"it": [text]}


def test_moments_have_bounds_too() -> None:
    early, late = NOON - dt.timedelta(days=1), NOON + dt.timedelta(days=1)
    kind = with_field(fields.DateTime(min_value=NOON, max_value=NOON))
    assert kind(it=NOON).it == NOON
    assert list(refused(kind, it=early)) == ["it"]
    assert list(refused(kind, it=late)) == ["it"]


def test_an_assigned_field_is_optional_unless_it_is_required() -> None:
    assert with_field(fields.String())().it is None
    assert with_field(fields.String(default="x"))().it == "x"
    assert with_field(fields.HasOne(Line))().it is None
    assert refused(with_field(fields.String(required=True))) == {"it": ["a value is required"]}
    assert refused(with_field(fields.HasOne(Line, required=True))) == {
        "it": ["a value is required"]
    }
    assert refused(with_field(fields.String(required=True)), it=None) == {
        "it": ["Input should be a valid string (found None)"]
    }


@pytest.mark.parametrize(
    "make", [fields.String, fields.Integer, fields.Decimal, fields.Date, fields.Identifier]
)
def test_none_as_the_default_allows_none(make: Callable[..., Any]) -> None:
    kind = with_field(make(default=None))
    thing = kind._from_document(kind()._to_document(), 1, 0)
    assert thing.it is None


def test_a_list_and_a_mapping_are_empty_by_default_and_never_shared() -> None:
    for field in (fields.List(), fields.Dict(), fields.HasMany(Line)):
        kind = with_field(field)
        first, second = kind(), kind()
        assert len(first.it) == 0
        assert first.it is not second.it
    shared = with_field(fields.List(default=["a"]))
    shared().it.append("b")
    assert shared().it == ["a"]
    assert list(refused(with_field(fields.List(required=True)))) == ["it"]
    assert list(refused(with_field(fields.Dict(required=True)))) == ["it"]


def test_a_callable_default_is_called_each_time() -> None:
    kind = with_field(fields.Identifier(default=new_id))
    assert kind().it != kind().it


@pytest.mark.parametrize(
    "field, value",
    [
        (fields.Decimal(default=0), decimal.Decimal(0)),
        (fields.Float(default=1), 1.0),
        (fields.Date(default="2026-01-01"), dt.date(2026, 1, 1)),
        (fields.Identifier(default=7), "7"),
    ],
    ids=["Decimal", "Float", "Date", "Identifier"],
)
def test_a_default_is_validated_like_any_value(field: Any, value: object) -> None:
    kind = with_field(field)
    assert kind().it == value
    assert type(kind().it) is type(value)
    assert kind._from_document(kind()._to_document(), 1, 0).it == value


def test_a_default_that_does_not_fit_is_refused() -> None:
    assert list(refused(with_field(fields.String(default="abc", max_length=2)))) == ["it"]


def test_validators_see_each_value_but_none() -> None:
    seen: list[object] = []

    def even(value: int) -> None:
        seen.append(value)
        if value % 2:
            raise ValueError("it must be even")

    kind = with_field(fields.Integer(validators=[even]))
    thing = kind(it=2)
    assert refused(changed, thing, it=3) == {"it": ["it must be even (found 3)"]}
    thing.it = None
    assert seen == [2, 3]


def _refuse(_value: object) -> None:
    raise ValueError("never")


@pytest.mark.parametrize("make", [fields.String, fields.Text, fields.Float, fields.Decimal])
def test_every_kind_of_plain_value_can_have_validators(make: Callable[..., Any]) -> None:
    value = "1" if make in (fields.String, fields.Text) else 1
    found = refused(with_field(make(validators=[_refuse])), it=value)
    assert found["it"][0].startswith("never")


def test_choices_of_an_enum_are_stored_as_values() -> None:
    kind = with_field(fields.String(choices=Size, default=Size.SMALL))
    thing = kind()
    assert thing.it == "s"
    thing.it = Size.LARGE
    assert thing.it == "l"
    assert kind(it="l").to_dict()["it"] == "l"


def test_choices_of_an_enum_stay_members_where_the_annotation_says_so() -> None:
    class Shirt(Aggregate):
        size: Size = fields.String(choices=Size, default=Size.SMALL)

    assert Shirt().size is Size.SMALL
    assert made(Shirt, size="l").size is Size.LARGE
    assert list(refused(Shirt, size="xl")) == ["size"]
    assert Shirt._from_document(Shirt(size=Size.LARGE)._to_document(), 1, 0).size is Size.LARGE


def test_some_members_of_an_enum_can_be_the_choices() -> None:
    class Shirt(Aggregate):
        size: Size = fields.String(choices=[Size.LARGE])

    assert made(Shirt, size=Size.LARGE).size is Size.LARGE
    assert refused(Shirt, size=Size.SMALL) == {
        "size": ["Input should be one of 'l' (found <Size.SMALL: 's'>)"]
    }


def test_items_of_a_list_are_declared_fields_too() -> None:
    kind = with_field(fields.List(fields.String(max_length=2, choices=["a", "b"])))
    assert kind(it=["a"]).it == ["a"]
    assert refused(kind, it=["a", "abc", "c"]) == {
        "it.1": ["String should have at most 2 characters (found 'abc')"],
        "it.2": ["Input should be one of 'a', 'b' (found 'c')"],
    }


def test_an_identifier_keeps_the_type_of_its_annotation() -> None:
    class Book(Aggregate):
        number: int = fields.Identifier(identifier=True)
        token: uuid.UUID = fields.Identifier(default=uuid.uuid4)
        copy_of: int | None = fields.Identifier(default=None)
        shelf: "str | None" = fields.Identifier(default=None)
        row: "int | None" = fields.Identifier(default=None)

    book = made(Book, number="7", copy_of=3, shelf=4, row=5)
    assert (book.number, book.copy_of, book.shelf, book.row) == (7, 3, "4", 5)
    assert book.identity == "7"
    assert isinstance(book.token, uuid.UUID)
    assert Book._from_document(book._to_document(), 1, 0).to_dict() == book.to_dict()


@pytest.mark.parametrize(
    "make", [fields.HasOne, fields.HasMany, fields.ValueObject], ids=lambda make: make.__name__
)
def test_a_class_may_be_given_by_its_name(make: Callable[..., Any]) -> None:
    given: dict[Any, tuple[str, object]] = {
        fields.HasOne: ("Line", {"book_id": "b1"}),
        fields.HasMany: ("Line", [{"book_id": "b1"}]),
        fields.ValueObject: ("Money", {"cents": 5}),
    }
    name, value = given[make]
    kind = with_field(make(name))
    assert not kind().it
    found = kind(it=value).it
    assert isinstance(found[0] if isinstance(found, list) else found, Line | Money)


def test_an_identity_is_never_none() -> None:
    assert misconfigured(
        type, "Book", (Aggregate,), {"__module__": "m", "id": fields.Identifier()}
    ) == ("Book.id: an identity is never None; give it required=True or default=new_id",)


def test_only_one_field_can_identify() -> None:
    assert misconfigured(
        type,
        "Book",
        (Aggregate,),
        {
            "__module__": "m",
            "isbn": fields.String(identifier=True),
            "number": fields.Integer(identifier=True),
        },
    ) == (
        "Book: isbn and number are both declared with identifier=True; an entity has one identity",
    )


def test_a_description_is_in_the_schema() -> None:
    for make in (fields.String, fields.Text, fields.Integer, fields.Boolean, fields.List):
        kind = with_field(make(description="what it means"))
        assert kind.model_json_schema()["properties"]["it"]["description"] == "what it means"


plain_fields: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (fields.String(required=True), st.text()),
    (fields.Integer(required=True), st.integers()),
    (fields.Float(required=True), st.floats(allow_nan=False, allow_infinity=False)),
    (fields.Decimal(required=True), st.decimals(allow_nan=False, allow_infinity=False)),
    (fields.Boolean(required=True), st.booleans()),
    (fields.Date(required=True), st.dates()),
    (fields.DateTime(required=True), st.datetimes(timezones=st.just(dt.UTC))),
    (fields.List(bytes, required=True), st.lists(st.binary())),
    (fields.Dict(required=True), st.dictionaries(st.text(), st.none() | st.integers() | st.text())),
]


@pytest.mark.parametrize(
    "kind, values", [(with_field(field), values) for field, values in plain_fields], ids=repr
)
def test_every_value_comes_back_from_storage_unchanged(
    kind: Any, values: st.SearchStrategy[Any]
) -> None:
    @given(values)
    def comes_back(value: Any) -> None:
        thing = kind(it=value)
        assert kind._from_document(thing._to_document(), 1, 0).it == thing.it == value

    comes_back()


def test_the_options_of_a_lists_items_hold_beside_a_type() -> None:
    class Book(Aggregate):
        tags: list[str] = fields.List(fields.String(max_length=2), default=list)
        notes: "list[str] | None" = fields.List(fields.String(max_length=2), default=None)

    assert refused(Book, tags=["long"]).keys() == {"tags.0"}
    assert refused(Book, notes=["long"]).keys() == {"notes.0"}
    assert (made(Book).notes, made(Book, tags=["ab"]).tags) == (None, ["ab"])


@pytest.mark.parametrize(
    "part", [lambda field: field | None, lambda field: None | field], ids=["before", "behind"]
)
def test_a_declared_field_is_no_part_of_a_union(part: Callable[[Any], object]) -> None:
    (problem,) = misconfigured(part, fields.Identifier())
    assert problem.endswith(
        "; assign it, as `name: str | None = ...`, or in a list use "
        "`name: list[str] = List(String())`"
    )


@pytest.mark.parametrize("around", [Optional, list, typing.List], ids=repr)  # noqa: UP006
@pytest.mark.parametrize("field", [fields.Identifier(), fields.String()], ids=["id", "text"])
def test_a_declared_field_inside_of_a_type_is_refused_with_what_to_write(
    around: Any, field: Any
) -> None:
    body = {"__module__": __name__, "__annotations__": {"isbn": around[field]}}
    (problem,) = misconfigured(type, "Book", (Aggregate,), body)
    assert problem.startswith("field 'isbn': ")
    assert "`isbn: str | None = ...`" in problem


def test_the_declaration_of_a_value_object_is_no_base_class() -> None:
    def declare() -> None:
        class Coin(fields.ValueObject):  # type: ignore[misc, valid-type]
            cents: int

    (problem,) = misconfigured(declare)
    assert problem.endswith("derive a value object from happened.ValueObject")


class Price(ValueObject):
    amount: decimal.Decimal
    default: decimal.Decimal | None = None  # what a schema calls something else


class Offer(Entity):
    price: Price
    others: "list[Offer]" = fields.List(default=list)


class Tender(Aggregate):
    it = fields.Decimal()
    total: decimal.Decimal | None = None
    price: Price | None = None
    offers: list[Offer] = fields.HasMany(Offer, default=list)
    numbers: dict[str, list[decimal.Decimal]] = fields.Dict(default=dict)


@pytest.mark.parametrize("number", ["1E+131072", "1E-16384", "-1E+200000"])
@pytest.mark.parametrize(
    "path, values",
    [
        ("it", lambda number: {"it": number}),
        ("total", lambda number: {"total": number}),
        ("price.amount", lambda number: {"price": {"amount": number}}),
        ("price.default", lambda number: {"price": {"amount": 1, "default": number}}),
        ("offers.0.price.amount", lambda number: {"offers": [{"price": {"amount": number}}]}),
        ("numbers.a.0", lambda number: {"numbers": {"a": [number]}}),
    ],
    ids=["field", "plain", "value object", "default", "entity", "mapping"],
)
def test_a_decimal_that_no_storage_can_compare_is_refused(
    path: str, values: Callable[[object], dict[str, Any]], number: str
) -> None:
    for each in (number, decimal.Decimal(number)):
        (text,) = refused(Tender, **values(each))[path]
        assert text.startswith("Decimal input should have at most 131072 digits before the")
    tender = Tender()
    assert refused(changed, tender, **values(number)).keys() == {path}


@pytest.mark.parametrize("number", ["9E+131071", "1E-16383", "0"])
def test_a_decimal_that_every_storage_can_compare_is_taken(number: str) -> None:
    tender = Tender(total=decimal.Decimal(number))
    assert Tender._from_document(tender._to_document(), 1, 0).total == decimal.Decimal(number)


def test_an_event_has_no_decimal_that_no_storage_can_compare() -> None:
    class PriceAsked(Event):
        price: Price
        total: decimal.Decimal

    (path,) = refused(PriceAsked, price={"amount": 1}, total="1E+200000")
    assert path == "total"
