"""Conflicts show: of two writers of one aggregate one wins, the other gets the error."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from happened import Aggregate, Command, ConcurrencyError, Domain, current_domain, handle
from tests.guarantees.shop import Shop

pytestmark = pytest.mark.g6


def test_the_second_writer_gets_the_error_with_both_versions(shop: Shop) -> None:
    shop.place("o1")
    first, second = shop.orders.get("o1"), shop.orders.get("o1")
    first.place()
    shop.orders.add(first)
    second.place()
    with pytest.raises(ConcurrencyError) as caught:
        shop.orders.add(second)
    assert (caught.value.stream, caught.value.expected, caught.value.found) == ("order-o1", 1, 2)
    assert shop.orders.get("o1").placed == 2
    assert shop.recorded == ["order-o1", "order-o1"]


def test_a_handler_that_lost_gets_the_error_at_the_end_of_its_unit_of_work(shop: Shop) -> None:
    def be_faster() -> None:
        transaction = shop.domain.storage.begin()
        document = transaction.load("inventory", "i1")
        assert document is not None
        changed = document._replace(version=2, data=b'{"id":"i1","stock":7}')
        transaction.save("inventory", changed, expected=1)
        transaction.commit()

    shop.during["reduced"] = be_faster
    with pytest.raises(ConcurrencyError) as caught:
        shop.place("o1")
    assert caught.value.stream == "inventory-i1"
    assert shop.stock == 7
    assert shop.recorded == ["order-o1"]


@pytest.mark.parametrize("retries", [0, 50])
def test_of_writers_at_once_every_one_wins_or_gets_the_error(
    storage_url: str, retries: int
) -> None:
    domain = Domain("counter", storage=storage_url)
    barrier = Barrier(2)

    @domain.aggregate
    class Counter(Aggregate):
        n: int = 0

    @domain.command(part_of=Counter)
    class Count(Command):
        meet: bool = True

    @domain.command_handler(part_of=Counter, retries=retries)
    class Counting:
        @handle(Count)
        def count(self, command: Count) -> None:
            counters = current_domain.repository_for(Counter)
            counter = counters.get("c1")
            if barrier.n_waiting < 2 and not met.pop(command.command_id, None):
                met[command.command_id] = True
                barrier.wait(30)
            counter.n += 1
            counters.add(counter)

    met: dict[str, Any] = {}
    domain.init(traverse=False)
    domain.storage.create()
    counters = domain.repository_for(Counter)
    counters.add(Counter(id="c1"))

    def write(_: int) -> bool:
        try:
            domain.process(Count())
        except ConcurrencyError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(write, range(2)))
    assert sum(won) == (2 if retries else 1)
    assert counters.get("c1").n == sum(won)
