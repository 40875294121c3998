"""What a handler that is given a name keeps, on every storage that is durable."""

from collections.abc import Callable
from typing import Any

import pytest

from happened import (
    Aggregate,
    Command,
    ConfigurationError,
    Domain,
    Event,
    current_domain,
    handle,
)

Register = Callable[[Domain, Any], None]


class Shop:
    """Orders, and whatever handles their events."""

    def __init__(self, url: str, register: Register, *, processing: str = "async") -> None:
        self.domain = domain = Domain("shop", storage=url, event_processing=processing)

        @domain.aggregate
        class Order(Aggregate):
            def place(self) -> None:
                self.raise_(OrderPlaced(order_id=self.id))

        @domain.aggregate
        class Slip(Aggregate):
            printed: int = 1

        @domain.event(part_of=Order)
        class OrderPlaced(Event):
            order_id: str

        self.Order, self.Slip, self.OrderPlaced = Order, Slip, OrderPlaced
        register(domain, self)
        domain.init(traverse=False)
        domain.storage.create()

    def place(self, id: str) -> None:
        order = self.Order(id=id)
        order.place()
        self.domain.repository_for(self.Order).add(order)

    def write(self, id: str) -> None:
        """Write a slip; a second one for the same order is a failure."""
        current_domain.repository_for(self.Slip).add(self.Slip(id=id))

    def slips(self) -> list[str]:
        return sorted(slip.id for slip in self.domain.repository_for(self.Slip))

    def waiting(self) -> list[tuple[str, str]]:
        return [(each.handler, each.state) for each in self.domain.storage.deliveries()]


def as_class(domain: Domain, shop: Any) -> None:
    @domain.event_handler(part_of=shop.Slip, stream_category="order", retries=0)
    class Slips:
        @handle(shop.OrderPlaced)
        def write(self, event: Any) -> None:
            if event.order_id == "o2":
                raise KeyError("no paper")
            shop.write(event.order_id)


def as_renamed_class(domain: Domain, shop: Any) -> None:
    @domain.event_handler(part_of=shop.Slip, stream_category="order", name="Slips")
    class Printer:
        @handle(shop.OrderPlaced)
        def write(self, event: Any) -> None:
            shop.write(event.order_id)

    shop.handler = Printer


def as_renamed_method(domain: Domain, shop: Any) -> None:
    @domain.event_handler(part_of=shop.Slip, stream_category="order", name="Slips")
    class Printer:
        @handle(shop.OrderPlaced, name="write")
        def print_slip(self, event: Any) -> None:
            shop.write(event.order_id)


def as_function(domain: Domain, shop: Any) -> None:
    @domain.on(shop.OrderPlaced)
    def write_slip(event: Any) -> None:
        shop.write(event.order_id)


def as_renamed_function(domain: Domain, shop: Any) -> None:
    @domain.on(shop.OrderPlaced, name="write_slip")
    def print_slip(event: Any) -> None:
        shop.write(event.order_id)

    shop.handler = print_slip


@pytest.mark.parametrize(
    "before, after", [(as_class, as_renamed_class), (as_function, as_renamed_function)]
)
def test_a_renamed_handler_goes_on_where_it_was(
    durable_url: str, before: Register, after: Register
) -> None:
    shop = Shop(durable_url, before)
    shop.place("o1")
    assert shop.domain.catch_up() == 1

    shop = Shop(durable_url, after)
    shop.place("o3")
    assert shop.domain.catch_up() == 1
    assert shop.slips() == ["o1", "o3"]
    assert shop.waiting() == []


@pytest.mark.parametrize("renamed", [as_renamed_class, as_renamed_method])
def test_a_renamed_handler_handles_what_waits_for_its_methods(
    durable_url: str, renamed: Register
) -> None:
    shop = Shop(durable_url, as_class)
    shop.place("o2")
    shop.domain.catch_up()
    assert shop.waiting() == [("Slips.write", "dead")]

    shop = Shop(durable_url, renamed)
    (dead,) = shop.domain.storage.deliveries()
    transaction = shop.domain.storage.begin()
    transaction.defer(dead._replace(state="retrying"))
    transaction.commit()
    assert shop.domain.catch_up() == 1
    assert shop.slips() == ["o2"]
    assert shop.waiting() == []


@pytest.mark.parametrize("renamed", [as_renamed_class, as_renamed_method])
def test_what_was_handled_synchronously_is_not_handled_under_a_better_name(
    durable_url: str, renamed: Register
) -> None:
    shop = Shop(durable_url, as_class, processing="sync")
    shop.place("o1")
    shop = Shop(durable_url, renamed)
    shop.place("o3")
    assert shop.domain.catch_up() == 1
    assert shop.slips() == ["o1", "o3"]
    assert shop.waiting() == []


def test_a_claim_names_a_method_by_the_name_that_it_keeps(storage_url: str) -> None:
    shop = Shop(storage_url, as_renamed_method, processing="sync")
    shop.place("o1")
    (placed,) = shop.domain.storage.read("order-o1")
    assert placed.claims == ("Slips.write",)


@pytest.mark.parametrize("register", [as_renamed_class, as_renamed_function])
def test_a_renamed_handler_is_waited_for_by_itself_or_by_its_name(
    durable_url: str, register: Register
) -> None:
    shop: Any = Shop(durable_url, register)
    shop.place("o1")
    (placed,) = shop.domain.read_category("order")
    with pytest.raises(TimeoutError):
        shop.domain.wait_for(placed, handler=shop.handler, timeout=0)
    shop.domain.catch_up()
    shop.domain.wait_for(placed, handler=shop.handler, timeout=0)
    (name,) = (each.name for each in shop.domain.subscriptions)
    shop.domain.wait_for(placed, handler=name, timeout=0)
    with pytest.raises(ConfigurationError, match="no handler 'Printer' handles OrderPlaced"):
        shop.domain.wait_for(placed, handler="Printer", timeout=0)


def test_a_name_that_another_handler_has_is_refused(durable_url: str) -> None:
    def register(domain: Domain, shop: Any) -> None:
        as_class(domain, shop)
        as_renamed_class(domain, shop)

    with pytest.raises(ConfigurationError, match="Slips and event handler Printer share the name"):
        Shop(durable_url, register)


def test_a_name_that_another_method_has_is_refused(durable_url: str) -> None:
    def register(domain: Domain, shop: Any) -> None:
        @domain.event_handler(part_of=shop.Slip, stream_category="order")
        class Slips:
            @handle(shop.OrderPlaced)
            def write(self, event: Any) -> None: ...

            @handle(shop.OrderPlaced, name="write")
            def print_slip(self, event: Any) -> None: ...

        @domain.command(part_of=shop.Order)
        class Place(Command): ...

        @domain.command(part_of=shop.Order)
        class Cancel(Command): ...

        @domain.command_handler(part_of=shop.Order)
        class Orders:
            @handle(Place)
            def place(self, command: Any) -> None: ...

            @handle(Cancel, name="place")
            def cancel(self, command: Any) -> None: ...

    with pytest.raises(ConfigurationError) as caught:
        Shop(durable_url, register)
    of_commands, of_events = caught.value.problems
    assert "command handler Orders.place is the name of two methods" in of_commands
    assert "event handler Slips.write is registered twice" in of_events
