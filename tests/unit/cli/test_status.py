"""What ``happened status`` shows."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

from happened.cli import status
from happened.storage import Backlog
from happened.writes import delivery_of
from tests.unit.cli.conftest import Run


def test_new_subscriptions_are_shown(shop: Any, run: Run) -> None:
    ran = run("status", "shop")
    assert (ran.code, ran.err) == (0, "")
    assert [line.rstrip() for line in ran.out.splitlines()] == [
        "subscription  reads  behind  since  retrying  held  dead  pending",
        "AddUp         order     new",
        "  add",
        "ship          order     new",
    ]


def test_what_waits_is_counted(shop: Any, dead: str, run: Run) -> None:
    shop.place("8")
    shop.place("9")
    ran = run("status", "shop", "--json")
    assert ran.code == 0
    told = ran.json
    ages = [each.pop("behind_seconds") for each in told["subscriptions"]]
    assert all(0 < age < 60 for age in ages)
    assert told == {
        "domain": "shop",
        "storage": "sqlite:///shop.db",
        "unnumbered_messages": told["unnumbered_messages"],
        "unnumbered_seconds": told["unnumbered_seconds"],
        "subscriptions": [
            {
                "subscription": "AddUp",
                "handlers": ["AddUp.add"],
                "categories": ["order"],
                "begun": True,
                "behind_messages": 2,
                "retrying": 0,
                "held": 0,
                "dead": 0,
                "pending": 0,
            },
            {
                "subscription": "ship",
                "handlers": ["ship"],
                "categories": ["order"],
                "begun": True,
                "behind_messages": 2,
                "retrying": 0,
                "held": 0,
                "dead": 1,
                "pending": 0,
            },
        ],
        "without_handler": [],
    }
    table = run("status", "shop").out.splitlines()
    assert table[1].split()[:3] == ["AddUp", "order", "2"]
    assert table[3].split()[-1] == "1"


def test_a_subscription_whose_handler_has_another_name_is_shown(
    shop: Any, dead: str, later: Any, run: Run
) -> None:
    shop.place("8")
    ran = run("status", "later")
    assert (ran.code, ran.err) == (0, "")
    assert [" ".join(line.split()) for line in ran.out.splitlines()[:5]] == [
        "subscription reads behind since retrying held dead pending",
        next(" ".join(line.split()) for line in ran.out.splitlines() if line.startswith("AddUp")),
        "add",
        "send order new",
        "ship no handler 1",
    ]
    assert ran.out.splitlines()[4].rindex("1") == ran.out.splitlines()[0].index("dead") + 3
    told = run("status", "later", "--json").json
    assert [each["subscription"] for each in told["subscriptions"]] == ["AddUp", "send"]
    assert told["without_handler"] == [
        {
            "subscription": "ship",
            "begun": True,
            "retrying": 0,
            "held": 0,
            "dead": 1,
            "pending": 0,
        }
    ]


def test_what_waits_is_shown_where_nothing_was_ever_read(shop: Any, later: Any, run: Run) -> None:
    """In synchronous processing, nobody makes checkpoints."""
    storage = shop.domain.storage
    transaction = storage.begin()
    for handler in ("Old.one", "Old.two", "ship"):
        transaction.defer(
            delivery_of(handler, shop.OrderPlaced(order_id="7", total=1)._metadata, "dead")
        )
    transaction.commit()
    left = run("status", "later", "--json").json["without_handler"]
    assert [(each["subscription"], each["begun"], each["dead"]) for each in left] == [
        ("Old", False, 2),
        ("ship", False, 1),
    ]
    assert [
        each["subscription"] for each in run("status", "shop", "--json").json["without_handler"]
    ] == ["Old"]


def test_a_replay_and_a_rebuild_are_those_of_their_handlers(
    shop: Any, later: Any, run: Run
) -> None:
    for name in ("AddUp~replay", "totals~rebuild", "ship~replay", "sums~rebuild"):
        shop.domain.storage.subscribe(name)
    left = run("status", "later", "--json").json["without_handler"]
    assert [each["subscription"] for each in left] == ["ship~replay", "sums~rebuild"]
    assert run("status", "shop").out.count("no handler") == 1


@pytest.mark.parametrize(
    "count, told", [(1, "1 message has no position yet"), (2, "2 messages have no position yet")]
)
def test_messages_without_a_position_are_told(
    shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch, count: int, told: str
) -> None:
    left = Backlog(count, datetime.now(UTC))
    monkeypatch.setattr(type(shop.domain.storage), "unnumbered", lambda _: left)
    assert run("status", "shop").out.splitlines()[-1].startswith(f"{told}, since ")


def test_a_table_stays_within_80_columns(shop: Any, run: Run) -> None:
    long = "notify_everybody_who_has_asked_to_be_told_of_an_order"

    def handler(event: Any) -> None: ...

    handler.__name__ = handler.__qualname__ = long
    domain = shop.Domain("long", storage="sqlite:///long.db", event_processing="async")
    domain.aggregate(shop.Aggregate.__class__("Sale", (shop.Aggregate,), {}))
    event = domain.event(part_of="Sale")(type(shop.Event)("SaleMade", (shop.Event,), {}))
    domain.on(event)(handler)
    shop.long = domain
    ran = run("status", "shop:long")
    domain.close()
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "".join(line.split()[0] for line in lines[1:]).startswith(long)


def test_it_is_shown_anew_until_ctrl_c(
    shop: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    pauses = iter([None])

    def pause(seconds: float) -> None:
        if next(pauses, KeyboardInterrupt) is KeyboardInterrupt:
            raise KeyboardInterrupt

    def update(self: Live, renderable: object, *, refresh: bool) -> None:
        shown.append(renderable)

    terminal = Console(force_terminal=True, width=80)
    monkeypatch.setattr(status, "console", lambda: terminal)
    monkeypatch.setattr("happened.cli.status.time.sleep", pause)
    monkeypatch.setattr(Live, "update", update)
    assert run("status", "shop", "--watch").code == 0
    assert len(shown) == 1


def test_only_a_terminal_can_be_watched(shop: Any, run: Run) -> None:
    ran = run("status", "shop", "--watch")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("happened: --watch shows a table on a terminal")
