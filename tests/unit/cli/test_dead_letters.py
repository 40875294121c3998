"""What ``happened dead-letters`` shows and does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer

from happened.cli import dead_letters
from happened.storage import Delivery, DeliveryState
from tests.unit.cli.conftest import Run


def waiting(shop: Any) -> list[tuple[str, str, int]]:
    return [(each.handler, each.state, each.attempts) for each in shop.domain.storage.deliveries()]


def add_another(shop: Any, id: str, **changes: Any) -> Delivery:
    """Have a message wait for a second handler."""
    storage = shop.domain.storage
    (delivery,) = storage.deliveries(message_id=id)
    other: Delivery = delivery._replace(handler="AddUp.add", subscription="AddUp", **changes)
    transaction = storage.begin()
    transaction.defer(other)
    transaction.commit()
    return other


def add_another_of(shop: Any, id: str, **changes: Any) -> None:
    """Have a message wait for one more handler, as it waits for ``ship``."""
    storage = shop.domain.storage
    delivery = next(each for each in storage.deliveries(message_id=id) if each.handler == "ship")
    transaction = storage.begin()
    transaction.defer(delivery._replace(**changes))
    transaction.commit()


def due_of(shop: Any, id: str) -> str:
    (delivery,) = shop.domain.storage.deliveries(message_id=id)
    assert datetime.now(UTC) - delivery.due < timedelta(minutes=5)
    return f"{delivery.due:%Y-%m-%d %H:%M:%S}Z"


def test_they_are_listed(dead: str, shop: Any, run: Run) -> None:
    ran = run("dead-letters", "list", "shop")
    assert ran.code == 0
    assert [line.rstrip() for line in ran.out.splitlines()] == [
        "handler  attempts  message",
        f"ship            1  {dead}",
        "                   order-order/7 at 0",
        f"                   failed {due_of(shop, dead)}",
        "                   KeyError: 'no address'",
    ]


@pytest.mark.parametrize(
    "state, told", [("dead", "failed "), ("retrying", "next try "), ("held", ""), ("pending", "")]
)
def test_a_moment_is_told_with_what_it_means(
    state: DeliveryState, told: str, dead: str, shop: Any, run: Run
) -> None:
    due = due_of(shop, dead)
    (delivery,) = shop.domain.storage.deliveries(message_id=dead)
    transaction = shop.domain.storage.begin()
    transaction.settle(delivery.handler, dead)
    transaction.defer(delivery._replace(state=state))
    transaction.commit()
    listed = run("dead-letters", "list", "shop", "--state", state).out
    shown = run("dead-letters", "show", "shop", dead).out
    assert listed.count(due) == shown.count(due) == bool(told)
    assert f"{told}{due}" in " ".join(listed.split()) or not told
    assert f"{told}{due}" in " ".join(shown.split()) or not told


def test_they_are_listed_as_json(dead: str, run: Run) -> None:
    ran = run("dead-letters", "list", "shop", "--json", "--subscription", "ship")
    (told,) = ran.lines
    assert told.pop("due").endswith("+00:00")
    assert told == {
        "message_id": dead,
        "handler": "ship",
        "subscription": "ship",
        "stream": "order-order/7",
        "position": 0,
        "state": "dead",
        "attempts": 1,
        "error": "KeyError: 'no address'",
    }


def test_a_part_of_them_is_listed(dead: str, shop: Any, run: Run) -> None:
    add_another(shop, dead)
    for option in ((), ("--json",)):
        ran = run("dead-letters", "list", "shop", "--limit", "1", *option)
        assert ran.err == "there are more than 1; show them with --limit\n"
        assert ran.out.count(dead) == 1
    assert run("dead-letters", "list", "shop", "--limit", "2").err == ""


def test_nothing_is_listed_where_nothing_waits(dead: str, run: Run) -> None:
    listing = ("dead-letters", "list", "shop")
    assert run(*listing, "--subscription", "AddUp").out == "no message is dead\n"
    assert run(*listing, "--state", "held").out == "no message is held\n"
    assert run(*listing, "--state", "held", "--json").out == ""
    assert run(*listing, "--state", "lost").code == 2


def test_an_unknown_subscription_is_refused(dead: str, run: Run) -> None:
    ran = run("dead-letters", "list", "shop", "--subscription", "shop")
    assert ran.code == 1
    assert ran.err == "happened: there is no subscription 'shop'; did you mean 'ship'?\n"


def test_one_is_shown_with_its_message_and_traceback(dead: str, run: Run) -> None:
    ran = run("dead-letters", "show", "shop", dead)
    assert ran.code == 0
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "handler ship" in lines
    assert "state dead, attempts: 1" in lines
    assert "type Shop.OrderPlaced.v1" in lines
    assert 'data {"order_id":"order/7","total":10}' in lines
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "KeyError: 'no address'"


def test_one_is_shown_as_json(dead: str, run: Run) -> None:
    told = run("dead-letters", "show", "shop", dead, "--json").json
    assert told["data"] == {"order_id": "order/7", "total": 10}
    assert told["metadata"]["type"] == "Shop.OrderPlaced.v1"
    assert told["traceback"].endswith("KeyError: 'no address'\n")


@pytest.mark.parametrize("changes", [{"message_id": "m9"}, {"position": 1, "message_id": "m9"}])
def test_one_whose_message_is_gone_cannot_be_shown(
    shop: Any, dead: str, run: Run, changes: dict[str, Any]
) -> None:
    add_another(shop, dead, **changes)
    assert run("dead-letters", "show", "shop", "m9") == (
        1,
        "",
        "happened: the message m9 is not stored, only that AddUp.add failed\n",
    )


def test_what_does_not_wait_is_refused(shop: Any, dead: str, run: Run) -> None:
    assert run("dead-letters", "show", "shop", "m1") == (
        1,
        "",
        "happened: the message m1 does not wait\n",
    )
    assert run("dead-letters", "retry", "shop", "m1").err == (
        "happened: the message m1 does not wait\n"
    )
    run("dead-letters", "retry", "shop", dead)
    assert run("dead-letters", "discard", "shop", dead).err == (
        f"happened: the message {dead} is no dead letter; for ship it is retrying\n"
    )


def test_of_several_handlers_one_must_be_named(shop: Any, dead: str, run: Run) -> None:
    add_another(shop, dead)
    assert run("dead-letters", "retry", "shop", dead).err == (
        f"happened: several handlers failed on {dead}; name one with --handler: AddUp.add, ship\n"
    )
    assert run("dead-letters", "retry", "shop", dead, "--handler", "ship").code == 0
    assert sorted(waiting(shop)) == [("AddUp.add", "dead", 1), ("ship", "retrying", 0)]
    assert run("dead-letters", "discard", "shop", "--all", "--handler", "ship", "--yes").out == (
        "no message is dead\n"
    )


def test_one_is_retried_and_handled(shop: Any, dead: str, run: Run) -> None:
    ran = run("dead-letters", "retry", "shop", dead)
    assert ran == (0, f"will be retried: {dead} ship order-order/7\n", "")
    assert waiting(shop) == [("ship", "retrying", 0)]
    shop.broken = False
    assert shop.domain.catch_up() == 1
    assert shop.shipped == ["order/7"]
    assert waiting(shop) == []


def test_all_are_retried(shop: Any, dead: str, run: Run) -> None:
    shop.place("8")
    shop.domain.catch_up()
    assert run("dead-letters", "retry", "shop", "--all", "--subscription", "ship").code == 0
    assert waiting(shop) == [("ship", "retrying", 0)] * 2
    assert run("dead-letters", "retry", "shop", "--all").out == "no message is dead\n"


def test_what_no_handler_can_handle_is_not_retried(
    shop: Any, dead: str, later: Any, run: Run
) -> None:
    refusal = (
        "happened: domain 'shop' has no handler ship, for which 1 message waits; if the class or "
        "function has another name now, give it name='ship' and retry; else give up what waits "
        "with `happened dead-letters discard`\n"
    )
    for chosen in (dead, "--all"):
        assert run("dead-letters", "retry", "later", chosen) == (1, "", refusal)
    assert waiting(shop) == [("ship", "dead", 1)]


def test_those_with_a_handler_are_retried_among_others(
    shop: Any, dead: str, later: Any, run: Run
) -> None:
    add_another(shop, dead)
    add_another_of(shop, dead, handler="AddUp.sum", subscription="AddUp")
    add_another_of(shop, dead, handler="AddUp", subscription="AddUp")  # nobody could read it
    ran = run("dead-letters", "retry", "later", "--all")
    assert ran.code == 1
    assert sorted(ran.out.splitlines()) == [
        f"will be retried: {dead} AddUp order-order/7",
        f"will be retried: {dead} AddUp.add order-order/7",
    ]
    assert len(ran.err.splitlines()) == 2
    assert (
        "happened: domain 'shop' has no handler AddUp.sum, for which 1 message waits; if the "
        "method has another name now, give it name='sum' and retry; "
    ) in ran.err
    states = {handler: state for handler, state, _ in waiting(shop)}
    assert states == {
        "AddUp": "retrying",
        "AddUp.add": "retrying",
        "AddUp.sum": "dead",
        "ship": "dead",
    }


@pytest.mark.parametrize("state", ["dead", "retrying", "held", "pending"])
def test_what_no_handler_can_handle_is_discarded_by_its_id(
    state: DeliveryState, shop: Any, dead: str, later: Any, run: Run
) -> None:
    (delivery,) = shop.domain.storage.deliveries()
    transaction = shop.domain.storage.begin()
    transaction.defer(delivery._replace(state=state))
    transaction.commit()
    assert run("dead-letters", "discard", "shop", dead).code == (0 if state == "dead" else 1)
    transaction = shop.domain.storage.begin()
    transaction.defer(delivery._replace(state=state))
    transaction.commit()
    ran = run("dead-letters", "discard", "later", dead)
    assert ran == (0, f"discarded: {dead} ship order-order/7\n", "")
    assert waiting(shop) == []


def test_one_is_discarded_and_said(shop: Any, dead: str, run: Run) -> None:
    ran = run("dead-letters", "discard", "shop", dead)
    assert ran == (0, f"discarded: {dead} ship order-order/7\n", "")
    assert waiting(shop) == []
    assert shop.domain.storage.find_message("order-order/7", 0) is not None


def test_all_are_discarded_only_if_somebody_agrees(
    shop: Any, dead: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run("dead-letters", "discard", "shop", "--all")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "happened: Discard 1 dead letter? There is no terminal to ask on; give --yes to agree\n"
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", confirm([False, True]))
    assert run("dead-letters", "discard", "shop", "--all").code == 1
    assert waiting(shop) == [("ship", "dead", 1)]
    assert run("dead-letters", "discard", "shop", "--all").code == 0
    assert waiting(shop) == []


def confirm(answers: list[bool]) -> Any:
    left = iter(answers)

    def answer(question: str, *, abort: bool, err: bool) -> None:
        assert abort
        assert err
        if not next(left):
            raise typer.Abort

    return answer


def test_messages_are_named_or_all_are_meant(shop: Any, dead: str, run: Run) -> None:
    assert run("dead-letters", "retry", "shop").code == 2
    assert run("dead-letters", "discard", "shop", dead, "--all").code == 2


def test_who_was_faster_wins(
    shop: Any, dead: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = dead_letters._chosen

    def slowly(*arguments: Any, **options: Any) -> list[Delivery]:
        found = chosen(*arguments, **options)
        transaction = shop.domain.storage.begin()
        transaction.settle("ship", dead)
        transaction.commit()
        return found

    monkeypatch.setattr(dead_letters, "_chosen", slowly)
    ran = run("dead-letters", "retry", "shop", dead)
    assert ran.out == ""
    assert ran.err == f"somebody else was faster: {dead} ship order-order/7\n"
    assert waiting(shop) == []
