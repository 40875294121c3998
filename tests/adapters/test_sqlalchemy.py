"""A handler that writes through SQLAlchemy as the guide shows it: all is one transaction."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from happened import Aggregate, Domain, Event
from happened.server import Server
from happened.storage import DeliveryState

RECIPE = Path(__file__).parents[2] / "docs_src" / "ch14_storages" / "lending.py"


class Base(DeclarativeBase):
    pass


class Parcel(Base):
    __tablename__ = "parcels"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)


class Driver:
    """A connection that notes what ends its transaction, or itself."""

    names: ClassVar = ("commit", "rollback", "close", "add_notice_handler")

    def __init__(self, connection: Any, called: list[str]) -> None:
        self._connection = connection
        self._called = called

    def __getattr__(self, name: str) -> Any:
        if name in self.names:
            self._called.append(name)
        return getattr(self._connection, name)


class Shop:
    """A domain whose handler writes a row through SQLAlchemy, and what it is told to do besides."""

    def __init__(self, url: str) -> None:
        spec = importlib.util.spec_from_file_location("lending", RECIPE)
        assert spec is not None
        assert spec.loader is not None
        self.recipe = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.recipe)
        self.domain = domain = Domain("shop", storage=url, event_processing="async")
        self.address, _, query = url.partition("?")
        options, place = {}, {}
        if url.startswith("postgresql:"):
            schema = query.rpartition("schema=")[2]
            self.address = self.address.replace("postgresql:", "postgresql+psycopg:")
            options = {"use_native_hstore": False}
            place = {"schema_translate_map": {None: schema}}
        self.engine = self.recipe.lending_engine(self.address, execution_options=place, **options)
        self.own = sqlalchemy.create_engine(self.address, execution_options=place)
        self.besides: Callable[[Session], object] = lambda session: None
        self.afterwards: Callable[[], object] = lambda: None
        self.called: list[str] = []
        self.calls = 0

        @domain.aggregate
        class Order(Aggregate):
            title: str

            def place(self) -> "Order":
                self.raise_(OrderPlaced(order_id=self.id, title=self.title))
                return self

        @domain.event(part_of=Order)
        class OrderPlaced(Event):
            order_id: str
            title: str

        @domain.aggregate
        class Count(Aggregate):
            pass

        @domain.on(OrderPlaced, retries=0)
        def note(event: OrderPlaced) -> None:
            self.calls += 1
            domain.repository_for(Count).add(Count(id=event.order_id))
            with self.session() as session:
                session.add(Parcel(order_id=event.order_id, title=event.title))
                session.flush()
                self.besides(session)
            self.afterwards()

        self.order, self.count = Order, Count
        domain.init(traverse=False)
        Base.metadata.create_all(self.own)

    def session(self) -> AbstractContextManager[Session]:
        return self.recipe.session(self.engine)  # type: ignore[no-any-return]

    def place(self, title: str) -> str:
        order = self.order(title=title)
        self.domain.repository_for(self.order).add(order.place())
        return order.id

    def rows(self) -> list[str]:
        with Session(self.own) as session:
            return list(session.scalars(sqlalchemy.select(Parcel.title).order_by(Parcel.title)))

    def states(self) -> list[DeliveryState]:
        return [each.state for each in self.domain.storage.deliveries()]

    def counted(self) -> int:
        return self.domain.repository_for(self.count).query.count()


@pytest.fixture
def shop(durable_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    made = Shop(durable_url)
    lent = made.recipe.Lent
    monkeypatch.setattr(
        made.recipe, "Lent", lambda connection: lent(Driver(connection, made.called))
    )
    yield made
    assert made.called == []  # whatever a test had the handler do
    made.own.dispose()
    made.domain.close()


def raise_(error: Exception) -> None:
    raise error


def twice(session: Session) -> None:
    title = session.scalars(sqlalchemy.select(Parcel.title)).one()
    session.add(Parcel(order_id="other", title=title))
    session.flush()


def rolled_back(session: Session) -> None:
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        twice(session)
    session.rollback()


def test_the_row_and_the_checkpoint_are_committed_together(shop: Shop) -> None:
    seen: list[list[str]] = []
    shop.afterwards = lambda: seen.append(shop.rows())
    shop.place("Emma")
    shop.domain.catch_up()
    assert seen == [[]]
    assert shop.rows() == ["Emma"]
    assert shop.counted() == 1
    assert shop.domain.catch_up() == 0
    assert shop.calls == 1


@pytest.mark.parametrize(
    "besides",
    [lambda session: raise_(LookupError()), twice, rolled_back],
    ids=["raises", "refused", "rolled back"],
)
def test_a_session_that_fails_leaves_neither(
    shop: Shop, besides: Callable[[Session], object]
) -> None:
    shop.besides = besides  # the first session ever, which is asked for more than others are
    shop.place("Emma")
    shop.domain.catch_up()
    assert (shop.rows(), shop.counted(), shop.states()) == ([], 0, ["dead"])
    shop.besides = lambda session: None
    shop.place("Villette")
    shop.domain.catch_up()
    assert (shop.rows(), shop.counted(), shop.states()) == (["Villette"], 1, ["dead"])


def test_a_handler_that_fails_after_its_session_leaves_neither(shop: Shop) -> None:
    shop.besides = lambda session: session.commit()
    shop.afterwards = lambda: raise_(LookupError())
    shop.place("Emma")
    shop.domain.catch_up()
    assert (shop.rows(), shop.counted(), shop.states()) == ([], 0, ["dead"])


def test_a_part_of_a_session_can_be_undone(shop: Shop) -> None:
    def besides(session: Session) -> None:
        with pytest.raises(sqlalchemy.exc.IntegrityError), session.begin_nested():
            twice(session)

    shop.besides = besides
    shop.place("Emma")
    shop.domain.catch_up()
    assert (shop.rows(), shop.counted(), shop.states()) == (["Emma"], 1, [])


def test_a_session_in_a_unit_of_work_is_a_part_of_it(shop: Shop) -> None:
    def fail_afterwards() -> None:
        with shop.domain.unit_of_work():
            with shop.session() as session:
                session.add(Parcel(order_id="o1", title="Emma"))
            raise LookupError

    with pytest.raises(LookupError):
        fail_afterwards()
    assert shop.rows() == []
    with shop.domain.unit_of_work(), shop.session() as session:
        session.add(Parcel(order_id="o1", title="Emma"))
    assert shop.rows() == ["Emma"]


def test_without_a_handler_nothing_is_lent(shop: Shop) -> None:
    with pytest.raises(LookupError), Session(shop.engine) as session:
        session.execute(sqlalchemy.text("SELECT 1"))


def test_many_workers_write_each_row_once(shop: Shop) -> None:
    titles = [f"title {number:02}" for number in range(20)]
    for title in titles:
        shop.place(title)
    domain = shop.domain
    server = Server(
        domain.processor, domain.subscriptions, workers=4, context=domain.domain_context
    )
    server.start()
    try:
        for message in domain.read_category("order"):
            domain.wait_for(message, timeout=60)
    finally:
        assert server.stop(timeout=30)
    assert shop.rows() == titles
    assert shop.counted() == len(titles)
    assert shop.states() == []
