import sqlite3

from happened import Aggregate, Domain, Event, current_domain

shop = Domain("bookshop", storage="sqlite:///shop.db")


@shop.aggregate
class Order(Aggregate):
    title: str

    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id, title=self.title))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    title: str


# --8<-- [start:handler]
@shop.on(OrderPlaced)
def note_parcel(event: OrderPlaced) -> None:
    with current_domain.unit_of_work() as unit:
        unit.connection.execute(
            "INSERT INTO parcels VALUES (?, ?)", (event.order_id, event.title)
        )


# --8<-- [end:handler]
shop.init()
connection = sqlite3.connect("shop.db")
connection.execute(
    "CREATE TABLE IF NOT EXISTS invoices (order_id TEXT, pence INTEGER)"
)
connection.execute("CREATE TABLE IF NOT EXISTS parcels (order_id TEXT, title TEXT)")


# --8<-- [start:place]
def place(order: Order, pence: int) -> None:
    order.place()
    invoice = (order.id, pence)
    connection.execute("INSERT INTO invoices VALUES (?, ?)", invoice)
    with shop.unit_of_work(connection=connection):  # (1)!
        shop.repository_for(Order).add(order)


# --8<-- [end:place]
def show() -> None:
    orders = shop.repository_for(Order).query.count()
    (invoices,) = connection.execute("SELECT count(*) FROM invoices").fetchone()
    (parcels,) = connection.execute("SELECT count(*) FROM parcels").fetchone()
    print(f"orders: {orders}, invoices: {invoices}, parcels: {parcels}")


# --8<-- [start:commit]
place(Order(title="Emma"), 1250)
connection.commit()  # (1)!
show()
shop.catch_up()  # (2)!
show()
# --8<-- [end:commit]

# --8<-- [start:rollback]
place(Order(title="Persuasion"), 990)
connection.rollback()
print(shop.catch_up(), "messages handled")
show()
# --8<-- [end:rollback]
connection.close()
