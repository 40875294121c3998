"""The domain that the guarantees are tried on."""

from collections.abc import Callable
from typing import Any

from happened import Aggregate, Command, Domain, Event, current_domain, handle
from happened.fields import String


class Shop:
    """Orders and an inventory that a handler keeps in step; what a test adds can fail in it."""

    def __init__(self, url: str) -> None:
        self.domain = domain = Domain("shop", storage=url)
        self.during: dict[str, Callable[[], None]] = {}
        self.seen: list[str] = []
        shop = self

        @domain.aggregate
        class Order(Aggregate):
            number: str | None = String(unique=True, default=None)
            placed: int = 0

            def place(self) -> None:
                self.placed += 1
                self.raise_(OrderPlaced(order_id=self.id))

        @domain.aggregate
        class Inventory(Aggregate):
            stock: int = 100

        @domain.event(part_of=Order)
        class OrderPlaced(Event):
            order_id: str

        @domain.command(part_of=Order)
        class PlaceOrder(Command):
            order_id: str

        @domain.command_handler(part_of=Order)
        class Orders:
            @handle(PlaceOrder)
            def place(self, command: PlaceOrder) -> None:
                shop.happening("place")
                order = Order(id=command.order_id)
                order.place()
                current_domain.repository_for(Order).add(order)
                shop.happening("placed")

        @domain.event_handler(part_of=Inventory, stream_category="order")
        class Stock:
            @handle(OrderPlaced)
            def reduce(self, event: OrderPlaced) -> None:
                inventories = current_domain.repository_for(Inventory)
                inventory = inventories.get("i1")
                inventory.stock -= 1
                inventories.add(inventory)
                shop.happening("reduced")

        @domain.on(OrderPlaced)
        def notify(event: OrderPlaced) -> None:
            shop.happening("notify")

        self.Order: Any = Order
        self.PlaceOrder: Any = PlaceOrder
        domain.init(traverse=False)
        domain.storage.create()
        self.orders: Any = domain.repository_for(Order)
        self.inventories: Any = domain.repository_for(Inventory)
        self.inventories.add(Inventory(id="i1"))

    def happening(self, moment: str) -> None:
        self.seen.append(moment)
        self.during.get(moment, int)()

    def place(self, order_id: str) -> None:
        self.domain.process(self.PlaceOrder(order_id=order_id))

    @property
    def stock(self) -> int:
        return int(self.inventories.get("i1").stock)

    @property
    def recorded(self) -> list[str | None]:
        """The streams of the events that are stored, in order."""
        return [each.metadata.stream for each in self.domain.storage.read_category(None)]
