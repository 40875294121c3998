"""Messages: validated, named, immutable against every attack, and the same after storage."""

import copy
import datetime as dt
import pickle
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, ClassVar, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from happened import Command, Event, ImmutableError, MessageError, ValidationError, ValueObject
from happened.fields import Dict, List
from happened.immutable import ImmutableDict, ImmutableList, ImmutableSet
from happened.messages import Message
from tests.unit.attempts import changed, made, refused


class Money(ValueObject):
    cents: int
    notes: list[str] = List(str, default=list)


class OrderPlaced(Event):
    order_id: str
    lines: list[dict[str, int]] = List(dict[str, int], default=list)
    tags: set[str] = pydantic.Field(default=set())
    address: dict[str, Any] = Dict(default=dict)
    total: Money = Money(cents=0)
    pair: tuple[list[int], int] = ([1], 2)


class Checked(Event):
    raising: ClassVar[BaseException | None] = None
    n: int

    @pydantic.field_validator("n")
    @classmethod
    def check(cls, n: int) -> int:
        if cls.raising is not None:
            error, cls.raising = cls.raising, None
            raise error
        return n


class InviteSent(Event):
    event_type = "invite.sent"

    invite_id: int
    email: str | None = None


class SendInvite(Command):
    invite_id: int


def placed() -> OrderPlaced:
    return OrderPlaced(
        order_id="o1",
        lines=[{"b1": 2}],
        tags={"gift"},
        address={"city": {"name": "Rome"}, "lines": ["a"]},
        total=Money(cents=5, notes=["x"]),
        pair=([7], 8),
    )


ATTACKS: dict[str, Callable[[Any], object]] = {
    "set": lambda event: changed(event, order_id="x"),
    "set the same": lambda event: changed(event, order_id="o1"),
    "set metadata": lambda event: changed(event, _metadata=None),
    "set a property": lambda event: changed(event, correlation_id="x"),
    "set something new": lambda event: changed(event, colour="red"),
    "delete": lambda event: delattr(event, "order_id"),
    "delete metadata": lambda event: delattr(event, "_metadata"),
    "list in place": lambda event: event.lines.append({}),
    "mapping in a list": lambda event: event.lines[0].update(b1=9),
    "set in place": lambda event: event.tags.add("x"),
    "mapping in place": lambda event: event.address.update(zip=1),
    "mapping in a mapping": lambda event: event.address["city"].clear(),
    "list in a mapping": lambda event: event.address["lines"].clear(),
    "list in a tuple": lambda event: event.pair[0].append(1),
    "value object": lambda event: changed(event.total, cents=9),
    "list in a value object": lambda event: event.total.notes.append("x"),
    "item of a list": lambda event: event.lines.__setitem__(0, {}),
    "add to a list": lambda event: exec("event.lines += [{}]", {"event": event}),
    "join to a mapping": lambda event: exec("event.address |= {'a': 1}", {"event": event}),
    "join to a set": lambda event: exec("event.tags |= {'a'}", {"event": event}),
    "headers": lambda event: event.metadata.update(a=1),
}


def made_by_validation(event: OrderPlaced) -> OrderPlaced:
    return OrderPlaced.model_validate(event.model_dump())


def made_from_json(event: OrderPlaced) -> OrderPlaced:
    return OrderPlaced.model_validate_json(event.model_dump_json())


def made_by_construction(event: OrderPlaced) -> OrderPlaced:
    return OrderPlaced.model_construct(
        **{**event.model_dump(), "total": Money.model_construct(cents=5, notes=["x"])}
    )


def made_by_an_adapter(event: OrderPlaced) -> OrderPlaced:
    return pydantic.TypeAdapter(OrderPlaced).validate_python(event.model_dump())


def made_by_storage(event: OrderPlaced) -> OrderPlaced:
    return OrderPlaced._restore(event.to_json(), event._metadata)


def made_by_pickle(event: OrderPlaced) -> OrderPlaced:
    received: OrderPlaced = pickle.loads(pickle.dumps(event))
    return received


WAYS: list[Callable[[OrderPlaced], OrderPlaced]] = [
    lambda event: event,
    copy.copy,
    copy.deepcopy,
    OrderPlaced.model_copy,
    lambda event: event.model_copy(update={"order_id": "o1"}, deep=True),
    made_by_validation,
    made_from_json,
    made_by_construction,
    made_by_an_adapter,
    made_by_storage,
    made_by_pickle,
]


@pytest.mark.parametrize("attack", list(ATTACKS.values()), ids=list(ATTACKS))
@pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))
def test_an_event_cannot_change_however_it_was_made(
    way: Callable[[OrderPlaced], OrderPlaced], attack: Callable[[Any], object]
) -> None:
    event = way(placed())
    before = event.to_dict(), event._metadata
    with pytest.raises(ImmutableError):
        attack(event)
    assert (event.to_dict(), event._metadata) == before
    assert event == placed()


def test_what_was_given_can_change_without_changing_the_event() -> None:
    lines, address = [{"b1": 2}], {"city": {"name": "Rome"}}
    event = OrderPlaced(order_id="o1", lines=lines, address=address)
    lines[0]["b1"] = 9
    lines.append({})
    address["city"]["name"] = "Oslo"
    assert event.lines == [{"b1": 2}]
    assert event.address == {"city": {"name": "Rome"}}


