from happened import (
    Aggregate,
    Domain,
    Event,
    Projection,
    current_domain,
    handle,
)

shelf = Domain("bookshelf", storage="sqlite:///shop.db")


@shelf.aggregate
class Order(Aggregate):
    title: str
    copies: int

    def place(self) -> None:
        self.raise_(OrderPlaced(title=self.title, copies=self.copies))


@shelf.event(part_of=Order)
class OrderPlaced(Event):
    title: str
    copies: int


@shelf.projection
class Bestseller(Projection):
    sold: int = 0


# --8<-- [start:handler]
@shelf.event_handler(part_of=Bestseller)
class Bestsellers:
    @handle(OrderPlaced)
    def count(self, event: OrderPlaced) -> None:
        bestsellers = current_domain.repository_for(Bestseller)
        known = event.title in bestsellers
        bestseller = (
            bestsellers[event.title] if known else Bestseller(id=event.title)
        )
        bestseller.sold += 1  # (!)
        bestsellers.add(bestseller)


# --8<-- [end:handler]
def place(title: str, copies: int) -> None:
    order = Order(title=title, copies=copies)
    order.place()
    shelf.repository_for(Order).add(order)


def show() -> None:
    for each in shelf.repository_for(Bestseller).query.order_by("-sold"):
        print(each.id, each.sold)


shelf.init()

if __name__ == "__main__":
    place("Emma", 1)
    place("Sanditon", 4)
    place("Emma", 1)
    show()
