from happened import (
    Aggregate,
    Domain,
    Event,
    Projection,
    current_domain,
    handle,
)

shelf = Domain("bookshelf")


@shelf.aggregate
class Book(Aggregate):
    title: str

    def add(self) -> None:
        self.raise_(BookAdded(book_id=self.id, title=self.title))


@shelf.aggregate
class Order(Aggregate):
    book_id: str
    copies: int

    def place(self) -> None:
        self.raise_(OrderPlaced(book_id=self.book_id, copies=self.copies))


# --8<-- [start:events]
@shelf.event(part_of=Book)
class BookAdded(Event):
    book_id: str
    title: str


@shelf.event(part_of=Order)
class OrderPlaced(Event):
    book_id: str
    copies: int


# --8<-- [end:events]
# --8<-- [start:projection]
@shelf.projection
class Bestseller(Projection):
    title: str = ""
    sold: int = 0


# --8<-- [end:projection]
# --8<-- [start:handlers]
@shelf.event_handler(part_of=Bestseller)  # (1)!
class Bestsellers:
    @handle(BookAdded)
    def name(self, event: BookAdded) -> None:
        bestseller = self.find(event.book_id)
        bestseller.title = event.title
        current_domain.repository_for(Bestseller).add(bestseller)

    @handle(OrderPlaced)
    def count(self, event: OrderPlaced) -> None:
        bestseller = self.find(event.book_id)
        bestseller.sold += event.copies
        current_domain.repository_for(Bestseller).add(bestseller)

    def find(self, book_id: str) -> Bestseller:  # (2)!
        bestsellers = current_domain.repository_for(Bestseller)
        known = book_id in bestsellers
        return bestsellers[book_id] if known else Bestseller(id=book_id)


# --8<-- [end:handlers]
# --8<-- [start:run]
shelf.init()

for book_id, title in [("b1", "Emma"), ("b2", "Persuasion"), ("b3", "Sanditon")]:
    book = Book(id=book_id, title=title)
    book.add()
    shelf.repository_for(Book).add(book)

for book_id, copies in [("b1", 2), ("b2", 1), ("b3", 4), ("b1", 3)]:
    order = Order(book_id=book_id, copies=copies)
    order.place()
    shelf.repository_for(Order).add(order)
# --8<-- [end:run]


# --8<-- [start:show]
def show() -> None:
    bestsellers = shelf.repository_for(Bestseller)
    for each in bestsellers.query.order_by("-sold").limit(2):
        print(f"{each.title:<10} {each.sold}")


show()
# --8<-- [end:show]

# --8<-- [start:by_hand]
bestsellers = shelf.repository_for(Bestseller)
emma = bestsellers["b1"]
emma.sold = 500  # somebody helps a little
bestsellers.add(emma)
bestsellers.remove(bestsellers["b3"])
show()
# --8<-- [end:by_hand]


# --8<-- [start:rebuild]
def tell(read: int, left: int) -> None:
    print(f"{read} read, {left} left")


shelf.rebuild(Bestseller, progress=tell)  # (!)
show()
# --8<-- [end:rebuild]
