from happened import Aggregate, Domain, Event

shop = Domain("bookshop", storage="sqlite:///bookshop.db", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str


@shop.on(OrderPlaced, backoff=0.1)
def print_slip(event: OrderPlaced) -> None:
    print("pack", event.order_id)


shop.init()
