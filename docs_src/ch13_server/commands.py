from happened import Aggregate, Command, Domain, Event, current_domain, handle

# --8<-- [start:domain]
shop = Domain("bookshop", command_processing="async", event_processing="async")
# --8<-- [end:domain]


@shop.aggregate
class Order(Aggregate):
    book_id: str

    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id, book_id=self.book_id))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    book_id: str


@shop.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str
    book_id: str


@shop.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> str:
        order = Order(id=command.order_id, book_id=command.book_id)
        order.place()
        current_domain.repository_for(Order).add(order)
        return order.id


@shop.on(OrderPlaced)
def print_slip(event: OrderPlaced) -> None:
    print(f"to the warehouse: pack {event.book_id} for {event.order_id}")


# --8<-- [start:process]
shop.init()

command = PlaceOrder(order_id="o1", book_id="emma")
print(shop.process(command) == command.command_id)
#> True
print("o1" in shop.repository_for(Order))
#> False

shop.catch_up()
print("o1" in shop.repository_for(Order))
#> True
# --8<-- [end:process]
