from enum import StrEnum

from happened import Aggregate, Command, Domain, Event, current_domain, handle

shelf = Domain("bookshelf")


class Status(StrEnum):
    PLACED = "placed"
    CANCELLED = "cancelled"


@shelf.aggregate
class Order(Aggregate):
    customer_email: str
    title: str
    status: Status = Status.PLACED

    def cancel(self, reason: str) -> None:
        if self.status is Status.CANCELLED:
            return
        self.status = Status.CANCELLED
        self.raise_(
            OrderCancelled(
                order_id=self.id,
                customer_email=self.customer_email,
                title=self.title,
                reason=reason,
            )
        )


@shelf.event(part_of=Order)
class OrderCancelled(Event):
    order_id: str
    customer_email: str
    title: str
    reason: str


@shelf.command(part_of=Order)
class CancelOrder(Command):
    order_id: str
    reason: str


@shelf.command_handler(part_of=Order)
class Orders:
    @handle(CancelOrder)
    def cancel(self, command: CancelOrder) -> None:
        orders = current_domain.repository_for(Order)
        order = orders.get(command.order_id)
        order.cancel(command.reason)
        orders.add(order)


@shelf.on(OrderCancelled)
def apologise(event: OrderCancelled) -> None:
    print(f"to {event.customer_email}: we cancelled {event.title}, {event.reason}")


shelf.init()

shelf.repository_for(Order).add(
    Order(id="o1", customer_email="ada@example.org", title="Emma")
)
shelf.process(CancelOrder(order_id="o1", reason="it is out of print"))
shelf.process(CancelOrder(order_id="o1", reason="it is out of print"))