def test_containers_stay_what_they_are_for_those_who_read_them() -> None:
    event = placed()
    assert isinstance(event.lines, list)
    assert isinstance(event.address, dict)
    assert isinstance(event.tags, set)
    assert [type(each) for each in (event.lines, event.address, event.tags)] == [
        *(ImmutableList, ImmutableDict, ImmutableSet)
    ]
    assert event.to_dict()["tags"] == ["gift"]


def test_a_default_is_never_shared_and_never_changes() -> None:
    with pytest.raises(ImmutableError):
        OrderPlaced(order_id="o1").lines.append({})
    assert OrderPlaced(order_id="o1").lines == []


def test_every_wrong_and_every_missing_field_is_reported() -> None:
    assert refused(OrderPlaced, lines=[{"b1": "x"}], total={"cents": "y"}, colour="red") == {
        "order_id": ["a value is required"],
        "lines.0.b1": [
            "Input should be a valid integer, unable to parse string as an integer (found 'x')"
        ],
        "total.cents": [
            "Input should be a valid integer, unable to parse string as an integer (found 'y')"
        ],
        "colour": ["there is no such field (found 'red')"],
    }


def test_the_error_names_the_class_and_chains_what_pydantic_raised() -> None:
    with pytest.raises(ValidationError) as raised:
        made(InviteSent, invite_id="seven")
    assert raised.value.title == "InviteSent"
    assert isinstance(raised.value.__cause__, pydantic.ValidationError)


@pytest.mark.parametrize("field", ["correlation_id", "causation_id"])
def test_ids_of_a_chain_must_be_text(field: str) -> None:
    wrong = uuid.uuid4()
    assert refused(InviteSent, invite_id=1, **{field: wrong}) == {
        field: [f"Input should be a valid string (found {wrong!r})"]
    }


def test_metadata_of_the_callers_own_must_be_a_mapping() -> None:
    assert refused(InviteSent, invite_id=1, metadata=5) == {
        "metadata": ["Input should be a mapping (found 5)"]
    }


@pytest.mark.parametrize("kind", [InviteSent, SendInvite])
def test_a_message_is_the_first_of_its_chain_unless_it_is_told_otherwise(
    kind: type[Message],
) -> None:
    first = made(kind, invite_id=1)
    assert first.correlation_id == first._metadata.id
    assert first.causation_id is None
    assert first.metadata == {}
    told = made(
        kind, invite_id=1, correlation_id="c1", causation_id="m1", metadata={"user": {"id": 7}}
    )
    assert (told.correlation_id, told.causation_id) == ("c1", "m1")
    assert told.metadata == {"user": {"id": 7}}


def test_an_event_and_a_command_know_their_id_and_their_moment() -> None:
    event, command = InviteSent(invite_id=1), SendInvite(invite_id=1)
    assert (event.event_id, event.occurred_at) == (event._metadata.id, event._metadata.timestamp)
    assert (command.command_id, command.issued_at) == (
        command._metadata.id,
        command._metadata.timestamp,
    )
    assert event.event_id != command.command_id


def test_the_name_is_what_the_body_says_or_else_the_name_of_the_class() -> None:
    class InviteResent(InviteSent):
        pass

    class Annotated(Event):
        event_type: str = "invite.annotated"  # type: ignore[misc]

    class Asked(Command):
        command_type: Literal["invite.asked"] = "invite.asked"  # type: ignore[misc]

    assert InviteSent.event_type == InviteSent(invite_id=1)._metadata.type == "invite.sent"
    assert InviteResent.event_type == "InviteResent.v1"
    assert (Annotated.event_type, Annotated()._metadata.type) == ("invite.annotated",) * 2
    assert Annotated.model_fields == {}
    assert (Asked.command_type, Asked().command_type) == ("invite.asked",) * 2
    assert SendInvite.command_type == "SendInvite.v1"


def test_messages_are_equal_when_their_class_and_fields_are() -> None:
    class Other(Event):
        invite_id: int
        email: str | None = None

    assert InviteSent(invite_id=1) == InviteSent(invite_id=1, correlation_id="c")
    assert InviteSent(invite_id=1) != InviteSent(invite_id=2)
    assert InviteSent(invite_id=1) != made(Other, invite_id=1)
    assert hash(placed()) == hash(placed())
    assert len({InviteSent(invite_id=1), InviteSent(invite_id=1), InviteSent(invite_id=2)}) == 2


def test_a_copy_with_other_values_is_a_new_message() -> None:
    event = InviteSent(invite_id=1, email="a@b.c")
    other = event.model_copy(update={"invite_id": "2"})
    assert (other.invite_id, other.email) == (2, "a@b.c")
    assert other.event_id != event.event_id
    assert other._metadata.type == "invite.sent"
    assert refused(event.model_copy, update={"invite_id": "x", "colour": "red"}).keys() == {
        "invite_id",
        "colour",
    }


