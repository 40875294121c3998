from happened import Aggregate, Domain, Event, current_domain, handle
from happened.fields import Identifier

shelf = Domain("bookshelf")


@shelf.aggregate
class Order(Aggregate):
    customer_email: str

    def ship(self) -> None:
        self.raise_(
            OrderShipped(order_id=self.id, customer_email=self.customer_email)
        )

    def take_back(self) -> None:
        self.raise_(
            OrderReturned(order_id=self.id, customer_email=self.customer_email)
        )


@shelf.event(part_of=Order)
class OrderShipped(Event):
    order_id: str
    customer_email: str


@shelf.event(part_of=Order)
class OrderReturned(Event):
    order_id: str
    customer_email: str


@shelf.aggregate
class Customer(Aggregate):
    email: str = Identifier(identifier=True)
    points: int = 0


@shelf.event_handler(part_of=Customer, stream_category="order")
class Loyalty:
    @handle(OrderShipped)
    def reward(self, event: OrderShipped) -> None:
        self._add(event.customer_email, 10)

    @handle(OrderReturned)
    def take_away(self, event: OrderReturned) -> None:
        self._add(event.customer_email, -10)

    def _add(self, email: str, points: int) -> None:
        customers = current_domain.repository_for(Customer)
        customer = (
            customers.get(email) if email in customers else Customer(email=email)
        )
        customer.points += points
        customers.add(customer)


shelf.init()

orders = shelf.repository_for(Order)
for number in ("o1", "o2"):
    order = Order(id=number, customer_email="ada@example.org")
    order.ship()
    orders.add(order)
print(shelf.repository_for(Customer).get("ada@example.org").points)

returned = orders.get("o2")
returned.take_back()
orders.add(returned)
print(shelf.repository_for(Customer).get("ada@example.org").points)
