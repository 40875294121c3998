from happened import Aggregate, Domain, Event, current_domain, handle

shelf = Domain("bookshelf")


@shelf.aggregate
class Order(Aggregate):
    card: str

    def confirm(self) -> None:
        self.raise_(OrderConfirmed(order_id=self.id, card=self.card))


@shelf.event(part_of=Order)
class OrderConfirmed(Event):
    order_id: str
    card: str


@shelf.aggregate
class Payment(Aggregate):
    order_id: str


# --8<-- [start:payments]
@shelf.event_handler(part_of=Payment, stream_category="order")
class Payments:
    @handle(OrderConfirmed)
    def charge(self, event: OrderConfirmed) -> None:
        payment = Payment(order_id=event.order_id)
        current_domain.repository_for(Payment).add(payment)
        raise ConnectionError(  # (!)
            f"the bank does not answer for card {event.card}"
        )


@shelf.on(OrderConfirmed)
def say_thanks(event: OrderConfirmed) -> None:
    print(f"thank you for order {event.order_id}")


# --8<-- [end:payments]
# --8<-- [start:confirm]
shelf.init()

order = Order(id="o1", card="1234")
order.confirm()
try:
    shelf.repository_for(Order).add(order)
except ConnectionError as error:
    print("failed:", error)

print(shelf.repository_for(Payment).query.count(), "payments")
print("o1" in shelf.repository_for(Order), len(shelf.storage.read("order-o1")))
# --8<-- [end:confirm]
