from enum import StrEnum

from happened import (
    Aggregate,
    Command,
    Domain,
    Event,
    current_domain,
    handle,
    record,
)
from happened.fields import Identifier, Integer

shelf = Domain("bookshelf")


# --8<-- [start:book]
@shelf.aggregate
class Book(Aggregate):
    title: str

    def stock(self, copies: int) -> None:
        self.raise_(BookAdded(book_id=self.id, title=self.title, copies=copies))


@shelf.event(part_of=Book)
class BookAdded(Event):
    book_id: str
    title: str
    copies: int


# --8<-- [end:book]
# --8<-- [start:inventory]
@shelf.aggregate
class Inventory(Aggregate):
    book_id: str = Identifier(identifier=True)
    title: str
    copies: int = Integer(min_value=0)

    def take(self, quantity: int) -> None:
        if quantity > self.copies:
            raise ValueError(
                f"{self.copies} copies of {self.title} left, {quantity} wanted"
            )
        self.copies -= quantity
        if self.copies < 3:
            self.raise_(
                StockRanLow(
                    book_id=self.book_id, title=self.title, copies=self.copies
                )
            )


@shelf.event(part_of=Inventory)
class StockRanLow(Event):
    book_id: str
    title: str
    copies: int


# --8<-- [end:inventory]
# --8<-- [start:order]
class Status(StrEnum):
    PLACED = "placed"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"


@shelf.aggregate
class Order(Aggregate):
    customer_email: str
    book_id: str
    quantity: int = Integer(min_value=1)
    status: Status = Status.PLACED

    def confirm(self) -> None:
        self._advance(Status.PLACED, Status.CONFIRMED)
        self.raise_(
            OrderConfirmed(
                order_id=self.id,
                customer_email=self.customer_email,
                book_id=self.book_id,
                quantity=self.quantity,
            )
        )

    def ship(self) -> None:
        self._advance(Status.CONFIRMED, Status.SHIPPED)
        self.raise_(
            OrderShipped(order_id=self.id, customer_email=self.customer_email)
        )

    def _advance(self, before: Status, after: Status) -> None:
        if self.status is not before:
            raise ValueError(f"order {self.id} is {self.status}, not {before}")
        self.status = after


# --8<-- [end:order]
# --8<-- [start:order_events]
@shelf.event(part_of=Order)
class OrderConfirmed(Event):
    order_id: str
    customer_email: str
    book_id: str
    quantity: int


@shelf.event(part_of=Order)
class OrderShipped(Event):
    order_id: str
    customer_email: str


# --8<-- [end:order_events]
# --8<-- [start:commands]
@shelf.command(part_of=Book)
class AddBook(Command):
    book_id: str
    title: str
    copies: int


@shelf.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str
    customer_email: str
    book_id: str
    quantity: int


@shelf.command(part_of=Order)
class ConfirmOrder(Command):
    order_id: str


@shelf.command(part_of=Order)
class ShipOrder(Command):
    order_id: str


# --8<-- [end:commands]
# --8<-- [start:command_handlers]
@shelf.command_handler(part_of=Book)
class Books:
    @handle(AddBook)
    def add(self, command: AddBook) -> None:
        book = Book(id=command.book_id, title=command.title)
        book.stock(command.copies)
        current_domain.repository_for(Book).add(book)


@shelf.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> None:
        order = Order(
            id=command.order_id,
            customer_email=command.customer_email,
            book_id=command.book_id,
            quantity=command.quantity,
        )
        current_domain.repository_for(Order).add(order)

    @handle(ConfirmOrder)
    def confirm(self, command: ConfirmOrder) -> None:
        orders = current_domain.repository_for(Order)
        order = orders.get(command.order_id)
        order.confirm()
        orders.add(order)

    @handle(ShipOrder)
    def ship(self, command: ShipOrder) -> None:
        orders = current_domain.repository_for(Order)
        order = orders.get(command.order_id)
        order.ship()
        orders.add(order)


# --8<-- [end:command_handlers]
# --8<-- [start:open_stock]
@shelf.event_handler(part_of=Inventory, stream_category="book")  # (1)!
class NewStock:
    @handle(BookAdded)
    def open(self, event: BookAdded) -> None:
        current_domain.repository_for(Inventory).add(
            Inventory(  # (2)!
                book_id=event.book_id, title=event.title, copies=event.copies
            )
        )


# --8<-- [end:open_stock]
# --8<-- [start:take_stock]
@shelf.event_handler(part_of=Inventory, stream_category="order")
class Stock:
    @handle(OrderConfirmed)
    def take(self, event: OrderConfirmed) -> None:
        inventories = current_domain.repository_for(Inventory)
        inventory = inventories.get(event.book_id)
        inventory.take(event.quantity)
        inventories.add(inventory)


# --8<-- [end:take_stock]
# --8<-- [start:notifications]
@shelf.event_handler(part_of=Order)
class Notifications:
    @handle(OrderConfirmed)
    def confirmed(self, event: OrderConfirmed) -> None:
        print(f"to {event.customer_email}: order {event.order_id} is confirmed")

    @handle(OrderShipped)
    def shipped(self, event: OrderShipped) -> None:
        print(f"to {event.customer_email}: order {event.order_id} is on its way")


# --8<-- [end:notifications]
# --8<-- [start:functions]
@shelf.on(OrderConfirmed)
def print_slip(event: OrderConfirmed) -> None:
    print(f"to the warehouse: pack {event.quantity} x {event.book_id}")


@shelf.on(StockRanLow)
def reorder(event: StockRanLow) -> None:
    print(f"to the publisher: {event.copies} x {event.title} left, send more")


# --8<-- [end:functions]
# --8<-- [start:add_book]
shelf.init()

shelf.process(AddBook(book_id="b1", title="Emma", copies=4))

inventories = shelf.repository_for(Inventory)
print(inventories.get("b1").copies)
#> 4
# --8<-- [end:add_book]
# --8<-- [start:confirm]
shelf.process(
    PlaceOrder(
        order_id="o1", customer_email="ada@example.org", book_id="b1", quantity=2
    )
)

with record(shelf) as recording:
    shelf.process(ConfirmOrder(order_id="o1"))

diagram = recording.diagram()
print(inventories.get("b1").copies)
#> 2
# --8<-- [end:confirm]
# --8<-- [start:ship]
shelf.process(ShipOrder(order_id="o1"))
print(shelf.repository_for(Order).get("o1").status)
#> shipped
# --8<-- [end:ship]
