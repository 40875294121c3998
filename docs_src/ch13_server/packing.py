import os
import time
from pathlib import Path

from happened import Aggregate, Domain, Event

shop = Domain("bookshop", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str


# --8<-- [start:pack]
@shop.on(OrderPlaced)
def pack(event: OrderPlaced) -> None:
    time.sleep(0.05)
    with Path("packed.txt").open("a") as book:
        print(f"server {os.getpid()} packed {event.order_id}", file=book)


# --8<-- [end:pack]
shop.init()
