"""What cannot change: lists, mappings and sets in messages and value objects."""

import copy
import pickle
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, NewType
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from happened import Command, Event, ValueObject
from happened.errors import ImmutableError
from happened.immutable import (
    ImmutableDeque,
    ImmutableDict,
    ImmutableList,
    ImmutableSet,
    freeze,
    is_scalar,
)
from tests.unit.attempts import misconfigured

LIST_ATTACKS: list[Callable[[Any], object]] = [
    lambda items: items.append(4),
    lambda items: items.extend([4]),
    lambda items: items.insert(0, 4),
    lambda items: items.pop(),
    lambda items: items.remove(1),
    lambda items: items.clear(),
    lambda items: items.sort(reverse=True),
    lambda items: items.reverse(),
    lambda items: items.__setitem__(0, 9),
    lambda items: items.__setitem__(slice(0, 2), []),
    lambda items: items.__delitem__(0),
    lambda items: items.__delitem__(slice(None)),
    lambda items: items.__iadd__([4]),
    lambda items: items.__imul__(2),
]
DICT_ATTACKS: list[Callable[[Any], object]] = [
    lambda items: items.__setitem__("a", 9),
    lambda items: items.__delitem__("a"),
    lambda items: items.update(a=9),
    lambda items: items.setdefault("z", 9),
    lambda items: items.pop("a"),
    lambda items: items.popitem(),
    lambda items: items.clear(),
    lambda items: items.__ior__({"a": 9}),
]
SET_ATTACKS: list[Callable[[Any], object]] = [
    lambda items: items.add(9),
    lambda items: items.discard(1),
    lambda items: items.remove(1),
    lambda items: items.pop(),
    lambda items: items.clear(),
    lambda items: items.update([9]),
    lambda items: items.difference_update([1]),
    lambda items: items.intersection_update([9]),
    lambda items: items.symmetric_difference_update([9]),
    lambda items: items.__ior__({9}),
    lambda items: items.__iand__({9}),
    lambda items: items.__isub__({1}),
    lambda items: items.__ixor__({9}),
]

DEQUE_ATTACKS: list[Callable[[Any], object]] = [
    lambda items: items.append(4),
    lambda items: items.appendleft(4),
    lambda items: items.extend([4]),
    lambda items: items.extendleft([4]),
    lambda items: items.insert(0, 4),
    lambda items: items.pop(),
    lambda items: items.popleft(),
    lambda items: items.remove(1),
    lambda items: items.clear(),
    lambda items: items.reverse(),
    lambda items: items.rotate(1),
    lambda items: items.__setitem__(0, 9),
    lambda items: items.__delitem__(0),
    lambda items: items.__iadd__([4]),
    lambda items: items.__imul__(2),
]


@pytest.mark.parametrize(
    "original, attack",
    [
        *((deque([1, 2, 3]), attack) for attack in DEQUE_ATTACKS),
        *(([1, 2, 3], attack) for attack in LIST_ATTACKS),
        *(({"a": 1, "b": 2}, attack) for attack in DICT_ATTACKS),
        *(({1, 2, 3}, attack) for attack in SET_ATTACKS),
    ],
)
def test_no_method_changes_what_is_frozen(original: Any, attack: Callable[[Any], object]) -> None:
    frozen = freeze(original)
    with pytest.raises(ImmutableError, match="belongs to something immutable"):
        attack(frozen)
    assert frozen == original
    with_the_attack = copy.deepcopy(original)
    attack(with_the_attack)  # the attack is one: it changes what is not frozen


@pytest.mark.parametrize("original", [[1, 2], {"a": 1}, {1, 2}, deque([1, 2], 5)])
def test_what_is_frozen_equals_what_it_was_made_from(original: Any) -> None:
    frozen = freeze(original)
    assert frozen == original
    assert type(frozen) in (ImmutableList, ImmutableDict, ImmutableSet, ImmutableDeque)
    assert isinstance(frozen, type(original))
    assert repr(original).removeprefix("deque(").removesuffix(")") in repr(frozen)


@pytest.mark.parametrize("original", [[1, 2], {"a": 1}, {1, 2}, deque([1, 2], 5)])
def test_what_is_frozen_has_a_hash_and_survives_pickling(original: Any) -> None:
    frozen, same = freeze(original), freeze(copy.deepcopy(original))
    assert hash(frozen) == hash(same)
    assert {frozen: 1}[same] == 1
    received = pickle.loads(pickle.dumps(frozen))
    assert (received, type(received)) == (frozen, type(frozen))
    assert copy.copy(frozen) is frozen
    assert copy.deepcopy(frozen) is frozen


@pytest.mark.parametrize("original", [[1, 2], {"a": 1}, {1, 2}, deque([1, 2], 5)])
def test_a_copy_by_its_own_method_can_change(original: Any) -> None:
    copied = freeze(original).copy()
    assert type(copied) is type(original)
    copied.clear()
    assert not copied


class Point(NamedTuple):
    xs: list[int]
    label: str


class Pair(tuple[int, int], Enum):
    ONE = (1, 2)


def test_every_level_is_frozen() -> None:
    frozen = freeze({"a": [{"b": ({"c": [1]},)}], "p": Point([1], "x"), "s": {1}})
    assert type(frozen["a"]) is ImmutableList
    assert type(frozen["a"][0]) is ImmutableDict
    assert type(frozen["a"][0]["b"][0]["c"]) is ImmutableList
    assert type(frozen["p"]) is Point
    assert type(frozen["p"].xs) is ImmutableList
    assert type(frozen["s"]) is ImmutableSet
    kept = freeze(deque([[1], [2]], 3))
    assert (type(kept), kept.maxlen, type(kept[0])) == (ImmutableDeque, 3, ImmutableList)


