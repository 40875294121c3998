"""A shop to try commands on, and how they are run."""

import importlib
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from happened.cli import main
from happened.domain import Domain

importlib.import_module("happened.cli.app")  # once; what a test imports, it forgets

SHOP = """
from happened import Aggregate, Domain, Event, Projection, current_domain, handle

domain = Domain("shop", storage="sqlite:///shop.db", event_processing="async")
broken = True
shipped = []


@domain.aggregate
class Order(Aggregate):
    total: int = 0


@domain.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    total: int


@domain.projection
class Totals(Projection):
    total: int = 0


@domain.event_handler(part_of=Totals, stream_category="order")
class AddUp:
    @handle(OrderPlaced)
    def add(self, event: OrderPlaced) -> None:
        totals = current_domain.repository_for(Totals)
        found = totals.get("all") if "all" in totals else Totals(id="all")
        found.total += event.total
        totals.add(found)


@domain.on(OrderPlaced, retries=0)
def ship(event: OrderPlaced) -> None:
    if broken:
        raise KeyError("no address")
    shipped.append(event.order_id)


def place(order_id, total=10):
    order = Order(id=order_id, total=total)
    order.raise_(OrderPlaced(order_id=order_id, total=total))
    domain.repository_for(Order).add(order)
"""


class Ran(NamedTuple):
    """What became of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document that it printed."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON documents that it printed, a line each."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """The configuration of logs, put back afterwards."""
    loggers = [logging.getLogger(), logging.getLogger("happened")]
    before = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command, and tells what became of it."""

    def ran(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        return Ran(code, *capsys.readouterr())

    return ran


@pytest.fixture
def shop(folder: Path) -> Iterator[Any]:
    """The module ``shop``, in which an order can be placed; handlers ``AddUp`` and ``ship``."""
    (folder / "shop.py").write_text(SHOP)
    sys.path.insert(0, str(folder))
    module = importlib.import_module("shop")
    module.domain.init(traverse=False)
    yield module
    module.domain.close()


@pytest.fixture
def dead(shop: Any) -> str:
    """The id of a message that is a dead letter of ``ship``."""
    shop.place("order/7")
    domain: Domain = shop.domain
    domain.catch_up()
    (delivery,) = domain.storage.deliveries(state="dead")
    return delivery.message_id


@pytest.fixture
def later(folder: Path, shop: Any) -> Iterator[Any]:
    """The module ``later``, the next release of ``shop``: ``ship`` is called ``send`` in it."""
    (folder / "later.py").write_text(SHOP.replace("def ship(", "def send("))
    module = importlib.import_module("later")
    module.domain.init(traverse=False)
    yield module
    module.domain.close()
