from enum import StrEnum
from typing import Self

from happened import Aggregate, Domain, ValueObject
from happened.fields import Integer, String

shelf = Domain("bookshelf")


# --8<-- [start:money]
@shelf.value_object
class Money(ValueObject):
    cents: int = Integer(min_value=0)
    currency: str = String(min_length=3, max_length=3, default="EUR")

    def times(self, count: int) -> Self:
        return self.replace(cents=self.cents * count)  # (!)

    def __str__(self) -> str:
        return f"{self.cents / 100:.2f} {self.currency}"


# --8<-- [end:money]
# --8<-- [start:binding]
class Binding(StrEnum):
    HARDBACK = "hardback"
    PAPERBACK = "paperback"


# --8<-- [end:binding]
# --8<-- [start:book]
@shelf.aggregate
class Book(Aggregate):
    isbn: str = String(min_length=13, max_length=13, unique=True)
    title: str = String(min_length=1, max_length=200)
    subtitle: str | None = None  # (1)!
    binding: str = String(choices=Binding, default=Binding.PAPERBACK)  # (2)!
    copies: int = Integer(min_value=0, default=0)
    price: Money  # (3)!


# --8<-- [end:book]
# --8<-- [start:run]
shelf.init()

emma = Book(id="b1", isbn="9780141439587", title="Emma", price=Money(cents=999))
emma.copies = 12
emma.price = emma.price.replace(cents=899)  # (!)
shelf.repository_for(Book).add(emma)

found = shelf.repository_for(Book).get("b1")
print(
    f"{found.title}, {found.binding}: {found.copies} copies for {found.price} each"
)
print(f"{found.price.times(found.copies)} in all")
# --8<-- [end:run]