def test_bytes_that_can_change_become_bytes_that_cannot() -> None:
    assert type(freeze(bytearray(b"a"))) is bytes
    assert freeze(bytearray(b"a")) == bytearray(b"a")


def test_special_mappings_become_plain_ones() -> None:
    for special in (OrderedDict(a=[1]), defaultdict(list, a=[1])):
        frozen = freeze(special)
        assert type(frozen) is ImmutableDict
        assert type(frozen["a"]) is ImmutableList
        assert frozen == {"a": [1]}


@pytest.mark.parametrize("value", ["a", 1, 1.5, None, True, b"b", Pair.ONE, date(2026, 1, 1)])
def test_what_cannot_change_stays_the_same_object(value: object) -> None:
    assert freeze(value) is value


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(json_like)
def test_freezing_keeps_every_value_and_freezing_again_changes_nothing(value: Any) -> None:
    frozen = freeze(value)
    assert frozen == value
    assert freeze(frozen) == frozen
    hash(frozen)


@given(json_like)
def test_no_list_and_no_mapping_that_can_change_is_left(value: Any) -> None:
    def mutable(each: Any) -> bool:
        if isinstance(each, dict):
            return type(each) is not ImmutableDict or any(map(mutable, each.values()))
        if isinstance(each, list):
            return type(each) is not ImmutableList or any(map(mutable, each))
        return isinstance(each, tuple) and any(map(mutable, each))

    assert not mutable(freeze(value))


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    "annotation",
    [
        str,
        int,
        str | None,
        Annotated[str | None, "x"],
        Literal["a", 1],
        Colour,
        Decimal,
        UUID,
        date,
    ],
)
def test_these_types_hold_nothing_that_can_change(annotation: object) -> None:
    assert is_scalar(annotation)


@pytest.mark.parametrize(
    "annotation", [list[str], dict[str, int], set[int] | None, Any, tuple[int], "str", object]
)
def test_these_types_might_hold_something_that_can_change(annotation: object) -> None:
    assert not is_scalar(annotation)


@dataclass
class Changeable:
    x: int


@dataclass(frozen=True)
class Fixed:
    kinds: ClassVar[list[int]] = []
    x: int
    pair: tuple[int, ...] = ()
    more: "Fixed | None" = None


@dataclass(frozen=True)
class HalfFixed:
    xs: list[int]


class Model(pydantic.BaseModel):
    x: int


class FixedModel(pydantic.BaseModel, frozen=True):
    fixed: Fixed


class HalfFixedModel(pydantic.BaseModel, frozen=True):
    xs: Mapping[str, int]


class Money(ValueObject):
    tags: list[str]


class Place(NamedTuple):
    where: Changeable


Renamed = NewType("Renamed", Changeable)


@pytest.mark.parametrize("base", [Event, Command, ValueObject])
@pytest.mark.parametrize(
    "annotation, problem",
    [
        (Changeable, "Changeable can be changed; derive it from ValueObject"),
        ("Changeable", "Changeable can be changed; derive it from ValueObject"),
        (Renamed, "Changeable can be changed; derive it from ValueObject"),
        (list[Changeable], "Changeable can be changed; derive it from ValueObject"),
        (Changeable | None, "Changeable can be changed; derive it from ValueObject"),
        (Place, "Changeable can be changed; derive it from ValueObject"),
        (Annotated[deque[Changeable], 1], "Changeable can be changed; derive it from ValueObject"),
        (dict[str, Model], "Model can be changed; derive it from ValueObject"),
        (HalfFixed, "the list in HalfFixed can be changed; derive HalfFixed from ValueObject"),
        (
            tuple[HalfFixedModel, ...],
            "the Mapping in HalfFixedModel can be changed; derive HalfFixedModel from ValueObject",
        ),
        (Iterable[int], "Iterable is read only once; use list or tuple"),
        (Counter[str], "Counter cannot be made immutable; use dict"),
        (OrderedDict[str, int], "OrderedDict cannot be made immutable; use dict"),
        (Generator[int, None, None], "Generator is read only once; use list or tuple"),
    ],
    ids=str,
)
def test_a_field_that_cannot_be_frozen_is_refused(base: Any, annotation: Any, problem: str) -> None:
    body = {"__module__": __name__, "__annotations__": {"it": annotation}}
    assert misconfigured(type(base), "Found", (base,), body) == (f"Found.it: {problem}",)


def test_a_field_that_can_be_frozen_is_taken() -> None:
    class Found(Event):
        fixed: Fixed
        model: FixedModel
        money: list[Money]
        last: deque[list[int]]
        sequence: Sequence[int]
        grouped: defaultdict[str, list[int]]
        anything: Any

    found = Found(
        fixed=Fixed(x=1),
        model=FixedModel(fixed=Fixed(x=1)),
        money=[Money(tags=["a"])],
        last=deque([[1]]),
        sequence=deque([1]),
        grouped=defaultdict(list, a=[1]),
        anything=bytearray(b"a"),
    )
    for attack in (
        lambda: found.last.append([2]),
        lambda: found.last[0].append(2),
        lambda: found.sequence.append(2),  # type: ignore[attr-defined]
        lambda: found.grouped["a"].append(2),
        lambda: found.money[0].tags.append("b"),
    ):
        with pytest.raises(ImmutableError):
            attack()
    assert Found._restore(found.to_json(), found._metadata).last == found.last