def test_a_plain_copy_is_the_same_message() -> None:
    event = placed()
    assert copy.copy(event) is event
    assert copy.deepcopy(event) is event


def test_pickling_keeps_the_metadata() -> None:
    event = InviteSent(invite_id=1, metadata={"user": 7})
    received = pickle.loads(pickle.dumps(event))
    assert received == event
    assert received._metadata == event._metadata


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_metadata_hold_only_numbers_that_json_has(number: float) -> None:
    (text,) = refused(InviteSent, invite_id=1, metadata={"rate": [number]})["metadata"]
    assert text.startswith("it takes text, numbers, lists and mappings of these: Out of range")


def test_a_message_that_json_cannot_hold_is_not_valid() -> None:
    with pytest.raises(ValidationError, match=r"InviteSent is not valid: .*surrogates") as caught:
        InviteSent(invite_id=1, email="\ud800").to_json()
    assert [*caught.value.messages] == ["_entity"]


def test_a_message_made_by_pydantic_alone_gets_metadata_that_stay() -> None:
    event = InviteSent.model_validate({"invite_id": 7})
    assert event._metadata.type == "invite.sent"
    assert event._metadata is event._metadata
    assert event.correlation_id == event.event_id


def test_an_attribute_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="colour"):
        made(InviteSent, invite_id=1).colour  # noqa: B018


def test_a_private_attribute_is_allowed_and_set_once() -> None:
    class Counted(Event):
        tags: list[str]
        _count: int = pydantic.PrivateAttr(default=3)

    event = Counted(tags=["a"])
    assert event._count == 3
    with pytest.raises(ImmutableError):
        changed(event, _count=4)
    with pytest.raises(ImmutableError):
        event.tags.append("b")


def test_a_message_comes_back_from_what_was_stored_with_its_metadata() -> None:
    event = placed()
    restored = OrderPlaced._restore(event.to_json(), event._metadata)
    assert restored == event
    assert restored._metadata is event._metadata
    assert OrderPlaced._restore(event.to_json().decode(), event._metadata) == event


@pytest.mark.parametrize("data", [b'{"invite_id": "x"}', b"{}", b"[1]", b'{"colour": 1}'])
def test_stored_data_that_do_not_fit_are_a_message_error(data: bytes) -> None:
    event = InviteSent(invite_id=1)
    with pytest.raises(MessageError, match="InviteSent is not valid") as raised:
        InviteSent._restore(data, event._metadata)
    assert raised.value.message_id == event.event_id
    assert raised.value.type == "invite.sent"


def test_a_message_whose_stored_row_was_damaged_is_told_as_such() -> None:
    event = InviteSent(invite_id=1)
    with pytest.raises(MessageError, match="what is stored of it is damaged: it has no data"):
        InviteSent._restore(b"", event._metadata)


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("x"), SystemExit("x")])
def test_whatever_a_validator_raises_means_that_a_message_cannot_be_read(
    error: BaseException,
) -> None:
    event = Checked(n=0)
    Checked.raising = error
    with pytest.raises(MessageError, match=f"Checked failed .*: {type(error).__name__}") as caught:
        Checked._restore(event.to_json(), event._metadata)
    assert caught.value.__cause__ is error
    assert caught.value.message_id == event.event_id


def test_an_interrupt_passes_while_a_message_is_read() -> None:
    event = Checked(n=0)
    Checked.raising = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        Checked._restore(event.to_json(), event._metadata)


def test_placing_completes_the_metadata() -> None:
    event = InviteSent(invite_id=1)
    first = event._metadata
    event._place("invite-7", 3)
    assert event._metadata == first._replace(
        stream="invite-7", position=3, origin_stream="invite-7"
    )
    later = SendInvite(invite_id=1)
    later._place("invite:command-1", None)
    assert later._metadata.position is None


class Kept(Event):
    text: str
    number: int
    real: float
    amount: Decimal
    flag: bool
    day: dt.date
    moment: dt.datetime
    span: dt.timedelta
    raw: bytes
    ref: uuid.UUID
    names: list[str]
    table: dict[str, list[int]]
    some: set[int]
    pair: tuple[int, str]
    maybe: int | str | None


@given(
    st.builds(
        Kept,
        real=st.floats(allow_nan=False, allow_infinity=False),
        amount=st.decimals(allow_nan=False, allow_infinity=False),
        moment=st.datetimes(timezones=st.just(dt.UTC)),
    )
)
def test_every_event_comes_back_from_json_unchanged(event: Kept) -> None:
    restored = Kept._restore(event.to_json(), event._metadata)
    assert restored == event
    assert hash(restored) == hash(event)


def test_no_two_messages_share_an_id() -> None:
    def some() -> Iterator[str]:
        for number in range(1000):
            yield InviteSent(invite_id=number).event_id
            yield SendInvite(invite_id=number).command_id

    assert len(set(some())) == 2000


def test_plain_data_are_what_json_can_hold() -> None:
    class ParcelPacked(Event):
        content: Any

    with pytest.raises(ValidationError, match=r"ParcelPacked is not valid: .*unknown type") as e:
        ParcelPacked(content=object()).to_dict()
    assert [*e.value.messages] == ["_entity"]
