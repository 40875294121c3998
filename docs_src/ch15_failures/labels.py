from happened import Aggregate, Domain, Event
from postage import POSTAGE  # type: ignore[import-not-found]

shop = Domain("bookshop", storage="sqlite:///bookshop.db", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    country: str

    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id, country=self.country))

    def pay(self) -> None:
        self.raise_(OrderPaid(order_id=self.id))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    country: str


@shop.event(part_of=Order)
class OrderPaid(Event):
    order_id: str


# --8<-- [start:handler]
@shop.on(OrderPlaced, OrderPaid, retries=2, backoff=0.1)  # (1)!
def print_label(event: OrderPlaced | OrderPaid) -> None:
    if isinstance(event, OrderPaid):
        print(f"{event.order_id} is paid, it may go")
    else:
        print(f"{event.order_id} costs {POSTAGE[event.country]} pence")


# --8<-- [end:handler]
shop.init()
