from happened import Aggregate, Domain, Event, MessageError
from happened.server import Server
from lending import lending_engine, session  # type: ignore[import-not-found]
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

shop = Domain("bookshop", storage="sqlite:///shop.db", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    title: str

    def place(self) -> "OrderPlaced":
        placed = OrderPlaced(order_id=self.id, title=self.title)
        self.raise_(placed)
        return placed


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    title: str


# --8<-- [start:engine]
address = shop.config["storage"].partition("?")[0]
if address.startswith("postgresql:"):
    address = address.replace("postgresql:", "postgresql+psycopg:")
    engine = lending_engine(address, use_native_hstore=False)  # (1)!
else:
    engine = lending_engine(address)
# --8<-- [end:engine]
own = create_engine(address)  # connections of this program's own


# --8<-- [start:handler]
class Base(DeclarativeBase):
    pass


class Parcel(Base):
    __tablename__ = "parcels"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]


@shop.on(OrderPlaced, retries=0)
def note_parcel(event: OrderPlaced) -> None:
    with session(engine) as parcels:
        parcels.add(Parcel(order_id=event.order_id, title=event.title))
    if event.title == "Persuasion":
        raise LookupError("nobody knows where Persuasion lies")  # (1)!
    print(event.title, "is written; committed parcels:", committed())


# --8<-- [end:handler]
def committed() -> int:
    with Session(own) as looking:
        return looking.scalar(select(func.count()).select_from(Parcel)) or 0


# --8<-- [start:run]
shop.init()
shop.storage.create()  # what `happened storage init` does
Base.metadata.create_all(own)

server = Server(shop.processor, shop.subscriptions, context=shop.domain_context)
server.start()
for title in ("Emma", "Persuasion", "Villette"):
    order = Order(title=title)
    placed = order.place()
    shop.repository_for(Order).add(order)
    try:
        shop.wait_for(placed)
    except MessageError as error:
        print("a dead letter:", error.reason)
    print("committed parcels:", committed())
server.stop(timeout=5)
print(shop.catch_up(), "messages are left")
# --8<-- [end:run]
own.dispose()
shop.close()
