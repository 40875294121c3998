from happened import Aggregate, Command, Domain, Event, current_domain, handle
from happened.fields import Integer, String

shelf = Domain("bookshelf")


# --8<-- [start:aggregate]
class OutOfStockError(Exception):
    """Fewer copies are left than somebody wants to buy."""


@shelf.aggregate
class Book(Aggregate):
    title: str
    copies: int = 0

    def sell(self, copies: int) -> None:
        if copies > self.copies:
            raise OutOfStockError(
                f"{self.title}: {copies} wanted, {self.copies} left"
            )
        self.copies -= copies
        self.raise_(CopiesSold(book_id=self.id, copies=copies, left=self.copies))


@shelf.event(part_of=Book)
class CopiesSold(Event):
    book_id: str
    copies: int
    left: int


# --8<-- [end:aggregate]
# --8<-- [start:commands]
@shelf.command(part_of=Book)
class AddBook(Command):
    book_id: str
    title: str = String(min_length=1, max_length=200)
    copies: int = Integer(min_value=0, default=0)


@shelf.command(part_of=Book)
class SellCopies(Command):
    book_id: str
    copies: int = Integer(min_value=1, default=1)


# --8<-- [end:commands]
# --8<-- [start:handler]
@shelf.command_handler(part_of=Book)
class BookCommands:
    @handle(AddBook)
    def add(self, command: AddBook) -> str:
        book = Book(id=command.book_id, title=command.title, copies=command.copies)
        current_domain.repository_for(Book).add(book)
        return book.id

    @handle(SellCopies)
    def sell(self, command: SellCopies) -> int:
        books = current_domain.repository_for(Book)
        book = books.get(command.book_id)  # (1)!
        book.sell(command.copies)  # (2)!
        books.add(book)  # (3)!
        return book.copies


# --8<-- [end:handler]
# --8<-- [start:run]
shelf.init()

shelf.process(AddBook(book_id="b1", title="Emma", copies=3))
left = shelf.process(SellCopies(book_id="b1", copies=2))  # (!)
print(f"sold, {left} left")

try:
    shelf.process(SellCopies(book_id="b1", copies=2))
except OutOfStockError as error:
    print(f"refused: {error}")

print(f"{shelf.repository_for(Book).get('b1').copies} still on the shelf")
# --8<-- [end:run]
