from happened import Aggregate, Domain, Entity, ValueObject
from happened.fields import HasMany, HasOne, Identifier, Integer, String

shelf = Domain("bookshelf")


# --8<-- [start:book]
@shelf.aggregate
class Book(Aggregate):
    isbn: str = Identifier(identifier=True)  # (!)
    title: str = String(max_length=200)


# --8<-- [end:book]
# --8<-- [start:parts]
@shelf.value_object
class Address(ValueObject):
    street: str
    city: str


@shelf.entity(part_of="Order")  # (1)!
class Line(Entity):
    isbn: str
    quantity: int = Integer(min_value=1, default=1)


@shelf.entity(part_of="Order")
class Delivery(Entity):
    address: Address
    parcels: int = Integer(min_value=1, default=1)


# --8<-- [end:parts]
# --8<-- [start:order]
@shelf.aggregate
class Order(Aggregate):
    customer: str
    lines: list[Line] = HasMany(Line, default=list)  # (1)!
    delivery: Delivery | None = HasOne(Delivery, default=None)  # (2)!

    # --8<-- [end:order]
    # --8<-- [start:methods]
    def put_in(self, book: Book, quantity: int = 1) -> None:
        for line in self.lines:
            if line.isbn == book.isbn:
                line.quantity += quantity  # (!)
                return
        self.lines.append(Line(isbn=book.isbn, quantity=quantity))  # (!)

    def send_to(self, address: Address) -> None:
        if self.delivery is None:
            self.delivery = Delivery(address=address)
        else:
            self.delivery.address = address

    # --8<-- [end:methods]


# --8<-- [start:run]
shelf.init()

emma = Book(isbn="9780141439587", title="Emma")
persuasion = Book(isbn="9780141439686", title="Persuasion")

order = Order(id="o1", customer="Ann")
order.put_in(emma)
order.put_in(persuasion)
order.put_in(emma, quantity=2)
order.send_to(Address(street="Quay 1", city="Bath"))
shelf.repository_for(Order).add(order)

found = shelf.repository_for(Order).get("o1")
for line in found.lines:
    print(line.quantity, "of", line.isbn)
if found.delivery:
    print("to", found.delivery.address.city)
# --8<-- [end:run]
