from happened import Aggregate, Domain, Event

shop = Domain("bookshop", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    def move(self, place: str) -> None:
        self.raise_(ParcelMoved(order_id=self.id, place=place))


@shop.event(part_of=Order)
class ParcelMoved(Event):
    order_id: str
    place: str


# --8<-- [start:handlers]
PLACES = {"shelf": "A1", "counter": "B2"}


@shop.on(ParcelMoved, retries=0)
def update_map(event: ParcelMoved) -> None:
    print("map:", PLACES[event.place])


@shop.on(ParcelMoved, retries=0, on_dead_letter="go_on")  # (!)
def tell_customer(event: ParcelMoved) -> None:
    print("customer: your parcel is at", PLACES[event.place])


# --8<-- [end:handlers]
# --8<-- [start:run]
shop.init()

order = Order(id="o1")
order.move("shelf")
order.move("cellar")
order.move("counter")
shop.repository_for(Order).add(order)

shop.catch_up()
for delivery in shop.storage.deliveries():
    print(delivery.handler, delivery.position, delivery.state)
# --8<-- [end:run]
