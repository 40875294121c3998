from happened import Aggregate, Domain, Event

shop = Domain("bookshop", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str


@shop.on(OrderPlaced)
def print_slip(event: OrderPlaced) -> None:
    print("to the warehouse: pack", event.order_id)


def place(order_id: str) -> None:
    order = Order(id=order_id)
    order.place()
    shop.repository_for(Order).add(order)


shop.init()
place("o1")
shop.catch_up()

print("a new release")


@shop.on(OrderPlaced)
def count_order(event: OrderPlaced) -> None:
    print("counted", event.order_id)


@shop.on(OrderPlaced, start_from="now")
def thank_customer(event: OrderPlaced) -> None:
    print("to the customer: thank you for", event.order_id)


shop.init()
shop.catch_up()
place("o2")
shop.catch_up()
