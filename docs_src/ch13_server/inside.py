from happened import Aggregate, Domain, Event
from happened.server import Server

shop = Domain("bookshop", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    def place(self) -> "OrderPlaced":
        placed = OrderPlaced(order_id=self.id)
        self.raise_(placed)
        return placed


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str


@shop.on(OrderPlaced)
def print_slip(event: OrderPlaced) -> None:
    print("to the warehouse: pack", event.order_id)


# --8<-- [start:server]
shop.init()
server = Server(shop.processor, shop.subscriptions, context=shop.domain_context)
server.start()

order = Order(id="o1")
placed = order.place()
shop.repository_for(Order).add(order)
shop.wait_for(placed)  # (!)
print("all handlers are done with", placed.order_id)

print("stopped in time:", server.stop(timeout=5))
# --8<-- [end:server]
