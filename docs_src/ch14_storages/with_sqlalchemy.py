# needs: postgres
import os

from happened import Aggregate, Domain, Event
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

shop = Domain("bookshop", storage=os.environ["POSTGRES_URL"])


@shop.aggregate
class Order(Aggregate):
    title: str

    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id, title=self.title))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    title: str


@shop.on(OrderPlaced)
def pack(event: OrderPlaced) -> None:
    print("to the warehouse: pack", event.title)


shop.init()
shop.storage.create()  # what `happened storage init` does

# --8<-- [start:place]
address = os.environ["POSTGRES_URL"].partition("?")[0]  # (1)!
engine = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
with Session(engine) as session:
    session.execute(text("CREATE TEMPORARY TABLE invoices (order_id text)"))
    order = Order(title="Emma")
    order.place()
    session.execute(text("INSERT INTO invoices VALUES (:id)"), {"id": order.id})
    with shop.unit_of_work(connection=session):
        shop.repository_for(Order).add(order)
    print("orders before the commit:", shop.repository_for(Order).query.count())
    session.commit()
    print("orders after the commit:", shop.repository_for(Order).query.count())
shop.catch_up()
# --8<-- [end:place]
engine.dispose()
shop.close()
