from happened import Aggregate, Command, Domain, Event, current_domain, handle
from happened.fields import Identifier, Integer

shop = Domain("bookshop", storage="sqlite:///bookshop.db", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    book_id: str
    copies: int = Integer(min_value=1)

    def place(self) -> None:
        self.raise_(
            OrderPlaced(order_id=self.id, book_id=self.book_id, copies=self.copies)
        )


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    book_id: str
    copies: int


@shop.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str
    book_id: str
    copies: int


@shop.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> str:
        order = Order(
            id=command.order_id, book_id=command.book_id, copies=command.copies
        )
        order.place()
        current_domain.repository_for(Order).add(order)
        return order.id


@shop.aggregate
class Inventory(Aggregate):
    book_id: str = Identifier(identifier=True)
    copies: int


@shop.event_handler(part_of=Inventory, stream_category="order")
class Stock:
    @handle(OrderPlaced)
    def reduce(self, event: OrderPlaced) -> None:
        inventories = current_domain.repository_for(Inventory)
        inventory = inventories.get(event.book_id)
        inventory.copies -= event.copies
        inventories.add(inventory)
