from datetime import date
from enum import StrEnum

from happened import (
    Aggregate,
    Domain,
    Entity,
    ValidationError,
    ValueObject,
    atomic_change,
    invariant,
)
from happened.fields import HasMany, Integer, String

shelf = Domain("bookshelf")


# --8<-- [start:window]
@shelf.value_object
class DeliveryWindow(ValueObject):
    first_day: date
    last_day: date

    @invariant
    def it_does_not_end_before_it_begins(self) -> None:
        if self.last_day < self.first_day:
            raise ValueError("the last day is before the first")  # (!)


# --8<-- [end:window]
# --8<-- [start:line]
@shelf.entity(part_of="Order")
class Line(Entity):
    isbn: str
    cents: int = Integer(min_value=0)
    quantity: int = Integer(min_value=1, default=1)
    packed: int = Integer(min_value=0, default=0)

    @invariant
    def only_what_was_ordered_is_packed(self) -> None:
        if self.packed > self.quantity:
            text = f"{self.packed} copies are packed, but {self.quantity} ordered"
            raise ValidationError({"packed": [text]})  # (!)


# --8<-- [end:line]
# --8<-- [start:order]
class Status(StrEnum):
    OPEN = "open"
    SHIPPED = "shipped"


@shelf.aggregate
class Order(Aggregate):
    credit: int = Integer(min_value=0)  # (1)!
    lines: list[Line] = HasMany(Line, default=list)
    window: DeliveryWindow | None = None
    status: str = String(choices=Status, default=Status.OPEN)
    tracking: str | None = None
    # --8<-- [end:order]

    # --8<-- [start:rules]
    @invariant
    def it_stays_within_its_credit(self) -> None:
        total = sum(line.cents * line.quantity for line in self.lines)
        if total > self.credit:
            raise ValueError(f"{total} cents are over the credit of {self.credit}")

    @invariant
    def a_book_has_one_line(self) -> None:
        isbns = [line.isbn for line in self.lines]
        if len(set(isbns)) < len(isbns):
            raise ValidationError({"lines": ["a book is on two lines"]})

    @invariant
    def what_is_shipped_can_be_tracked(self) -> None:
        if (self.status == Status.SHIPPED) != (self.tracking is not None):
            text = "an order is tracked when it is shipped, and only then"
            raise ValidationError({"status": [text], "tracking": [text]})

    # --8<-- [end:rules]
    # --8<-- [start:ship]
    def ship(self, tracking: str) -> None:
        if self.status == Status.SHIPPED:
            raise ValueError("the order is shipped already")
        with atomic_change(self):  # (!)
            self.status = Status.SHIPPED
            self.tracking = tracking

    # --8<-- [end:ship]


shelf.init()

order = Order(id="o1", credit=3000)
order.lines.append(Line(id="l1", isbn="9780141439587", cents=899))

try:
    order.lines[0].quantity = 4
except ValidationError as error:
    print(error)
print("quantity:", order.lines[0].quantity)

order.ship("T-1")
print(order.status, order.tracking)
