"""The model: value objects, entities, aggregates, and the lists of entities in them."""

import copy
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from happened import (
    Aggregate,
    Command,
    Entity,
    Event,
    ImmutableError,
    ValidationError,
    ValueObject,
    atomic_change,
    invariant,
)
from happened.associations import EntityList
from happened.fields import HasMany, HasOne, Identifier, Integer, List, String
from tests.unit.attempts import changed, made, misconfigured, refused


class Money(ValueObject):
    cents: int
    currency: str = "EUR"
    notes: list[str] = List(str, default=list)

    @invariant
    def nobody_owes(self) -> None:
        if self.cents < 0:
            raise ValueError("an amount is not negative")


class Line(Entity):
    book_id: str
    quantity: int = 1
    price: Money = Money(cents=100)

    @invariant
    def it_is_not_empty(self) -> None:
        if self.quantity < 1:
            raise ValueError("a line has at least one copy")


class Slip(Entity):
    text: str = String(max_length=5)


class LineAdded(Event):
    order_id: str


class Order(Aggregate):
    lines: list[Line] = HasMany(Line, default=list)
    slip: Slip | None = HasOne(Slip, default=None)
    limit: int = Integer(default=10, max_value=100)
    tags: list[str] = List(str, default=list)
    _seen: int = pydantic.PrivateAttr(default=0)

    @invariant
    def it_is_within_the_limit(self) -> None:
        if sum(line.quantity for line in self.lines) > self.limit:
            raise ValueError(f"at most {self.limit} copies")

    @property
    def books(self) -> list[str]:
        return [line.book_id for line in self.lines]

    @books.setter
    def books(self, ids: list[str]) -> None:
        if not ids:
            raise ValueError("name a book")
        self.lines = [Line(book_id=id) for id in ids]


def line(id: str, quantity: int = 1) -> Line:
    return Line(id=id, book_id=f"b-{id}", quantity=quantity)


def order(*ids: str, limit: int = 10) -> Order:
    return Order(id="o1", lines=[line(id) for id in ids], limit=limit)


def ids(some: Order) -> list[str]:
    return [each.id for each in some.lines]


# ------------------------------------------------------------------ value objects


@pytest.mark.parametrize(
    "attack",
    [
        lambda money: changed(money, cents=1),
        lambda money: changed(money, colour="red"),
        lambda money: delattr(money, "cents"),
        lambda money: money.notes.append("x"),
        lambda money: exec("money.notes += ['x']", {"money": money}),
    ],
    ids=range(5),
)
@pytest.mark.parametrize(
    "way",
    [
        lambda money: money,
        copy.copy,
        copy.deepcopy,
        lambda money: pickle.loads(pickle.dumps(money)),
        lambda money: money.model_copy(update={"cents": 5}),
        lambda money: money.replace(cents=5),
        lambda money: Money.model_validate(money.model_dump()),
        lambda money: Money.model_validate_json(money.model_dump_json()),
        lambda money: Money.model_construct(**money.model_dump()),
    ],
    ids=range(9),
)
def test_a_value_object_cannot_change_however_it_was_made(
    way: Callable[[Money], Any], attack: Callable[[Any], object]
) -> None:
    money = way(Money(cents=5, notes=["a"]))
    with pytest.raises(ImmutableError):
        attack(money)
    assert money == Money(cents=5, notes=["a"])


def test_value_objects_are_equal_by_value_and_can_be_keys() -> None:
    class Other(ValueObject):
        cents: int
        currency: str = "EUR"
        notes: list[str] = List(str, default=list)

    assert Money(cents=1) == Money(cents=1, currency="EUR")
    assert Money(cents=1) != Money(cents=2)
    assert made(Money, cents=1) != made(Other, cents=1)
    assert {Money(cents=1, notes=["a"]): 1}[Money(cents=1, notes=["a"])] == 1


def test_a_replaced_value_is_validated_and_checked() -> None:
    money = Money(cents=5)
    assert money.replace(cents="7") == Money(cents=7)
    assert refused(money.replace, cents=-1) == {
        "_entity": ["an amount is not negative"],
    }
    assert refused(money.replace, euros=1) == {"euros": ["there is no such field (found 1)"]}
    assert money.to_dict() == {"cents": 5, "currency": "EUR", "notes": []}
    assert refused(Money, cents=-1) == {"_entity": ["an amount is not negative"]}


