from happened import Aggregate, Command, Domain, Event, current_domain, handle

# --8<-- [start:domain]
shop = Domain("bookshop", event_processing="async")
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


@shop.aggregate
class Inventory(Aggregate):
    copies: int


@shop.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str
    book_id: str


# --8<-- [start:handlers]
@shop.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> str:
        order = Order(id=command.order_id, book_id=command.book_id)
        order.place()
        current_domain.repository_for(Order).add(order)
        return order.id


@shop.event_handler(part_of=Inventory, stream_category="order")
class Stock:
    @handle(OrderPlaced)
    def reduce(self, event: OrderPlaced) -> None:
        inventories = current_domain.repository_for(Inventory)
        inventory = inventories.get(event.book_id)
        inventory.copies -= 1
        inventories.add(inventory)


@shop.on(OrderPlaced)
def print_slip(event: OrderPlaced) -> None:
    print(f"to the warehouse: pack {event.book_id} for {event.order_id}")


# --8<-- [end:handlers]
# --8<-- [start:process]
shop.init()
inventories = shop.repository_for(Inventory)
inventories.add(Inventory(id="emma", copies=4))

print(shop.process(PlaceOrder(order_id="o1", book_id="emma")))
#> o1
print(inventories.get("emma").copies)
#> 4
# --8<-- [end:process]
# --8<-- [start:catch_up]
print(shop.catch_up(), "deliveries")
#> 2 deliveries
print(inventories.get("emma").copies)
#> 3
print(shop.catch_up(), "deliveries")
#> 0 deliveries
# --8<-- [end:catch_up]
