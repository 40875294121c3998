import sqlite3

from happened import Aggregate, Domain, Event, ValidationError
from happened.fields import Integer

shop = Domain("bookshop", storage="sqlite:///shop.db")


@shop.aggregate
class Order(Aggregate):
    title: str
    copies: int = Integer(min_value=1)

    def place(self) -> None:
        self.raise_(OrderPlaced(title=self.title, copies=self.copies))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    title: str
    copies: int


@shop.on(OrderPlaced)
def pack(event: OrderPlaced) -> None:
    print(f"pack {event.title}, copies: {event.copies}")


shop.init()
connection = sqlite3.connect("shop.db")
connection.execute(
    "CREATE TABLE IF NOT EXISTS letters (title TEXT, copies INTEGER)"
)
connection.execute("INSERT INTO letters VALUES ('Emma', 2), ('Sanditon', 0)")
connection.commit()


def take_in(number: int, title: str, copies: int) -> None:
    order = Order(title=title, copies=copies)
    order.place()
    with shop.unit_of_work(connection=connection):
        shop.repository_for(Order).add(order)
    connection.execute("DELETE FROM letters WHERE rowid = ?", (number,))


for letter in connection.execute("SELECT rowid, * FROM letters").fetchall():
    try:
        take_in(*letter)
    except ValidationError as error:
        connection.rollback()
        print("left as it is:", error)
    else:
        connection.commit()

shop.catch_up()
print("left:", connection.execute("SELECT title FROM letters").fetchall())
connection.close()
