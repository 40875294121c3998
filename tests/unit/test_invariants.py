"""Invariants: when they are checked, and what they say."""

import pytest

from happened import Aggregate, Entity, ValidationError, ValueObject, invariant
from happened.invariants import check, invariants_of
from tests.unit.attempts import changed, refused


class Stay(Aggregate):
    first: int
    last: int
    guests: int = 1

    @invariant
    def it_ends_after_it_begins(self) -> None:
        if self.last < self.first:
            raise ValueError("it ends after it begins")

    @invariant
    def somebody_stays(self) -> None:
        if self.guests < 1:
            raise ValidationError({"guests": ["somebody stays"], "first": ["nobody comes"]})


class LongStay(Stay):
    @invariant
    def it_is_long(self) -> None:
        if self.last - self.first < 7:
            raise ValueError("it takes a week")


class Lenient(LongStay):
    def it_is_long(self) -> None:
        """No week is needed."""


def test_all_broken_invariants_are_reported_at_once() -> None:
    assert refused(Stay, first=5, last=1, guests=0) == {
        "_entity": ["it ends after it begins"],
        "guests": ["somebody stays"],
        "first": ["nobody comes"],
    }
    assert refused(LongStay, first=5, last=1, guests=0) == {
        "_entity": ["it ends after it begins", "it takes a week"],
        "guests": ["somebody stays"],
        "first": ["nobody comes"],
    }


def test_invariants_are_checked_after_each_change() -> None:
    stay = Stay(first=1, last=5)
    assert refused(changed, stay, last=0) == {"_entity": ["it ends after it begins"]}
    assert refused(changed, stay, guests=0).keys() == {"guests", "first"}
    assert (stay.last, stay.guests) == (5, 1)


def test_a_subclass_adds_to_the_invariants_and_may_override_them() -> None:
    assert len(invariants_of(Stay)) == 2
    assert len(invariants_of(LongStay)) == 3
    assert Lenient(first=1, last=2).last == 2
    assert refused(Lenient, first=3, last=1) == {"_entity": ["it ends after it begins"]}


def test_a_broken_invariant_of_a_part_is_named_by_its_path() -> None:
    class Room(ValueObject):
        beds: int

        @invariant
        def one_can_sleep(self) -> None:
            if self.beds < 1:
                raise ValueError("there is a bed")

    class Floor(Entity):
        rooms: list[Room]

    class House(Aggregate):
        floors: list[Floor]

    assert refused(House, floors=[{"rooms": [{"beds": 1}, {"beds": 0}]}]) == {
        "floors.0.rooms.1": ["there is a bed"]
    }


def test_what_is_no_value_error_passes_through() -> None:
    class Broken(Aggregate):
        @invariant
        def it_works(self) -> None:
            raise LookupError("the invariant itself is broken")

    with pytest.raises(LookupError, match="the invariant itself is broken"):
        Broken()


def test_no_invariants_hold_always() -> None:
    check(object(), ())
    assert invariants_of(object) == ()
