from happened import Aggregate, Domain, Entity
from happened.fields import HasMany, Integer

shelf = Domain("bookshelf")


@shelf.entity(part_of="Order")
class Line(Entity):
    isbn: str
    quantity: int = Integer(min_value=1, default=1)


@shelf.aggregate
class Order(Aggregate):
    customer: str
    lines: list[Line] = HasMany(Line, default=list)

    def take_out(self, isbn: str, quantity: int) -> None:
        line = next((line for line in self.lines if line.isbn == isbn), None)
        if line is None or not 1 <= quantity <= line.quantity:
            raise ValueError(f"cannot take {quantity} of {isbn} out of the order")
        if line.quantity == quantity:
            self.lines.remove(line)
        else:
            line.quantity -= quantity


shelf.init()

order = Order(
    customer="Ann",
    lines=[Line(isbn="9780141439587", quantity=3), Line(isbn="9780141439686")],
)
order.take_out("9780141439587", 1)
order.take_out("9780141439686", 1)
print([(line.isbn, line.quantity) for line in order.lines])

try:
    order.take_out("9780141439686", 1)
except ValueError as error:
    print(error)
