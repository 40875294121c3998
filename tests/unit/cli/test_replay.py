"""What ``happened replay`` does."""

from typing import Any

import pytest

from tests.unit.cli.conftest import Run


@pytest.fixture(autouse=True)
def placed(shop: Any) -> None:
    shop.broken = False
    for id in ("1", "2", "3"):
        shop.place(id)
    shop.domain.catch_up()
    shop.shipped.clear()


def test_a_handler_handles_once_more(shop: Any, run: Run) -> None:
    assert run("replay", "shop", "ship", "--yes") == (0, "ship: 3 messages read\n", "")
    assert shop.shipped == ["1", "2", "3"]
    assert not shop.domain.storage.checkpoints("ship~replay")


def test_it_begins_where_it_is_told(shop: Any, run: Run) -> None:
    assert run("replay", "shop", "ship", "--from", "1", "--yes").code == 0
    assert shop.shipped == ["2", "3"]


def test_it_goes_on_after_a_failure(shop: Any, run: Run) -> None:
    shop.broken = True
    ran = run("replay", "shop", "ship", "--yes")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("happened: ship failed on Shop.OrderPlaced.v1 ")
    shop.broken = False
    assert run("replay", "shop", "ship", "--yes").code == 0
    assert shop.shipped == ["1", "2", "3"]


def test_it_warns_first(shop: Any, run: Run) -> None:
    ran = run("replay", "shop", "ship")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(
        "happened: ship does again whatever it does, from global position 0 on; replay it?"
    )
    assert shop.shipped == []


def test_an_unknown_handler_is_refused(run: Run) -> None:
    assert run("replay", "shop", "shi", "--yes").err == (
        "happened: domain 'shop' has no handler 'shi'; did you mean 'ship'?\n"
    )
    assert run("replay", "shop", "xyz", "--yes").err == (
        "happened: domain 'shop' has no handler 'xyz'; it has AddUp, ship\n"
    )
