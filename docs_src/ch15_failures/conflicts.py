from threading import Thread

from happened import Aggregate, Domain, Event, current_domain, handle

shop = Domain("bookshop", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    def place(self) -> None:
        self.raise_(OrderPlaced(book_id="emma"))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    book_id: str


@shop.aggregate
class Inventory(Aggregate):
    copies: int

    def take(self) -> None:
        self.copies -= 1


# --8<-- [start:handler]
def sell_at_the_desk() -> None:
    inventory = shop.repository_for(Inventory).get("emma")
    inventory.take()
    shop.repository_for(Inventory).add(inventory)


@shop.event_handler(part_of=Inventory, stream_category="order")
class Stock:
    calls = 0

    @handle(OrderPlaced)
    def take(self, event: OrderPlaced) -> None:
        inventories = current_domain.repository_for(Inventory)
        inventory = inventories.get(event.book_id)
        Stock.calls += 1
        print(f"call {Stock.calls} sees {inventory.copies} copies")
        if Stock.calls == 1:  # somebody is faster, just now
            desk = Thread(target=sell_at_the_desk)
            desk.start()
            desk.join()
        inventory.take()
        inventories.add(inventory)


# --8<-- [end:handler]
# --8<-- [start:run]
shop.init()
shop.repository_for(Inventory).add(Inventory(id="emma", copies=10))
order = Order()
order.place()
shop.repository_for(Order).add(order)

shop.catch_up()
print(shop.repository_for(Inventory).get("emma").copies, "copies are left")
print(len(shop.storage.deliveries()), "deliveries wait")
# --8<-- [end:run]
