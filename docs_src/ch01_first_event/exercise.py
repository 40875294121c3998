from happened import Aggregate, Domain, Event

shelf = Domain("bookshelf")


@shelf.aggregate
class Book(Aggregate):
    title: str
    copies: int = 0

    def receive(self, copies: int) -> None:
        self.copies += copies
        self.raise_(
            CopiesReceived(book_id=self.id, title=self.title, copies=copies)
        )

    def sell(self) -> None:
        if self.copies == 0:
            raise ValueError(f"{self.title} is sold out")
        self.copies -= 1
        self.raise_(CopySold(book_id=self.id, title=self.title, left=self.copies))


@shelf.event(part_of=Book)
class CopiesReceived(Event):
    book_id: str
    title: str
    copies: int


@shelf.event(part_of=Book)
class CopySold(Event):
    book_id: str
    title: str
    left: int


@shelf.on(CopySold)
def remind_to_order(event: CopySold) -> None:
    if event.left == 0:
        print(f"order more copies of {event.title}")


shelf.init()

book = Book(title="Emma")
book.receive(2)
book.sell()
book.sell()
shelf.repository_for(Book).add(book)
