"""What ``happened subscriptions`` does."""

from typing import Any

import pytest

from happened.errors import StorageError
from tests.unit.cli.conftest import Run

REMOVE = ("subscriptions", "remove", "later")


def stored(shop: Any) -> set[str]:
    return {each.subscription for each in shop.domain.storage.checkpoints()}


def test_one_without_a_handler_is_removed(shop: Any, dead: str, later: Any, run: Run) -> None:
    ran = run(*REMOVE, "ship", "--yes")
    assert ran == (0, "removed: ship; 1 message discarded\n", "")
    assert stored(shop) == {"AddUp"}
    assert shop.domain.storage.deliveries() == []
    assert shop.domain.storage.find_message("order-order/7", 0) is not None
    assert "no handler" not in run("status", "later").out
    ran = run(*REMOVE, "ship", "--yes")
    assert (ran.code, ran.err) == (1, "happened: there is no subscription 'ship'\n")


def test_what_was_removed_is_told_as_json(shop: Any, later: Any, run: Run) -> None:
    shop.domain.catch_up()
    ran = run(*REMOVE, "ship", "--yes", "--json")
    assert (ran.code, ran.json) == (0, {"subscription": "ship", "discarded": 0})


def test_one_is_removed_only_if_somebody_agrees(shop: Any, dead: str, later: Any, run: Run) -> None:
    asked = "Remove the subscription ship, and discard 1 message?"
    ran = run(*REMOVE, "ship")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"happened: {asked} There is no terminal to ask on")
    assert stored(shop) == {"AddUp", "ship"}


@pytest.mark.parametrize("name", ["AddUp", "send", "AddUp~replay", "totals~rebuild"])
def test_one_that_the_domain_has_is_refused(
    shop: Any, dead: str, later: Any, run: Run, name: str
) -> None:
    shop.domain.storage.subscribe(name)
    refusal = f"happened: domain 'shop' has the handler of {name!r}; only a subscription without a"
    ran = run(*REMOVE, name, "--yes")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"{refusal} handler can be removed\n"
    assert name in stored(shop)


def test_an_unknown_one_is_refused(shop: Any, dead: str, later: Any, run: Run) -> None:
    assert run(*REMOVE, "shop", "--yes").err == (
        "happened: there is no subscription 'shop'; did you mean 'ship'?\n"
    )
    assert run(*REMOVE, "Postage", "--yes").err == (
        "happened: there is no subscription 'Postage'; those without a handler are ship\n"
    )
    assert run(*REMOVE).code == 2


def test_a_storage_that_cannot_be_reached_is_a_line(
    shop: Any, dead: str, later: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(self: object, name: str) -> None:
        raise StorageError("sqlite:///shop.db", "the disk is gone")

    monkeypatch.setattr(type(shop.domain.storage), "unsubscribe", unreachable)
    assert run(*REMOVE, "ship", "--yes") == (
        1,
        "",
        "happened: sqlite:///shop.db: the disk is gone\n",
    )