# ------------------------------------------------------------------ identity and fields


def test_entities_are_equal_by_identity_within_their_class() -> None:
    assert line("l1") == line("l1", quantity=3)
    assert line("l1") != line("l2")
    assert line("same") != Slip(id="same", text="x")
    assert len({line("l1"), line("l1", quantity=3), line("l2")}) == 2
    assert Line(book_id="b").id != Line(book_id="b").id


def test_the_identity_cannot_change() -> None:
    some = line("l1")
    with pytest.raises(ImmutableError) as raised:
        changed(some, id="l2")
    assert str(raised.value) == "Line.id cannot be changed: it identifies this Line; make a new one"
    some.id = "l1"
    assert some.identity == "l1"


def test_a_wrong_value_is_refused_and_the_old_one_stays() -> None:
    some = order("a")
    before = some.to_dict()
    for values in (
        {"limit": "many"},
        {"limit": 101},
        {"lines": [{"quantity": 0}]},
        {"lines": None},
        {"slip": {"text": "too long"}},
        {"colour": "red"},
    ):
        assert refused(changed, some, **values)
        assert some.to_dict() == before
    assert refused(changed, some, lines=[{"quantity": 2}, {"book_id": "x", "quantity": 0}]) == {
        "lines.0.book_id": ["a value is required"],
        "lines.1": ["a line has at least one copy"],
    }
    assert refused(changed, some, colour="red") == {
        "colour": ["there is no such field (found 'red')"]
    }


def test_a_refused_change_by_a_validator_of_the_whole_object_leaves_the_old_value() -> None:
    class Stay(Aggregate):
        first: int
        last: int

        @pydantic.model_validator(mode="after")
        def it_ends_later(self) -> "Stay":
            if self.last < self.first:
                raise ValueError("it ends before it begins")
            return self

    stay = Stay(first=1, last=2)
    assert list(refused(changed, stay, first=3)) == ["_entity"]
    assert stay.first == 1


def test_an_error_that_is_no_validation_error_leaves_the_old_value() -> None:
    class Odd(Aggregate):
        number: int

        @invariant
        def it_is_known(self) -> None:
            if self.number > 5:
                raise RuntimeError("the register is closed")

    odd = Odd(number=1)
    with pytest.raises(RuntimeError, match="the register is closed"):
        odd.number = 6
    assert odd.number == 1


def test_a_field_cannot_be_deleted() -> None:
    some = order("a")
    assert refused(delattr, some, "limit") == {"limit": ["a field cannot be deleted"]}
    with pytest.raises(AttributeError):
        del some.colour  # type: ignore[attr-defined]


def test_a_property_keeps_its_own_errors() -> None:
    some = order("a")
    some.books = ["b1", "b2"]
    assert some.books == ["b1", "b2"]
    with pytest.raises(ValueError, match=r"^name a book$"):
        some.books = []
    with pytest.raises(ValidationError, match="at most 10 copies"):
        some.books = ["b"] * 11


def test_private_attributes_are_free() -> None:
    some = order()
    some._seen = 3
    assert some._seen == 3
    assert "_seen" not in some.to_dict()


def test_plain_data_hold_everything() -> None:
    some = Order(id="o1", lines=[line("a")], slip=Slip(id="s", text="x"))
    assert some.to_dict() == {
        "id": "o1",
        "lines": [
            {
                "id": "a",
                "book_id": "b-a",
                "quantity": 1,
                "price": {"cents": 100, "currency": "EUR", "notes": []},
            }
        ],
        "slip": {"id": "s", "text": "x"},
        "limit": 10,
        "tags": [],
    }


# ------------------------------------------------------------------ lists of entities


