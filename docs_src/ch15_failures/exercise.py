from happened import Aggregate, Domain, Event
from happened.server import Server

shop = Domain("bookshop", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    def ship(self) -> None:
        self.raise_(OrderShipped(order_id=self.id))


@shop.event(part_of=Order)
class OrderShipped(Event):
    order_id: str


busy = ["busy", "busy"]


def call_courier(order_id: str) -> None:
    if busy:
        raise ConnectionError(f"the courier's line is {busy.pop()}")
    print(f"to the courier: fetch {order_id}")


@shop.on(OrderShipped)
def tell_customer(event: OrderShipped) -> None:
    print(f"to the customer: {event.order_id} is on its way")


@shop.on(OrderShipped, retries=3, backoff=0.1)
def tell_courier(event: OrderShipped) -> None:
    print("calling the courier")
    call_courier(event.order_id)


shop.init()
order = Order(id="o1")
order.ship()
shop.repository_for(Order).add(order)

server = Server(
    shop.processor,
    shop.subscriptions,
    workers=1,
    poll=0.05,
    context=shop.domain_context,
)
server.start()
shop.wait_for(shop.read_stream("order-o1")[0])
server.stop(timeout=5)
