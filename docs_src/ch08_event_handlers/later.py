from happened import Aggregate, Domain, Event

shelf = Domain("bookshelf", event_processing="async")


@shelf.aggregate
class Book(Aggregate):
    title: str

    def lose(self) -> None:
        self.raise_(BookLost(title=self.title))


@shelf.event(part_of=Book)
class BookLost(Event):
    title: str


@shelf.on(BookLost)
def search(event: BookLost) -> None:
    print("searching", event.title)


shelf.init()

book = Book(title="Emma")
book.lose()
shelf.repository_for(Book).add(book)
print("the book and its event are stored")

shelf.catch_up()
