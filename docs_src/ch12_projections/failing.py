from happened import (
    Aggregate,
    Domain,
    Event,
    HappenedError,
    Projection,
    current_domain,
    handle,
)

shelf = Domain("bookshelf")


@shelf.aggregate
class Order(Aggregate):
    book_id: str

    def place(self) -> None:
        self.raise_(OrderPlaced(book_id=self.book_id))


@shelf.event(part_of=Order)
class OrderPlaced(Event):
    book_id: str


@shelf.projection
class Takings(Projection):
    total: int = 0


# --8<-- [start:handler]
PRICES = {"emma": 9, "persuasion": 7}


@shelf.event_handler(part_of=Takings)
class Till:
    @handle(OrderPlaced)
    def count(self, event: OrderPlaced) -> None:
        takings = current_domain.repository_for(Takings)
        till = takings["till"] if "till" in takings else Takings(id="till")
        till.total += PRICES[event.book_id]  # (!)
        takings.add(till)


# --8<-- [end:handler]
shelf.init()

# --8<-- [start:rebuild]
for book_id in ["persuasion", "emma"]:
    order = Order(book_id=book_id)
    order.place()
    shelf.repository_for(Order).add(order)

del PRICES["emma"]  # no longer on sale
try:
    shelf.rebuild(Takings)
except HappenedError as error:
    print(error)

print(shelf.repository_for(Takings)["till"].total)
# --8<-- [end:rebuild]

# --8<-- [start:mended]
PRICES["emma"] = 9
print(shelf.rebuild(Takings), "events read")
# --8<-- [end:mended]
