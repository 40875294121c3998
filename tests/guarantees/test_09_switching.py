"""Switching is safe: another way of processing, or more servers, re-delivers and skips nothing."""

import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from happened import Aggregate, Domain, Event
from happened.cli import main
from tests.guarantees.accounts import Tell, audit, found_company, is_settled
from tests.guarantees.processes import Programs, eventually

pytestmark = pytest.mark.g9

SYNC = {"HAPPENED_EVENT_PROCESSING": "sync", "HAPPENED_COMMAND_PROCESSING": "sync"}
EVENTS = {"HAPPENED_EVENT_PROCESSING": "async", "HAPPENED_COMMAND_PROCESSING": "sync"}
ASYNC = {"HAPPENED_EVENT_PROCESSING": "async", "HAPPENED_COMMAND_PROCESSING": "async"}


def test_from_synchronous_to_asynchronous_to_three_servers_and_back(
    programs: Programs, durable_url: str, tell: Tell
) -> None:
    trade = found_company(durable_url)
    # Synchronous, and killed with messages in flight.
    programs.environment |= SYNC
    programs.start("sell", "o", 4, 3).wait()
    programs.start("sell", "o", 4, 6, FAULT_POINT="dispatch: before a handler#3").wait()
    left = len(trade.domain.storage.deliveries(state="pending"))
    assert left
    # Events are handled by a server, which takes over what is left; then commands, too.
    programs.environment |= EVENTS
    servers = [programs.start("serve")]
    programs.start("sell", "o", 4, 9).wait()
    programs.environment |= ASYNC
    programs.start("sell", "o", 4, 12).wait()
    # From one server to three, while there is work left.
    unread = sum(
        trade.domain.storage.backlog(each.name, each.categories).messages
        for each in trade.domain.subscriptions
    )
    servers += [programs.start("serve"), programs.start("serve")]
    seller = programs.start("sell", "o", 4, 15)
    assert seller.wait() == 0
    eventually(lambda: is_settled(trade))
    # From three to one, in the middle of the work.
    seller = programs.start("sell", "o", 4, 18)
    for server in servers[:2]:
        server.stop()
    seller.wait()
    eventually(lambda: is_settled(trade))
    # And back: once all is handled, the servers are stopped, and callers handle by themselves.
    servers[2].stop()
    programs.environment |= SYNC
    programs.start("sell", "o", 4, 21).wait()
    assert trade.domain.storage.deliveries() == []
    # A server that is started again finds nothing to do.
    programs.environment |= ASYNC
    server = programs.start("serve")
    programs.start("sell", "p", 1, 1).wait()
    eventually(lambda: is_settled(trade))
    server.stop()
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    tell(figures, f"{left} pending and {unread} unread at the switches")
    assert figures.events == 4 * 21 + 1
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
    trade.domain.close()


def test_back_to_synchronous_while_servers_still_have_work(
    programs: Programs, durable_url: str, tell: Tell
) -> None:
    trade = found_company(durable_url)
    programs.environment |= EVENTS
    programs.start("sell", "o", 4, 12).wait()
    server = programs.start("serve", TRADE_SLOW="0.02")
    programs.start("sell", "o", 4, 18, **SYNC).wait()
    eventually(lambda: is_settled(trade))
    server.stop()
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    tell(figures, "switched before the servers had finished: in any order, as the guide says")
    assert figures.events == 4 * 18
    assert (figures.lost, figures.doubled) == (0, 0)
    trade.domain.close()


@pytest.mark.parametrize("first", ["server", "init"])
@pytest.mark.parametrize("start_from", ["beginning", "now"])
def test_a_handler_that_begins_now_misses_nothing_where_a_server_or_init_is_first(
    durable_url: str, start_from: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def opened(processing: str) -> tuple[Domain, Callable[[int], None]]:
        domain = Domain("shop", storage=durable_url, event_processing=processing)

        @domain.aggregate
        class Order(Aggregate): ...

        @domain.event(part_of=Order)
        class OrderPlaced(Event):
            number: int

        @domain.on(OrderPlaced, start_from=start_from)
        def look(event: OrderPlaced) -> None:
            seen.append(event.number)

        def place(number: int) -> None:
            order = Order()
            order.raise_(OrderPlaced(number=number))
            domain.repository_for(Order).add(order)

        domain.init(traverse=False)
        return domain, place

    synchronous, place = opened("sync")
    place(1)
    server, _ = opened("async")
    if first == "server":
        server.catch_up()
    else:
        module = ModuleType("shop_of_now")
        module.__dict__["domain"] = server
        monkeypatch.setitem(sys.modules, module.__name__, module)
        assert main(["storage", "init", module.__name__]) == 0
    place(2)
    asynchronous, place_later = opened("async")
    place_later(3)
    place(4)
    server.catch_up()
    assert sorted(seen) == [1, 2, 3, 4]
    for domain in (synchronous, server, asynchronous):
        domain.close()
