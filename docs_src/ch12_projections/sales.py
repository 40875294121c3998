from happened import Aggregate, Domain, Event, current_domain

shelf = Domain("bookshelf", storage="sqlite:///sales.db")


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


# --8<-- [start:handler]
TABLE = """
CREATE TABLE IF NOT EXISTS sales (
    event_id TEXT PRIMARY KEY, day TEXT, title TEXT, copies INTEGER
)
"""


@shelf.on(OrderPlaced)
def note_sale(event: OrderPlaced) -> None:
    day = event.occurred_at.date().isoformat()
    with current_domain.unit_of_work() as unit:
        unit.connection.execute(  # (!)
            "INSERT OR IGNORE INTO sales VALUES (?, ?, ?, ?)",
            (event.event_id, day, event.title, event.copies),
        )


# --8<-- [end:handler]
# --8<-- [start:use]
def show() -> None:
    with shelf.unit_of_work() as unit:
        rows = unit.connection.execute(
            "SELECT title, sum(copies) FROM sales GROUP BY title ORDER BY 2 DESC"
        )
        for title, copies in rows.fetchall():
            print(title, copies)


def empty() -> None:
    with shelf.unit_of_work() as unit:
        unit.connection.execute("DELETE FROM sales")


# --8<-- [end:use]
shelf.init()
with shelf.unit_of_work() as unit:
    unit.connection.execute(TABLE)

if __name__ == "__main__":
    for title, copies in [("Emma", 1), ("Sanditon", 4), ("Emma", 2)]:
        order = Order(title=title, copies=copies)
        order.place()
        shelf.repository_for(Order).add(order)
    show()