LIST_CHANGES: dict[str, tuple[Callable[[Any], object], list[str]]] = {
    "append": (lambda lines: lines.append(line("d")), ["a", "b", "c", "d"]),
    "extend": (lambda lines: lines.extend([line("d"), line("e")]), ["a", "b", "c", "d", "e"]),
    "insert": (lambda lines: lines.insert(1, line("d")), ["a", "d", "b", "c"]),
    "pop": (lambda lines: lines.pop(), ["a", "b"]),
    "pop first": (lambda lines: lines.pop(0), ["b", "c"]),
    "remove": (lambda lines: lines.remove(line("b")), ["a", "c"]),
    "clear": (lambda lines: lines.clear(), []),
    "reverse": (lambda lines: lines.reverse(), ["c", "b", "a"]),
    "sort": (lambda lines: lines.sort(key=lambda each: each.id, reverse=True), ["c", "b", "a"]),
    "set item": (lambda lines: lines.__setitem__(0, line("d")), ["d", "b", "c"]),
    "set slice": (lambda lines: lines.__setitem__(slice(0, 2), [line("d")]), ["d", "c"]),
    "delete item": (lambda lines: lines.__delitem__(-1), ["a", "b"]),
    "delete slice": (lambda lines: lines.__delitem__(slice(1, None)), ["a"]),
    "add": (lambda lines: lines.__iadd__([line("d")]), ["a", "b", "c", "d"]),
    "multiply": (lambda lines: lines.__imul__(0), []),
    "values": (lambda lines: lines.append({"id": "d", "book_id": "x"}), ["a", "b", "c", "d"]),
}

each_change = pytest.mark.parametrize(
    "change, after", list(LIST_CHANGES.values()), ids=list(LIST_CHANGES)
)


@each_change
def test_a_list_of_entities_changes_as_a_list_does(
    change: Callable[[Any], object], after: list[str]
) -> None:
    some = order("a", "b", "c")
    lines = some.lines
    change(lines)
    assert ids(some) == after
    assert some.lines is lines
    assert all(each._owner is some for each in lines)
    assert [type(each) for each in lines] == [Line] * len(after)


@each_change
def test_a_change_of_a_list_that_breaks_an_invariant_is_undone(
    change: Callable[[Any], object], after: list[str]
) -> None:
    class Full(Order):
        """May not change at all."""

        locked: bool = False

        @invariant
        def it_is_not_locked(self) -> None:
            if self.locked and ids(self) != ["a", "b", "c"]:
                raise ValueError("the order is locked")

    some = Full(id="o1", lines=[line(id) for id in "abc"], locked=True)
    lines, items = some.lines, list(some.lines)
    assert refused(change, lines) == {"_entity": ["the order is locked"]}
    assert some.lines is lines
    assert all(one is other for one, other in zip(lines, items, strict=True))
    assert all(each._owner is some for each in items)


def test_reading_a_list_gives_plain_lists() -> None:
    lines = order("a", "b").lines
    assert isinstance(lines, EntityList)
    copies = (lines[:], lines.copy(), [*lines], lines * 1, copy.copy(lines), copy.deepcopy(lines))
    assert [type(each) for each in copies] == [list] * 6
    assert [each.id for each in reversed(lines)] == ["b", "a"]
    assert line("a") in lines
    assert lines.index(line("b")) == 1


def test_a_wrong_item_is_refused_and_the_list_stays() -> None:
    some = order("a")
    assert refused(some.lines.append, "x") == {
        "lines.1": [
            "Input should be a valid dictionary or instance of Line (found 'x')",
        ]
    }
    with pytest.raises(IndexError):
        some.lines.pop(7)
    with pytest.raises(ValueError, match="not in list"):
        some.lines.remove(line("z"))
    assert ids(some) == ["a"]


def test_adding_in_place_to_the_field_validates_too() -> None:
    some = order("a", limit=2)
    some.lines += [line("b")]
    assert ids(some) == ["a", "b"]
    with pytest.raises(ValidationError):
        some.lines += [line("c")]
    assert ids(some) == ["a", "b"]


def test_a_replaced_list_is_the_same_list_with_other_items() -> None:
    some = order("a")
    lines = some.lines
    some.lines = [line("b"), line("c")]
    assert some.lines is lines
    assert ids(some) == ["b", "c"]
    some.lines = some.lines
    assert ids(some) == ["b", "c"]
    lines.append(line("d"))
    assert ids(some) == ["b", "c", "d"]


def test_a_change_of_an_entity_checks_its_aggregate() -> None:
    some = order("a", "b", limit=3)
    some.lines[0].quantity = 2
    assert refused(changed, some.lines[0], quantity=3) == {"_entity": ["at most 3 copies"]}
    assert some.lines[0].quantity == 2
    assert refused(changed, some.lines[0], quantity=0) == {
        "_entity": ["a line has at least one copy"]
    }


