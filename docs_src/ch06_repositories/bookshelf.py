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
        return self.query.filter(copies__lte=2).order_by("copies", "title").all().items


# --8<-- [end:repository]
# --8<-- [start:add]
shelf.init()

books = shelf.repository_for(Book)
books.add(Book(id="b1", title="Emma", author="Austen", price=Money(cents=1250), copies=3))
books.add(Book(id="b2", title="Persuasion", author="Austen", price=Money(cents=990), copies=1))
books.add(Book(id="b3", title="Villette", author="Brontë", price=Money(cents=1400), copies=7))
books.add(Book(id="b4", title="Shirley", author="Brontë", price=Money(cents=1400)))
# --8<-- [end:add]

# --8<-- [start:use]
assert isinstance(books, Books)  # (1)!
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
