"""Ordered: the messages of one stream reach one handler one at a time and in order."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from happened import Aggregate, Command, Domain, Event, current_domain, handle
from tests.guarantees.accounts import Tell, audit, found_company, is_settled
from tests.guarantees.logs import Log
from tests.guarantees.processes import Programs, eventually
from tests.guarantees.servers import is_connected

pytestmark = pytest.mark.g3


class Forest:
    """Two nodes whose events' handlers make them grow on, by themselves or by a command."""

    def __init__(self, url: str, seed: int) -> None:
        self.domain = domain = Domain("forest", storage=url)
        self.chance = random.Random(seed)
        self.left = 60
        self.busy = False
        self.seen: dict[str, list[tuple[str | None, int | None]]] = {"first": [], "second": []}
        forest = self

        @domain.aggregate
        class Node(Aggregate):
            def grow(self, count: int) -> None:
                for _ in range(count):
                    self.raise_(Grown())

        @domain.event(part_of=Node)
        class Grown(Event): ...

        @domain.command(part_of=Node)
        class Grow(Command): ...

        @domain.command_handler(part_of=Node)
        class Growing:
            @handle(Grow)
            def grow(self, command: Grow) -> None:
                forest.grow()

        @domain.on(Grown)
        def first(event: Grown) -> None:
            forest.see("first", event)

        @domain.on(Grown)
        def second(event: Grown) -> None:
            forest.see("second", event)

        domain.init(traverse=False)
        domain.storage.create()
        self.Node: Any = Node
        self.Grow: Any = Grow

    def grow(self) -> None:
        nodes = current_domain.repository_for(self.Node)
        for id in self.chance.sample(["n1", "n2"], self.chance.randint(0, 2)):
            if self.left > 0:
                node = nodes.get(id)
                node.grow(self.chance.randint(1, 3))
                nodes.add(node)
                self.left -= 1

    def see(self, handler: str, event: Event) -> None:
        assert not self.busy
        self.busy = True
        self.seen[handler].append((event._metadata.stream, event._metadata.position))
        self.busy = False
        if self.left > 0 and self.chance.random() < 0.5:
            self.domain.process(self.Grow())
        self.grow()


@pytest.mark.parametrize("seed", range(5))
def test_a_handler_gets_the_events_of_a_stream_in_order_whatever_raises_them(
    storage_url: str, seed: int
) -> None:
    forest = Forest(storage_url, seed)
    nodes = forest.domain.repository_for(forest.Node)
    for id in ("n1", "n2"):
        nodes.add(forest.Node(id=id))
    with forest.domain.unit_of_work():
        node = nodes.get("n1")
        node.grow(4)
        nodes.add(node)
    for seen in forest.seen.values():
        assert len(seen) > 20
        for stream in ("node-n1", "node-n2"):
            positions = [position for found, position in seen if found == stream]
            assert positions == list(range(len(forest.domain.storage.read(stream))))


def test_three_servers_one_killed_and_one_paused_keep_the_order_of_each_stream(
    postgres_url: str, programs_on: Callable[[str], Programs], tmp_path: Path, tell: Tell
) -> None:
    trade = found_company(postgres_url)
    log = Log(tmp_path / "log")
    programs = programs_on(postgres_url)
    programs.environment |= {
        "HAPPENED_EVENT_PROCESSING": "async",
        "TRADE_LOG": str(log.path),
        "TRADE_SLOW": "0.002",
    }
    servers = [programs.start("serve") for _ in range(3)]
    eventually(lambda: all(is_connected(postgres_url, each) for each in servers))
    sellers = [programs.start("sell", name, 6, 14) for name in ("s", "t")]
    eventually(lambda: len({line.pid for line in log.lines}) == 3)
    killed, paused, left = servers
    eventually(lambda: log.open_of(killed.pid), every=0.001)
    killed.kill()
    paused.pause()
    seen = len(log.lines)
    eventually(lambda: len(log.lines) > seen + 20)  # the third goes on alone
    assert {line.pid for line in log.lines[seen:]} == {left.pid}
    paused.resume()
    for each in sellers:
        each.wait()
    eventually(lambda: is_settled(trade))
    figures = audit(trade)
    figures.kills, figures.starts = programs.kills, programs.starts
    at_once = log.at_once(gone={killed.pid})
    by = Counter(line.pid for line in log.lines if line.moment == "end")
    shares = "/".join(str(by[each.pid]) for each in servers)
    tell(figures, f"{at_once} handled by two at once; {shares} by each of the servers")
    assert at_once == 0
    assert figures.events == 168
    assert (figures.lost, figures.doubled, figures.disordered) == (0, 0, 0)
    trade.domain.close()