def test_an_entity_that_was_removed_is_on_its_own() -> None:
    some = order("a", "b", limit=3)
    gone = some.lines.pop()
    gone.quantity = 7
    assert gone._owner is None
    replaced = some.lines[0]
    some.lines = [line("c")]
    replaced.quantity = 7
    some.slip = Slip(text="x")
    slip = some.slip
    some.slip = None
    assert slip._owner is None


def test_an_entity_moves_from_one_aggregate_to_another() -> None:
    first, second = order("a", "b"), order(limit=3)
    moved = first.lines.pop(0)
    second.lines.append(moved)
    assert second.lines[0] is moved
    assert refused(changed, moved, quantity=4) == {"_entity": ["at most 3 copies"]}
    assert ids(first) == ["b"]


def test_an_entity_that_another_aggregate_refuses_stays_where_it_was() -> None:
    first, second = order("a", limit=2), order(limit=0)
    held = first.lines[0]
    assert refused(second.lines.append, held) == {
        "lines": ["Line 'a' is part of Order 'o1'; take it out there first"]
    }
    assert refused(changed, held, quantity=3) == {"_entity": ["at most 2 copies"]}
    moved = first.lines.pop()
    assert refused(second.lines.append, moved) == {"_entity": ["at most 0 copies"]}
    assert moved._owner is None


def test_an_identity_stands_in_a_list_once() -> None:
    some = order("a", "b")
    assert refused(some.lines.append, line("a")) == {
        "lines": ["Line 'a' is in it twice; each has an identity of its own"]
    }
    assert refused(some.lines.__imul__, 2).keys() == {"lines"}
    assert ids(some) == ["a", "b"]


def test_an_aggregate_has_one_entity_or_none() -> None:
    some = order()
    some.slip = made(Slip, text="x")
    assert some.slip._owner is some
    assert refused(changed, some.slip, text="too long").keys() == {"text"}
    assert refused(changed, some, slip=5).keys() == {"slip"}
    assert some.slip.text == "x"


def test_an_optional_list_may_be_none() -> None:
    class Box(Aggregate):
        lines: list[Line] | None = None

    box = Box()
    box.lines = [line("a")]
    assert box.lines[0]._owner is box
    box.lines = None
    assert Box._from_document(box._to_document(), 1, 0).lines is None


def test_an_entity_cannot_be_part_of_itself() -> None:
    class Node(Entity):
        parts: "list[Node]" = HasMany("Node", default=list)

    root, leaf = Node(), Node()
    root.parts.append(leaf)
    assert refused(root.parts.append, root).keys() == {"parts.1"}
    assert refused(leaf.parts.append, root) == {"parts": ["an entity cannot be part of itself"]}
    assert leaf.parts == []
    assert root.parts == [leaf]


@pytest.mark.parametrize(
    "annotation",
    [dict[str, Line], tuple[Line, ...], set[Line], list[list[Line]], list[Line | str]],
    ids=range(5),
)
def test_entities_where_they_cannot_be_followed_are_refused(annotation: object) -> None:
    body = {"__module__": __name__, "__annotations__": {"lines": annotation}}
    assert misconfigured(type(Order), "Box", (Aggregate,), body) == (
        "Box.lines: entities stand in a field of their own or in a list, as list[Line]",
    )


def test_a_default_that_all_would_share_is_refused() -> None:
    body = {
        "__module__": __name__,
        "__annotations__": {"slip": Slip},
        "slip": Slip(text="x"),
    }
    assert misconfigured(type(Order), "Box", (Aggregate,), body) == (
        "Box.slip: all would share this default; give a callable that makes a new one",
    )


# ------------------------------------------------------------------ several changes as one


def test_a_block_of_changes_is_checked_at_its_end() -> None:
    some = order("a", limit=1)
    with atomic_change(some) as same:
        some.lines.append(line("b"))
        some.limit = 2
    assert same is some
    assert (ids(some), some.limit) == (["a", "b"], 2)


def test_a_block_that_ends_badly_changes_nothing() -> None:
    some = Order(id="o1", lines=[line("a")], slip=Slip(id="s", text="x"), tags=["old"])
    some.raise_(LineAdded(order_id="o1"))
    before, events = some.to_dict(), list(some._events)
    first, slip, lines = some.lines[0], some.slip, some.lines

    def change() -> None:
        with atomic_change(some):
            some.limit = 2
            some.tags.append("new")
            some.lines[0].quantity = 3
            some.lines = [line("z", quantity=5)]
            some.slip = None
            some.raise_(LineAdded(order_id="o1"))

    assert refused(change) == {"_entity": ["at most 2 copies"]}
    assert some.to_dict() == before
    assert some._events == events
    assert some.lines is lines
    assert some.lines[0] is first
    assert some.slip is slip
    assert first._owner is some
    assert refused(changed, first, quantity=11) == {"_entity": ["at most 10 copies"]}


