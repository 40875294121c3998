"""What ``happened streams`` shows."""

from typing import Any

import pytest

from tests.unit.cli.conftest import Run


@pytest.fixture(autouse=True)
def placed(shop: Any) -> None:
    for id in ("1", "2", "3"):
        shop.place(id)


def test_streams_are_listed(run: Run) -> None:
    ran = run("streams", "list", "shop")
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["stream", "messages"],
        ["order-1", "1"],
        ["order-2", "1"],
        ["order-3", "1"],
    ]


def test_a_part_of_them_is_listed(run: Run) -> None:
    listing = ("streams", "list", "shop")
    ran = run(*listing, "--category", "order", "--after", "order-1", "--limit", "1", "--json")
    (told,) = ran.lines
    assert told.pop("last").endswith("+00:00")
    assert told == {"stream": "order-2", "messages": 1}
    assert run(*listing, "--limit", "2").err == "there are more; go on with --after order-2\n"
    assert run(*listing, "--category", "book").out == "no streams\n"


def test_a_stream_is_shown(run: Run) -> None:
    ran = run("streams", "show", "shop", "order-2")
    assert (ran.code, ran.err) == (0, "")
    title, message, data = ran.out.splitlines()
    assert title.split() == ["position", "made", "message"]
    assert message.split()[0] == "0"
    assert message.split()[-1] == "Shop.OrderPlaced.v1"
    assert data.strip() == '{"order_id":"2","total":10}'


def test_a_stream_is_shown_as_json(run: Run) -> None:
    (told,) = run("streams", "show", "shop", "order-2", "--json").lines
    assert told["data"] == {"order_id": "2", "total": 10}
    assert told["metadata"]["stream"] == "order-2"
    assert told["metadata"]["timestamp"].endswith("+00:00")


def test_a_part_of_a_stream_is_shown(shop: Any, run: Run) -> None:
    order = shop.domain.repository_for(shop.Order).get("2")
    order.raise_(shop.OrderPlaced(order_id="2", total=20))
    shop.domain.repository_for(shop.Order).add(order)
    ran = run("streams", "show", "shop", "order-2", "--limit", "1")
    assert ran.err == "there are more; go on with --from 1\n"
    (told,) = run("streams", "show", "shop", "order-2", "--from", "1", "--json").lines
    assert told["data"]["total"] == 20


def test_a_stream_without_messages_is_refused(run: Run) -> None:
    ran = run("streams", "show", "shop", "order-9")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("happened: the stream 'order-9' has no messages from position 0 on")
