from enum import StrEnum

from happened import Aggregate, Command, Domain, Event, current_domain, handle
from happened.fields import Integer

shelf = Domain("bookshelf")


class Status(StrEnum):
    PLACED = "placed"
    CONFIRMED = "confirmed"


# --8<-- [start:aggregate]
@shelf.aggregate
class Order(Aggregate):
    customer_email: str
    book_id: str
    title: str
    quantity: int = Integer(min_value=1)
    status: Status = Status.PLACED

    def place(self) -> None:
        self.raise_(
            OrderPlaced(
                order_id=self.id,
                customer_email=self.customer_email,
                book_id=self.book_id,
                title=self.title,
                quantity=self.quantity,
            )
        )

    def confirm(self) -> None:
        if self.status is not Status.PLACED:  # (1)!
            raise ValueError(f"order {self.id} is {self.status} already")
        self.status = Status.CONFIRMED  # (2)!
        self.raise_(  # (3)!
            OrderConfirmed(order_id=self.id, customer_email=self.customer_email)
        )


# --8<-- [end:aggregate]
# --8<-- [start:events]
@shelf.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    customer_email: str
    book_id: str
    title: str
    quantity: int


@shelf.event(part_of=Order)
class OrderConfirmed(Event):
    order_id: str
    customer_email: str


# --8<-- [end:events]
# --8<-- [start:commands]
@shelf.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str
    customer_email: str
    book_id: str
    title: str
    quantity: int = 1


@shelf.command(part_of=Order)
class ConfirmOrder(Command):
    order_id: str


# --8<-- [end:commands]
# --8<-- [start:command_handler]
@shelf.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> str:
        order = Order(
            id=command.order_id,
            customer_email=command.customer_email,
            book_id=command.book_id,
            title=command.title,
            quantity=command.quantity,
        )
        order.place()  # (1)!
        current_domain.repository_for(Order).add(order)  # (2)!
        return order.id

    @handle(ConfirmOrder)
    def confirm(self, command: ConfirmOrder) -> None:
        orders = current_domain.repository_for(Order)
        order = orders.get(command.order_id)
        order.confirm()
        orders.add(order)


# --8<-- [end:command_handler]
# --8<-- [start:handler]
@shelf.on(OrderPlaced)
def send_receipt(event: OrderPlaced) -> None:
    print(
        f"to {event.customer_email}: you ordered {event.quantity} x {event.title}"
    )


# --8<-- [end:handler]
# --8<-- [start:run]
shelf.init()

shelf.process(
    PlaceOrder(
        order_id="o1",
        customer_email="ada@example.org",
        book_id="b1",
        title="Emma",
        quantity=2,
    )
)
shelf.process(ConfirmOrder(order_id="o1"))
print(shelf.repository_for(Order).get("o1").status)
# --8<-- [end:run]