@pytest.mark.parametrize("raised", [KeyError("x"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_block_that_raises_changes_nothing(raised: BaseException) -> None:
    some = order("a")

    def change() -> None:
        with atomic_change(some):
            some.limit = 3
            raise raised

    with pytest.raises(type(raised)):
        change()
    assert some.limit == 10
    assert refused(changed, some, limit=0) == {"_entity": ["at most 0 copies"]}


def test_values_are_still_validated_inside_a_block() -> None:
    some = order("a")
    with atomic_change(some):
        assert refused(changed, some, limit="x").keys() == {"limit"}
        some.limit = 3
    assert some.limit == 3


def test_what_an_entity_must_be_is_checked_at_the_end_of_its_aggregates_block() -> None:
    some = order("a")
    with pytest.raises(ValidationError, match="a line has at least one copy"), atomic_change(some):
        some.lines[0].quantity = 0
    assert some.lines[0].quantity == 1
    with atomic_change(some):
        some.lines[0].quantity = 0
        some.lines[0].quantity = 2
    assert some.lines[0].quantity == 2


def test_a_block_for_an_entity_checks_its_aggregate_at_the_end() -> None:
    some = order("a", limit=3)
    with pytest.raises(ValidationError, match="at most 3 copies"), atomic_change(some.lines[0]):
        some.lines[0].quantity = 9
    assert some.lines[0].quantity == 1


def test_an_inner_block_leaves_the_check_to_the_outer_one() -> None:
    some = order("a", limit=1)

    def inner() -> None:
        with atomic_change(some):
            some.limit = 0
            raise ValidationError({"limit": ["no"]})

    with atomic_change(some):
        with atomic_change(some):
            some.lines.append(line("b"))
        with atomic_change(some.lines[1]):
            some.lines[1].quantity = 2
        assert refused(inner) == {"limit": ["no"]}
        assert some.limit == 1
        some.limit = 3
    assert [each.quantity for each in some.lines] == [1, 2]


# ------------------------------------------------------------------ copies


COPIES: list[Callable[[Order], Order]] = [
    copy.copy,
    copy.deepcopy,
    lambda some: pickle.loads(pickle.dumps(some)),
    lambda some: some.model_copy(),
    lambda some: some.model_copy(deep=True),
]


@pytest.mark.parametrize("copied", COPIES, ids=range(5))
def test_a_copy_shares_nothing_and_is_complete(copied: Callable[[Order], Order]) -> None:
    some = Order(id="o1", lines=[line("a")], slip=Slip(id="s", text="x"), tags=["t"])
    some._seen = 5
    some.raise_(LineAdded(order_id="o1"))
    some._standing.persisted()
    some.raise_(LineAdded(order_id="o1"))
    before = some.to_dict()
    other = copied(some)
    assert other == some
    assert other.to_dict() == before
    assert (other._version, other._standing.next_position, other._seen) == (1, 1, 5)
    assert other._events == some._events
    other.lines.append(line("b"))
    other.lines[0].quantity = 3
    other.tags.append("u")
    other.raise_(LineAdded(order_id="o1"))
    assert some.to_dict() == before
    assert len(some._events) == 1
    assert refused(changed, other.lines[0], quantity=10) == {"_entity": ["at most 10 copies"]}
    assert isinstance(other.lines, EntityList)


def test_a_copy_with_other_values_is_validated_as_a_whole() -> None:
    some = order("a", "b")
    assert some.model_copy(update={"limit": 2}).limit == 2
    assert refused(some.model_copy, update={"limit": 1}) == {"_entity": ["at most 1 copies"]}
    with pytest.raises(ImmutableError):
        some.model_copy(update={"id": "o2"})


def test_an_entity_made_by_pydantic_alone_works() -> None:
    for some in (
        Order.model_validate({"lines": [{"book_id": "b"}]}),
        Order.model_validate_json('{"lines": [{"book_id": "b"}]}'),
        Order.model_construct(id="o1", lines=[line("a")], limit=5, slip=None, tags=[]),
    ):
        some.lines.append(line("z"))
        some.raise_(LineAdded(order_id="x"))
        assert some.lines[0]._owner is some
        assert len(some.lines) == 2
        assert some._version == 0


def test_two_aggregates_never_share_a_list() -> None:
    first = order("a")
    moved = [*first.lines]
    first.lines.clear()
    second = Order(lines=moved)
    second.lines.append(line("b"))
    assert (ids(first), ids(second), len(moved)) == ([], ["a", "b"], 1)


# ------------------------------------------------------------------ events and documents


def test_a_raised_event_is_collected_with_complete_metadata() -> None:
    some = order()
    first, second = LineAdded(order_id="o1"), LineAdded(order_id="o1", correlation_id="c1")
    some.raise_(first)
    some.raise_(second)
    assert some._events == [first, second]
    assert some._events[0] is first
    assert [event._metadata.stream for event in some._events] == ["order-o1", "order-o1"]
    assert [event._metadata.position for event in some._events] == [0, 1]
    assert second._metadata.origin_stream == "order-o1"
    assert second.correlation_id == "c1"
    assert some._standing.persisted() == [first, second]
    assert (some._events, some._version, some._standing.next_position) == ([], 1, 2)
    third = LineAdded(order_id="o1")
    some.raise_(third)
    assert third._metadata.position == 2


def test_an_event_is_raised_once() -> None:
    event = LineAdded(order_id="o1")
    order().raise_(event)
    with pytest.raises(ImmutableError, match="was raised before; make a new one for each fact"):
        order().raise_(event)


class Reorder(Command):
    order_id: str


@pytest.mark.parametrize(
    "wrong, text",
    [
        ("x", "Order.raise_ takes an event, found 'x'; derive str from Event"),
        (None, "Order.raise_ takes an event, found None; derive NoneType from Event"),
        (LineAdded, "Order.raise_ takes an event, found a class; make one: LineAdded(...)"),
        (
            Reorder(order_id="o1"),
            "Order.raise_ takes an event, found Reorder(order_id='o1'); derive Reorder from Event",
        ),
    ],
    ids=["text", "None", "class", "command"],
)
def test_only_events_can_be_raised(wrong: Any, text: str) -> None:
    some = order()
    assert misconfigured(some.raise_, wrong) == (text,)
    assert some._events == []


def test_streams_are_named_after_the_class() -> None:
    class GiftOrder(Order):
        pass

    assert GiftOrder(id="g1")._stream == "gift_order-g1"
    assert order()._stream == "order-o1"


def test_a_document_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValidationError) as raised:
        Order._from_document(b'{"id": "o1", "limit": "x"}', 1, 0)
    assert list(raised.value.messages) == ["limit"]


def test_invariants_are_not_checked_again_when_an_aggregate_is_read() -> None:
    stored = b'{"id":"o1","lines":[{"id":"a","book_id":"b","quantity":50,"price":{"cents":-1}}]}'
    some = Order._from_document(stored, 3, 7)
    assert some.lines[0].price.cents == -1
    assert (some._version, some._standing.next_position) == (3, 7)
    assert refused(changed, some, limit=10) == {"_entity": ["at most 10 copies"]}


def test_a_value_that_does_not_fit_its_field_any_more_is_not_stored() -> None:
    some = order()
    list.append(some.tags, made(Decimal, value=1))  # behind the back of the list that checks
    with pytest.raises(ValidationError, match="it holds a value that does not fit its field"):
        some._to_document()


class Album(Aggregate):
    tags: list[str] = List(max_length=2, default=list)
    pages: dict[str, int] = Field(default={})
    nested: dict[str, Annotated[list[str], Field(max_length=1)]] = Field(default={})

    @invariant
    def no_tag_is_bad(self) -> None:
        if "bad" in self.tags:
            raise ValueError("bad is bad")


def test_changes_of_a_list_in_a_field_are_validated() -> None:
    album = Album(tags=["a", "b"])
    tags = album.tags
    with pytest.raises(ValidationError, match="at most 2 items"):
        album.tags += ["c"]
    assert refused(tags.append, "c").keys() == {"tags"}
    assert refused(tags.__setitem__, 0, 5).keys() == {"tags.0"}
    assert refused(tags.__setitem__, 0, "bad") == {"_entity": ["bad is bad"]}
    assert tags == ["a", "b"]
    tags[0] = "c"
    tags.sort(reverse=True)
    assert album.tags is tags
    assert album.to_dict()["tags"] == ["c", "b"]
    assert Album._from_document(album._to_document(), 1, 0).tags == ["c", "b"]


def test_changes_of_a_mapping_in_a_field_are_validated() -> None:
    album = Album(pages={"a": 1})
    pages = album.pages
    pages["b"] = "2"  # type: ignore[assignment]
    pages |= {"c": 3}
    album.pages |= {"d": 4}
    assert pages.setdefault("e", 5) == 5
    assert pages.pop("a") == 1
    assert refused(pages.update, {"f": "x"}).keys() == {"pages.f"}
    assert album.pages is pages
    assert pages == {"b": 2, "c": 3, "d": 4, "e": 5}
    assert type(copy.copy(pages)) is dict


def test_what_lies_deeper_in_a_field_is_checked_before_it_is_stored() -> None:
    album = Album(nested={"a": ["x"]})
    album.nested["a"].append("y")
    with pytest.raises(ValidationError) as caught:
        album._to_document()
    assert caught.value.messages.keys() == {"nested.a"}


def test_a_list_and_a_mapping_are_put_back_after_a_change_that_fails() -> None:
    album = Album(tags=["a"], pages={"a": 1})
    tags, pages = album.tags, album.pages
    with pytest.raises(ValidationError), atomic_change(album):  # noqa: PT012
        album.tags.append("bad")
        album.pages["b"] = 2
    assert (tags, pages) == (["a"], {"a": 1})
    assert album.tags is tags
    assert album.pages is pages


@given(
    st.lists(st.tuples(st.text(min_size=1), st.integers(1, 3)), max_size=5),
    st.text(max_size=5) | st.none(),
    st.lists(st.text()),
)
def test_every_aggregate_comes_back_from_its_document_unchanged(
    lines: list[tuple[str, int]], slip: str | None, tags: list[str]
) -> None:
    some = Order(
        lines=[Line(book_id=book, quantity=quantity) for book, quantity in lines],
        slip=None if slip is None else Slip(text=slip),
        limit=100,
        tags=tags,
    )
    loaded = Order._from_document(some._to_document(), 1, 0)
    assert loaded == some
    assert loaded.to_dict() == some.to_dict()
    assert all(each._owner is loaded for each in loaded.lines)


operations = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 4)),
    st.tuples(st.just("pop"), st.integers(0, 5)),
    st.tuples(st.just("change"), st.integers(0, 5)),
    st.tuples(st.just("limit"), st.integers(0, 8)),
    st.tuples(st.just("reverse"), st.integers()),
)


