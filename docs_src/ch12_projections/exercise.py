from happened import (
    Aggregate,
    Domain,
    Event,
    Projection,
    current_domain,
    handle,
)

shelf = Domain("bookshelf")


@shelf.aggregate
class Order(Aggregate):
    customer_id: str
    total: int

    def place(self) -> None:
        event = OrderPlaced(
            order_id=self.id, customer_id=self.customer_id, total=self.total
        )
        self.raise_(event)

    def cancel(self) -> None:
        self.raise_(OrderCancelled(order_id=self.id))


@shelf.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    customer_id: str
    total: int


@shelf.event(part_of=Order)
class OrderCancelled(Event):
    order_id: str


@shelf.projection
class OpenOrder(Projection):
    customer_id: str
    total: int


@shelf.event_handler(part_of=OpenOrder)
class OpenOrders:
    @handle(OrderPlaced)
    def open(self, event: OrderPlaced) -> None:
        row = OpenOrder(
            id=event.order_id, customer_id=event.customer_id, total=event.total
        )
        current_domain.repository_for(OpenOrder).add(row)

    @handle(OrderCancelled)
    def close(self, event: OrderCancelled) -> None:
        rows = current_domain.repository_for(OpenOrder)
        rows.remove(rows[event.order_id])


def open_orders(customer_id: str) -> list[str]:
    rows = shelf.repository_for(OpenOrder).query.filter(customer_id=customer_id)
    return [f"{each.id}: {each.total}" for each in rows.order_by("-total")]


shelf.init()
orders = shelf.repository_for(Order)
for order_id, total in [("o1", 12), ("o2", 30), ("o3", 7)]:
    order = Order(id=order_id, customer_id="ada", total=total)
    order.place()
    orders.add(order)

order = orders["o1"]
order.cancel()
orders.add(order)

print(open_orders("ada"))
shelf.rebuild(OpenOrder)
print(open_orders("ada"))
