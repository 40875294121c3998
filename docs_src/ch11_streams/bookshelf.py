from happened import (
    Aggregate,
    Command,
    Domain,
    Event,
    current_domain,
    handle,
)
from happened.messages import Message

shelf = Domain("bookshelf")


# --8<-- [start:order]
@shelf.aggregate
class Order(Aggregate):
    book_id: str
    status: str = "placed"

    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id, book_id=self.book_id))

    def ship(self) -> None:
        self.status = "shipped"
        self.raise_(OrderShipped(order_id=self.id))

    def cancel(self) -> None:
        self.status = "cancelled"
        self.raise_(OrderCancelled(order_id=self.id))


# --8<-- [end:order]
@shelf.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    book_id: str


@shelf.event(part_of=Order)
class OrderShipped(Event):
    order_id: str


@shelf.event(part_of=Order)
class OrderCancelled(Event):
    order_id: str


# --8<-- [start:inventory]
@shelf.aggregate(stream_category="stock")  # (!)
class Inventory(Aggregate):
    copies: int

    def take(self) -> None:
        self.copies -= 1
        self.raise_(CopyTaken(book_id=self.id, copies_left=self.copies))


# --8<-- [end:inventory]
@shelf.event(part_of=Inventory)
class CopyTaken(Event):
    book_id: str
    copies_left: int


@shelf.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str
    book_id: str


@shelf.command(part_of=Inventory)
class WriteOffCopy(Command):
    book_id: str


@shelf.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> None:
        order = Order(id=command.order_id, book_id=command.book_id)
        order.place()
        current_domain.repository_for(Order).add(order)


# --8<-- [start:write_off]
@shelf.command_handler(part_of=Inventory)
class Shelves:
    @handle(WriteOffCopy)
    def write_off(self, command: WriteOffCopy) -> None:
        inventories = current_domain.repository_for(Inventory)
        inventory = inventories.get(command.book_id)
        inventory.take()
        inventories.add(inventory)


# --8<-- [end:write_off]
# --8<-- [start:take_stock]
@shelf.event_handler(part_of=Inventory, stream_category="order")  # (1)!
class Stock:
    @handle(OrderPlaced)
    def take(self, event: OrderPlaced) -> None:
        inventories = current_domain.repository_for(Inventory)
        inventory = inventories.get(event.book_id)
        inventory.take()
        inventories.add(inventory)


# --8<-- [end:take_stock]
# --8<-- [start:pack]
@shelf.on(CopyTaken, source_stream="order")  # (!)
def pack(event: CopyTaken) -> None:
    print(f"pack a copy of {event.book_id}")


# --8<-- [end:pack]
# --8<-- [start:run]
shelf.init()
shelf.repository_for(Inventory).add(Inventory(id="emma", copies=9))

shelf.process(PlaceOrder(order_id="o1", book_id="emma"))
shelf.process(PlaceOrder(order_id="o2", book_id="emma"))

orders = shelf.repository_for(Order)
order = orders.get("o1")
order.ship()
orders.add(order)
# --8<-- [end:run]


# --8<-- [start:show]
def show(messages: list[Message]) -> None:
    for message in messages:
        known = message._metadata
        name = type(message).__name__
        print(
            f"{known.global_position}  {known.stream:<10}  {known.position}  {name}"
        )


# --8<-- [end:show]
# --8<-- [start:read]
print("the stream order-o1")
show(shelf.read_stream("order-o1"))

print("the category order")
show(shelf.read_category("order"))

print("all categories")
show(shelf.read_category())
# --8<-- [end:read]

# --8<-- [start:origins]
shelf.process(WriteOffCopy(book_id="emma"))

for message in shelf.read_stream("stock-emma"):
    origin = message._metadata.origin_stream or ""
    print(message._metadata.position, origin.partition("-")[0])
# --8<-- [end:origins]