@given(st.lists(operations, max_size=12))
def test_no_sequence_of_changes_breaks_an_invariant(changes: list[tuple[str, int]]) -> None:
    some = order("a")
    for kind, number in changes:
        before = some.to_dict()
        try:
            if kind == "append":
                some.lines.append(line("x", quantity=number))
            elif kind == "pop":
                some.lines.pop(number)
            elif kind == "change":
                some.lines[number].quantity = number
            elif kind == "limit":
                some.limit = number
            else:
                some.lines.reverse()
        except (ValidationError, IndexError):
            assert some.to_dict() == before
        assert sum(each.quantity for each in some.lines) <= some.limit
        assert all(each.quantity >= 1 and each._owner is some for each in some.lines)


def test_an_identity_of_its_own_is_the_id_too() -> None:
    class Book(Aggregate):
        isbn: str = Identifier(identifier=True)

    book = Book(isbn="978")
    assert (book.id, book.identity, str(book)) == ("978", "978", "Book(isbn='978')")
    with pytest.raises(ValidationError, match="at least 1 character"):
        Book(isbn="")
    with pytest.raises(AttributeError):
        book.id = "979"


@pytest.mark.parametrize("base", [ValueObject, Entity, Aggregate])
def test_plain_data_are_what_json_can_hold(base: Any) -> None:
    class Parcel(base):  # type: ignore[misc]
        content: Any

    assert refused(Parcel(content=object()).to_dict).keys() == {"_entity"}


def test_what_is_pydantics_own_raises_pydantics_own_error() -> None:
    for base in (ValueObject, Entity, Aggregate, Event):
        with pytest.raises(pydantic.ValidationError) as caught:
            base.model_validate({"colour": "red"})
        assert isinstance(caught.value, ValueError)
