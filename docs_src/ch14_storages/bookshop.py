from happened import (
    Aggregate,
    Domain,
    Event,
    ValidationError,
    current_domain,
    handle,
)
from happened.fields import String

# --8<-- [start:domain]
shop = Domain("bookshop")
# --8<-- [end:domain]


# --8<-- [start:book]
@shop.aggregate
class Book(Aggregate):
    isbn: str = String(unique=True)  # (1)!
    title: str
    author: str = String(index=True)  # (2)!

    def announce(self) -> None:
        self.raise_(BookAdded(isbn=self.isbn, author=self.author))


# --8<-- [end:book]
@shop.event(part_of=Book)
class BookAdded(Event):
    isbn: str
    author: str


@shop.aggregate
class Author(Aggregate):
    titles: int = 0


# --8<-- [start:handler]
@shop.event_handler(part_of=Author, stream_category="book")
class Authors:
    @handle(BookAdded)
    def count(self, event: BookAdded) -> None:
        authors = current_domain.repository_for(Author)
        known = event.author in authors
        author = authors[event.author] if known else Author(id=event.author)
        author.titles += 1
        authors.add(author)


# --8<-- [end:handler]
BOOKS = [
    ("9780141439587", "Emma", "Austen"),
    ("9780141439686", "Persuasion", "Austen"),
    ("9780141439549", "Middlemarch", "Eliot"),
]

shop.init()

# --8<-- [start:run]
if __name__ == "__main__":
    books = shop.repository_for(Book)
    for isbn, title, author in BOOKS:
        book = Book(isbn=isbn, title=title, author=author)
        book.announce()
        try:
            books.add(book)
        except ValidationError as error:
            print("refused:", error.messages)
    austen = shop.repository_for(Author)["Austen"]
    print(books.query.count(), "books,", austen.titles, "of them by Austen")
# --8<-- [end:run]
