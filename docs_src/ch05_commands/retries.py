from threading import Thread

from happened import Aggregate, Command, Domain, current_domain, handle

shelf = Domain("bookshelf")


@shelf.aggregate
class Book(Aggregate):
    title: str
    copies: int


@shelf.command(part_of=Book)
class SellCopy(Command):
    book_id: str
    till: str


# --8<-- [start:handler]
def another_till() -> None:
    shelf.process(SellCopy(book_id="b1", till="till 2"))


others = [Thread(target=another_till)]


@shelf.command_handler(part_of=Book, retries=3)  # (!)
class Tills:
    @handle(SellCopy)
    def sell(self, command: SellCopy) -> None:
        books = current_domain.repository_for(Book)
        book = books.get(command.book_id)
        print(f"{command.till} finds {book.copies} copies")
        if command.till == "till 1" and others:
            other = others.pop()
            other.start()
            other.join()  # (1)!
        book.copies -= 1
        books.add(book)


# --8<-- [end:handler]
# --8<-- [start:run]
shelf.init()
shelf.repository_for(Book).add(Book(id="b1", title="Emma", copies=5))
shelf.process(SellCopy(book_id="b1", till="till 1"))
print(f"{shelf.repository_for(Book).get('b1').copies} copies are left")
# --8<-- [end:run]
