from happened import Aggregate, Domain, Repository, invariant

shelf = Domain("bookshelf")


@shelf.aggregate
class Book(Aggregate):
    title: str
    author: str
    cents: int

    @invariant
    def it_costs_something(self) -> None:
        if self.cents <= 0:
            raise ValueError(f"{self.title} would cost {self.cents} cents")


@shelf.repository(part_of=Book)
class Books(Repository[Book]):
    def by_author(self, author: str) -> list[Book]:
        return self.query.filter(author=author).order_by("title").all().items


def reduce_prices(author: str, cents: int) -> None:
    books = shelf.repository_for(Book)
    assert isinstance(books, Books)
    with shelf.unit_of_work():
        for book in books.by_author(author):
            book.cents -= cents
            books.add(book)


shelf.init()

books = shelf.repository_for(Book)
books.add(Book(title="Emma", author="Austen", cents=1250))
books.add(Book(title="Persuasion", author="Austen", cents=400))

for cents in (200, 300):
    try:
        reduce_prices("Austen", cents)
    except ValueError as error:
        print(f"refused: {error}")
    print([book.cents for book in books.query])
