from happened import Aggregate, Domain, ValueObject
from happened.fields import Integer, String

shelf = Domain("bookshelf")


@shelf.value_object
class Money(ValueObject):
    cents: int = Integer(min_value=0)
    currency: str = String(min_length=3, max_length=3, default="EUR")

    def __str__(self) -> str:
        return f"{self.cents / 100:.2f} {self.currency}"


@shelf.value_object
class Discount(ValueObject):
    percent: int = Integer(min_value=1, max_value=90)

    def off(self, price: Money) -> Money:
        return price.replace(cents=price.cents * (100 - self.percent) // 100)


@shelf.aggregate
class Book(Aggregate):
    title: str
    price: Money
    discount: Discount | None = None

    def price_today(self) -> Money:
        return self.discount.off(self.price) if self.discount else self.price


shelf.init()

emma = Book(title="Emma", price=Money(cents=1000))
print(emma.price_today())
emma.discount = Discount(percent=15)
print(f"{emma.price_today()} instead of {emma.price}")
