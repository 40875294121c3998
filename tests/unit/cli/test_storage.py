"""What ``happened storage`` does and says."""

from typing import Any

import pytest

from happened.domain import Domain
from happened.errors import StorageError
from tests.unit.cli.conftest import Run


def test_what_is_created_is_said(shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = iter([["created the tables"], [], ["created the tables"]])
    monkeypatch.setattr(type(shop.domain.storage), "create", lambda self: next(done))
    assert run("storage", "init", "shop") == (0, "created the tables\n", "")
    assert run("storage", "init", "shop") == (0, "sqlite:///shop.db: all was there\n", "")
    assert run("storage", "init", "shop", "--json").json == {
        "storage": "sqlite:///shop.db",
        "done": ["created the tables"],
    }


def test_a_storage_that_lacks_nothing_is_well(shop: Any, run: Run) -> None:
    assert run("storage", "init", "shop").code == 0
    assert run("storage", "check", "shop") == (0, "sqlite:///shop.db: all is there\n", "")


def test_what_is_lacking_is_said(shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = ["the tables are not there", "an index is not there"]
    monkeypatch.setattr(type(shop.domain.storage), "problems", lambda self: lacking)
    assert run("storage", "check", "shop") == (
        1,
        "",
        "happened: the tables are not there\nhappened: an index is not there\n",
    )
    ran = run("storage", "check", "shop", "--json")
    assert ran.code == 1
    assert ran.json == {"storage": "sqlite:///shop.db", "problems": lacking}


def test_a_storage_that_cannot_be_reached_is_a_line(
    shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(self: object) -> list[str]:
        raise StorageError("sqlite:///shop.db", "the disk is gone")

    monkeypatch.setattr(type(shop.domain.storage), "problems", unreachable)
    assert run("storage", "check", "shop") == (
        1,
        "",
        "happened: sqlite:///shop.db: the disk is gone\n",
    )


@pytest.fixture
def polite(shop: Any) -> Any:
    """The shop with a function that thanks for new orders; ids of what it thanked for."""
    thanked: list[str] = []
    domain: Domain = shop.domain

    @domain.on(shop.OrderPlaced, start_from="now")
    def thank(event: Any) -> None:
        thanked.append(event.order_id)

    shop.broken = False
    domain.init(traverse=False)
    return thanked


def test_a_handler_that_begins_now_begins_at_init(shop: Any, polite: list[str], run: Run) -> None:
    shop.place("7")
    told = "subscription thank begins with what is stored from now on"
    ran = run("storage", "check", "shop")
    missing = "sqlite:///shop.db: subscription thank has start_from='now', and has not begun"
    advice = "run `happened storage init MODULE:DOMAIN`"
    assert (ran.code, ran.err) == (1, f"happened: {missing}; {advice}\n")
    assert run("storage", "init", "shop", "--json").json["done"] == [told]
    assert {each.subscription for each in shop.domain.storage.checkpoints()} == {"thank"}
    assert run("storage", "check", "shop").code == 0
    shop.place("8")
    assert run("storage", "init", "shop").out == "sqlite:///shop.db: all was there\n"
    shop.domain.catch_up()
    assert polite == ["8"]
    assert shop.shipped == ["7", "8"]


def test_a_handler_that_has_begun_stays_where_it_is(shop: Any, polite: list[str], run: Run) -> None:
    shop.domain.catch_up()
    shop.place("7")
    assert run("storage", "init", "shop").out == "sqlite:///shop.db: all was there\n"
    shop.domain.catch_up()
    assert polite == ["7"]
