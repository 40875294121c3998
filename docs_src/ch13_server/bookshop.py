import time
from pathlib import Path

from happened import Aggregate, Command, Domain, Event, current_domain, handle

# --8<-- [start:domain]
shop = Domain("bookshop", storage="sqlite:///bookshop.db", event_processing="async")
# --8<-- [end:domain]


@shop.aggregate
class Order(Aggregate):
    book_id: str

    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id, book_id=self.book_id))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    book_id: str


@shop.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str
    book_id: str


@shop.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> None:
        order = Order(id=command.order_id, book_id=command.book_id)
        order.place()
        current_domain.repository_for(Order).add(order)


# --8<-- [start:packing]
@shop.aggregate
class Parcel(Aggregate):
    order_id: str
    book_id: str


@shop.event_handler(part_of=Parcel, stream_category="order")
class Packing:
    @handle(OrderPlaced)
    def pack(self, event: OrderPlaced) -> None:
        parcel = Parcel(order_id=event.order_id, book_id=event.book_id)
        current_domain.repository_for(Parcel).add(parcel)  # (1)!
        print(f"printing the slip of {event.order_id}", flush=True)  # (2)!
        while not Path("paper").exists():  # (3)!
            time.sleep(0.01)
        print(f"the slip of {event.order_id} is printed", flush=True)


# --8<-- [end:packing]
shop.init()
