from happened import Aggregate, Domain, Event

shop = Domain("bookshop", storage="sqlite:///shop.db")


# --8<-- [start:title]
@shop.aggregate(stream_category="book")  # (!)
class Title(Aggregate):
    title: str
    writer: str
    price: str


@shop.event(part_of=Title, name="Bookshop.BookListed.v1")  # (!)
class TitleListed(Event):
    book_id: str
    writer: str


# --8<-- [end:title]
shop.init()
