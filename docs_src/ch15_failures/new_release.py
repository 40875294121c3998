from happened import Aggregate, Domain, Event

shop = Domain("bookshop", storage="sqlite:///bookshop.db", event_processing="async")


# --8<-- [start:order]
@shop.aggregate
class Order(Aggregate):
    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id))

    def wrap(self, paper: str) -> None:
        self.raise_(OrderWrapped(order_id=self.id, paper=paper))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str


@shop.event(part_of=Order)
class OrderWrapped(Event):  # (!)
    order_id: str
    paper: str


@shop.on(OrderPlaced, OrderWrapped, backoff=0.1)
def print_slip(event: OrderPlaced | OrderWrapped) -> None:
    if isinstance(event, OrderWrapped):
        print("wrap", event.order_id, "in", event.paper)
    else:
        print("pack", event.order_id)


# --8<-- [end:order]
shop.init()
