from happened import (
    Aggregate,
    Command,
    Domain,
    Event,
    current_domain,
    handle,
    record,
    trace,
)

shelf = Domain("bookshelf")


@shelf.aggregate
class Order(Aggregate):
    book_id: str
    copies: int
    confirmed: bool = False

    def place(self) -> None:
        self.raise_(
            OrderPlaced(order_id=self.id, book_id=self.book_id, copies=self.copies)
        )

    def confirm(self) -> None:
        self.confirmed = True
        self.raise_(OrderConfirmed(order_id=self.id))


@shelf.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    book_id: str
    copies: int


@shelf.event(part_of=Order)
class OrderConfirmed(Event):
    order_id: str


# --8<-- [start:inventory]
@shelf.aggregate
class Inventory(Aggregate):
    copies: int

    def reserve(self, copies: int, held_for: str) -> None:
        self.copies -= copies
        self.raise_(
            CopiesReserved(book_id=self.id, copies=copies, held_for=held_for)
        )
        if self.copies < 5:
            self.raise_(StockRanLow(book_id=self.id, copies=self.copies))


# --8<-- [end:inventory]
@shelf.event(part_of=Inventory)
class CopiesReserved(Event):
    book_id: str
    copies: int
    held_for: str


@shelf.event(part_of=Inventory)
class StockRanLow(Event):
    book_id: str
    copies: int


@shelf.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str
    book_id: str
    copies: int


# --8<-- [start:handlers]
@shelf.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> None:
        order = Order(
            id=command.order_id, book_id=command.book_id, copies=command.copies
        )
        order.place()
        current_domain.repository_for(Order).add(order)


@shelf.on(OrderPlaced)
def reserve_copies(event: OrderPlaced) -> None:
    inventories = current_domain.repository_for(Inventory)
    inventory = inventories.get(event.book_id)
    inventory.reserve(event.copies, held_for=event.order_id)
    inventories.add(inventory)


@shelf.on(CopiesReserved, source_stream="order")  # (1)!
def confirm_order(event: CopiesReserved) -> None:
    orders = current_domain.repository_for(Order)
    order = orders.get(event.held_for)
    order.confirm()
    orders.add(order)


@shelf.on(OrderConfirmed)
def tell_customer(event: OrderConfirmed) -> None:
    print(f"order {event.order_id} is confirmed")


@shelf.on(StockRanLow)
def order_more(event: StockRanLow) -> None:
    print(f"only {event.copies} copies of {event.book_id} are left")


# --8<-- [end:handlers]
# --8<-- [start:run]
shelf.init()
shelf.repository_for(Inventory).add(Inventory(id="emma", copies=6))

with trace("request-17"), record(shelf) as recording:  # (!)
    command = PlaceOrder(order_id="o1", book_id="emma", copies=2)
    shelf.process(command)
# --8<-- [end:run]

# --8<-- [start:table]
names: dict[str | None, str] = {command.command_id: "PlaceOrder"}
for event in recording.events:
    name = names[event.event_id] = type(event).__name__
    print(
        f"{event.correlation_id}: {name:<14} caused by {names[event.causation_id]}"
    )
# --8<-- [end:table]

# --8<-- [start:diagrams]
diagram = recording.diagram()
causation_diagram = recording.causation_diagram()
# --8<-- [end:diagrams]
