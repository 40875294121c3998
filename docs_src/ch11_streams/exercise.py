from happened import Aggregate, Domain, Event
from happened.messages import Message

shelf = Domain("bookshelf")


@shelf.aggregate
class Order(Aggregate):
    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id))


@shelf.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str


class Reader:
    def __init__(self, category: str) -> None:
        self.category = category
        self.position = 0

    def read_new(self) -> list[Message]:
        found: list[Message] = []
        while page := shelf.read_category(
            self.category, start=self.position, limit=2
        ):
            found += page
            last = page[-1]._metadata.global_position
            assert last is not None
            self.position = last + 1
        return found


def place(*order_ids: str) -> None:
    for order_id in order_ids:
        order = Order(id=order_id)
        order.place()
        shelf.repository_for(Order).add(order)


shelf.init()
reader = Reader("order")

place("o1", "o2", "o3")
print(len(reader.read_new()), "new messages")

print(len(reader.read_new()), "new messages")

place("o4")
print(len(reader.read_new()), "new message")
