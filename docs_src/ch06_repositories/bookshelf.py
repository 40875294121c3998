from happened import Aggregate, Domain, Repository, ValueObject

shelf = Domain("bookshelf")


# --8<-- [start:aggregate]
@shelf.value_object
class Money(ValueObject):
    cents: int
    currency: str = "EUR"


@shelf.aggregate
class Book(Aggregate):
    title: str
    author: str
    price: Money
    copies: int = 0

    def sell(self, copies: int) -> None:
        if copies > self.copies:
            raise ValueError(f"{self.title}: {copies} wanted, {self.copies} left")
        self.copies -= copies


# --8<-- [end:aggregate]
# --8<-- [start:repository]
@shelf.repository(part_of=Book)
class Books(Repository[Book]):
    def running_out(self) -> list[Book]:
        found = self.query.filter(copies__lte=2).order_by("copies", "title")
        return found.all().items


# --8<-- [end:repository]
# --8<-- [start:add]
shelf.init()

books = shelf.repository_for(Books)
catalogue = [
    ("b1", "Emma", "Austen", 1250, 3),
    ("b2", "Persuasion", "Austen", 990, 1),
    ("b3", "Villette", "Brontë", 1400, 7),
    ("b4", "Shirley", "Brontë", 1400, 0),
]
for id, title, author, cents, copies in catalogue:
    price = Money(cents=cents)
    books.add(Book(id=id, title=title, author=author, price=price, copies=copies))
# --8<-- [end:add]

# --8<-- [start:use]
for book in books.running_out():
    print(f"order {book.title}: {book.copies} left")
# --8<-- [end:use]


# --8<-- [start:unit]
def sell_together(*ids: str) -> None:
    with shelf.unit_of_work():  # (!)
        for id in ids:
            book = books.get(id)
            book.sell(1)
            books.add(book)


try:
    sell_together("b1", "b3", "b4")
except ValueError as error:
    print(f"refused: {error}")
print([book.copies for book in books.query])

sell_together("b1", "b3")
print([book.copies for book in books.query])
# --8<-- [end:unit]
