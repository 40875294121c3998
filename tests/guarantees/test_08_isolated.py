"""Isolated: each handler has its own transaction; one that fails does not stop its neighbours."""

import pytest

from tests.guarantees.shop import Shop

pytestmark = pytest.mark.g8


def fail() -> None:
    raise KeyError("boom")


def test_a_handler_that_fails_is_rolled_back_alone(shop: Shop) -> None:
    shop.during["reduced"] = fail
    with pytest.raises(KeyError, match="boom"):
        shop.place("o1")
    assert shop.stock == 100
    assert "o1" in shop.orders
    assert shop.seen == ["place", "placed", "reduced", "notify"]


def test_the_event_stays_recorded_when_every_handler_fails(shop: Shop) -> None:
    shop.during["reduced"] = shop.during["notify"] = fail
    with pytest.raises(ExceptionGroup) as caught:
        shop.place("o1")
    assert [type(each) for each in caught.value.exceptions] == [KeyError, KeyError]
    assert shop.recorded == ["order-o1"]
    assert "o1" in shop.orders


def test_a_later_handler_that_fails_undoes_nothing_of_an_earlier_one(shop: Shop) -> None:
    shop.during["notify"] = fail
    with pytest.raises(KeyError):
        shop.place("o1")
    assert shop.stock == 99


def test_a_command_that_fails_reaches_no_event_handler(shop: Shop) -> None:
    shop.during["placed"] = fail
    with pytest.raises(KeyError):
        shop.place("o1")
    assert shop.seen == ["place", "placed"]
    assert shop.recorded == []
