"""Atomic: an aggregate's state and its events are committed together or not at all."""

import pytest

from happened import ConcurrencyError, ValidationError
from tests.guarantees.shop import Shop

pytestmark = pytest.mark.g1


def test_state_and_events_are_committed_together(shop: Shop) -> None:
    shop.place("o1")
    assert shop.orders.get("o1").placed == 1
    assert shop.recorded == ["order-o1"]


def test_a_handler_that_fails_after_its_writes_commits_neither(shop: Shop) -> None:
    def fail() -> None:
        assert "o1" in shop.orders
        raise KeyError("late")

    shop.during["placed"] = fail
    with pytest.raises(KeyError, match="late"):
        shop.place("o1")
    assert "o1" not in shop.orders
    assert shop.recorded == []
    assert shop.stock == 100


@pytest.mark.parametrize("error", [ConcurrencyError, ValidationError])
def test_a_refused_commit_writes_nothing_of_the_whole_unit_of_work(
    shop: Shop, error: type[Exception]
) -> None:
    shop.orders.add(shop.Order(id="o1", number="1"))
    shop.orders.add(shop.Order(id="o2"))
    before = shop.recorded

    def work() -> None:
        with shop.domain.unit_of_work():
            good = shop.Order(id="good", number="2")
            good.place()
            shop.orders.add(good)
            make_a_mistake(shop, error)

    with pytest.raises(error):
        work()
    assert "good" not in shop.orders
    assert shop.recorded == before
    assert shop.seen == []
    shop.orders.add(shop.Order(number="2"))


def make_a_mistake(shop: Shop, error: type[Exception]) -> None:
    if error is ConcurrencyError:
        stale = shop.orders.get("o2")
        transaction = shop.domain.storage.begin()
        document = transaction.load("order", "o2")
        assert document is not None
        transaction.save("order", document._replace(version=2), expected=1)
        transaction.commit()
        stale.place()
        shop.orders.add(stale)
    else:
        shop.orders.add(shop.Order(number="1"))
