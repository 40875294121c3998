from happened import Aggregate, Domain, Event

shop = Domain("bookshop", storage="sqlite:///shop.db")


# --8<-- [start:book]
@shop.aggregate
class Book(Aggregate):
    title: str
    writer: str
    price: str  # in pounds

    def list_it(self) -> None:
        self.raise_(BookListed(book_id=self.id, writer=self.writer))


@shop.event(part_of=Book)
class BookListed(Event):
    book_id: str
    writer: str


# --8<-- [end:book]
shop.init()
