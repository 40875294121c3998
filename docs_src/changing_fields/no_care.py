from happened import Aggregate, Domain, Event

shop = Domain("bookshop", storage="sqlite:///shop.db")


# --8<-- [start:book]
@shop.aggregate
class Book(Aggregate):
    title: str
    author: str
    pence: int
    binding: str = "paperback"


@shop.event(part_of=Book)
class BookListed(Event):
    book_id: str
    author: str


# --8<-- [end:book]
shop.init()
