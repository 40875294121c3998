from happened import (
    Aggregate,
    Command,
    Domain,
    NotFoundError,
    current_domain,
    handle,
)
from happened.fields import Integer

shelf = Domain("bookshelf")


@shelf.aggregate
class Book(Aggregate):
    title: str
    copies: int = 0

    def receive(self, copies: int) -> None:
        self.copies += copies


@shelf.command(part_of=Book)
class ReceiveCopies(Command):
    book_id: str
    copies: int = Integer(min_value=1)


@shelf.command_handler(part_of=Book)
class Deliveries:
    @handle(ReceiveCopies)
    def receive(self, command: ReceiveCopies) -> int:
        books = current_domain.repository_for(Book)
        book = books.get(command.book_id)
        book.receive(command.copies)
        books.add(book)
        return book.copies


shelf.init()

shelf.repository_for(Book).add(Book(id="b1", title="Emma", copies=1))
print(shelf.process(ReceiveCopies(book_id="b1", copies=4)))
try:
    shelf.process(ReceiveCopies(book_id="b2", copies=4))
except NotFoundError as error:
    print(f"refused: {error}")
