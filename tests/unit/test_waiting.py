"""Which handler is waited for, whatever it is."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from happened import Aggregate, ConfigurationError, Domain, Event, handle, record


class Shop:
    def __init__(self) -> None:
        self.domain = domain = Domain("shop", event_processing="async")

        @domain.aggregate
        class Order(Aggregate): ...

        @domain.event(part_of=Order)
        class Placed(Event): ...

        self.Order: Any = Order
        self.Placed: Any = Placed

    def place(self) -> Event:
        self.domain.init(traverse=False)
        order, placed = self.Order(), self.Placed()
        order.raise_(placed)
        self.domain.repository_for(self.Order).add(order)
        self.domain.catch_up()
        return placed  # type: ignore[no-any-return]


def tell(how: str, event: Event) -> None: ...


class Teller:
    def __call__(self, event: Event) -> None: ...

    def whisper(self, event: Event) -> None: ...


@pytest.mark.parametrize(
    "handler, name",
    [(partial(tell, "loudly"), "tell"), (Teller(), "Teller"), (Teller().whisper, "whisper")],
)
def test_a_handler_of_any_kind_is_waited_for(handler: Callable[[Event], None], name: str) -> None:
    shop = Shop()
    shop.domain.on(shop.Placed)(handler)
    placed = shop.place()
    assert [each.name for each in shop.domain.subscriptions] == [name]
    shop.domain.wait_for(placed, handler=handler, timeout=0)
    shop.domain.wait_for(placed, handler=name, timeout=0)


@pytest.mark.parametrize("handler", [Teller(), Teller().whisper])
def test_a_recording_finds_where_it_is_written(handler: Callable[[Event], None]) -> None:
    shop = Shop()
    shop.domain.on(shop.Placed)(handler)
    with record(shop.domain) as recording:
        shop.place()
    (found,) = [each["handler"] for each in recording.to_dicts() if each["kind"] == "handling"]
    assert found["file"] == "test_waiting.py"


def test_a_handler_that_was_not_registered_is_named() -> None:
    shop = Shop()
    shop.domain.on(shop.Placed)(Teller().whisper)
    placed = shop.place()
    with pytest.raises(ConfigurationError, match=r"^no handler 'tell' handles Placed$"):
        shop.domain.wait_for(placed, handler=partial(tell, "loudly"), timeout=0)


def test_a_handler_that_asks_for_another_source_is_told_from_one_that_is_not_there() -> None:
    shop = Shop()

    @shop.domain.event_handler(part_of=shop.Order, source_stream="basket")
    class Stock:
        @handle(shop.Placed)
        def reduce(self, event: Event) -> None: ...

    placed = shop.place()
    began = placed._metadata.stream
    with pytest.raises(
        ConfigurationError,
        match=f"^Stock handles no Placed whose chain began in '{began}'; see its source_stream=$",
    ):
        shop.domain.wait_for(placed, handler=Stock, timeout=0)
