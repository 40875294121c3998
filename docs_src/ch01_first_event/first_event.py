from happened import Aggregate, Domain, Event

shelf = Domain("bookshelf")


# --8<-- [start:aggregate]
@shelf.aggregate
class Book(Aggregate):
    title: str
    copies: int = 0

    def receive(self, copies: int) -> None:
        self.copies += copies
        self.raise_(  # (!)
            CopiesReceived(book_id=self.id, title=self.title, copies=copies)
        )


# --8<-- [end:aggregate]
# --8<-- [start:event]
@shelf.event(part_of=Book)
class CopiesReceived(Event):
    book_id: str
    title: str
    copies: int


# --8<-- [end:event]
# --8<-- [start:handler]
@shelf.on(CopiesReceived)
def tell_the_shop(event: CopiesReceived) -> None:
    print(f"{event.copies} copies of {event.title} have arrived")


# --8<-- [end:handler]
# --8<-- [start:run]
shelf.init()

book = Book(title="Emma")
book.receive(3)
print("received, but not persisted yet")
shelf.repository_for(Book).add(book)  # (!)
# --8<-- [end:run]
