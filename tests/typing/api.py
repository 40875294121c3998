"""The types that users see. Type checkers read this file, with no plugin; nobody runs it.

Each error that is expected has a ``type: ignore``. If a checker does not find the error any more,
it says that the comment is of no use.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

import datetime as dt
import decimal
from collections.abc import Mapping
from typing import Annotated, Any, assert_type

from pydantic import Field

import happened
from happened import (
    Aggregate,
    Command,
    ConcurrencyError,
    ConfigurationError,
    Dispatcher,
    Domain,
    Entity,
    Event,
    ImmutableError,
    MessageError,
    NotFoundError,
    Repository,
    StorageError,
    ValidationError,
    ValueObject,
    atomic_change,
    current_domain,
    handle,
    invariant,
    new_id,
    record,
    trace,
)
from happened.fields import (
    Boolean,
    Date,
    DateTime,
    Decimal,
    Dict,
    Float,
    HasMany,
    HasOne,
    Identifier,
    Integer,
    List,
    String,
    Text,
)
from happened.fields import ValueObject as ValueObjectField

shop = Domain("shop")


# ---------------------------------------------------------------- elements and constructors


@shop.value_object
class Money(ValueObject):
    cents: int
    currency: str = "EUR"


@shop.entity(part_of="Order")
class Line(Entity):
    book_id: str = Identifier()
    quantity: int = Integer(min_value=1, default=1)


@shop.aggregate
class Order(Aggregate):
    customer: str = String(max_length=20)
    note: Annotated[str, Field(max_length=200)] = ""
    status: str = "placed"
    text: str = Text(default="")
    total: decimal.Decimal = Decimal(default=decimal.Decimal(0))
    weight: float = Float(default=0.0)
    paid: bool = Boolean(default=False)
    day: dt.date | None = Date(default=None)
    moment: dt.datetime | None = DateTime(default=None)
    tags: list[str] = List(str, default=list)
    extras: dict[str, Any] = Dict(default=dict)
    price: Money | None = ValueObjectField(Money, default=None)
    lines: list[Line] = HasMany(Line, default=list)
    gift: Line | None = HasOne(Line, default=None)

    @invariant
    def it_has_few_lines(self) -> None:
        if len(self.lines) > 10:
            raise ValueError("at most ten lines")

    def ship(self) -> None:
        self.status = "shipped"
        self.raise_(OrderShipped(order_id=self.id, lines=len(self.lines)))


@shop.aggregate(stream_category="stock")
class Inventory(Aggregate):
    isbn: str = Identifier(identifier=True)
    left: int = 0


@shop.event(part_of=Order)
class OrderShipped(Event):
    order_id: str
    lines: int
    carrier: str | None = None


@shop.command(part_of=Order, name="ship", version=2)
class ShipOrder(Command):
    order_id: str = Identifier()


def constructors() -> None:
    order = Order(customer="Ada", id="o1", lines=[Line(book_id="b1")], price=Money(cents=5))
    Order(customer="Ada")
    Inventory(isbn="978", left=3)
    OrderShipped(order_id="o1", lines=1, correlation_id="c", causation_id=None, metadata={"a": 1})
    ShipOrder(order_id="o1", metadata={})

    Order()  # type: ignore[call-arg]
    Order(customer=1)  # type: ignore[arg-type]
    Order(customer="Ada", colour="red")  # type: ignore[call-arg]
    Order("Ada")  # type: ignore[call-arg]
    Line(book_id="b1", quantity="2")  # type: ignore[arg-type]
    Money(currency="EUR")  # type: ignore[call-arg]
    OrderShipped(order_id="o1")  # type: ignore[call-arg]
    ShipOrder()  # type: ignore[call-arg]

    assert_type(order, Order)
    assert_type(order.id, str)
    assert_type(order.identity, str)
    assert_type(order.customer, str)
    assert_type(order.total, decimal.Decimal)
    assert_type(order.lines, list[Line])
    assert_type(order.lines[0].quantity, int)
    assert_type(order.gift, Line | None)
    assert_type(order.price, Money | None)
    assert_type(order.to_dict(), dict[str, Any])
    assert_type(order.model_copy(), Order)
    assert_type(order._events, list[Event])


def changes(order: Order) -> None:
    order.status = "paid"
    order.status = 5  # type: ignore[assignment]
    with atomic_change(order) as same:
        assert_type(same, Order)
    assert_type(order.ship(), None)


# ------------------------------------------------------------------------------ immutability


def what_cannot_change(event: OrderShipped, command: ShipOrder, money: Money) -> None:
    event.order_id = "o2"  # type: ignore[misc]
    command.order_id = "o2"  # type: ignore[misc]
    money.cents = 7  # type: ignore[misc]
    assert_type(money.replace(cents=7), Money)
    assert_type(event.model_copy(update={"lines": 2}), OrderShipped)


# ---------------------------------------------------------------------------------- messages


def messages(event: OrderShipped, command: ShipOrder) -> None:
    assert_type(event.event_id, str)
    assert_type(event.event_type, str)
    assert_type(event.occurred_at, dt.datetime)
    assert_type(event.correlation_id, str)
    assert_type(event.causation_id, str | None)
    assert_type(event.metadata, Mapping[str, Any])
    assert_type(event._metadata.stream, str | None)
    assert_type(event._metadata.position, int | None)
    assert_type(event.carrier, str | None)
    assert_type(event.to_dict(), dict[str, Any])
    assert_type(event.to_json(), bytes)
    assert_type(command.command_id, str)
    assert_type(command.command_type, str)
    assert_type(command.issued_at, dt.datetime)
    assert_type(command.correlation_id, str)
    assert_type(new_id(), str)
    with trace("request-17", causation_id="m1") as current:
        assert_type(current.correlation_id, str)


# ---------------------------------------------------------------------------------- handlers


@shop.command_handler(part_of=Order, retries=2)
class Orders:
    @handle(ShipOrder)
    def ship(self, command: ShipOrder) -> str:
        order = current_domain.repository_for(Order).get(command.order_id)
        order.ship()
        return order.id


@shop.event_handler(part_of=Inventory, stream_category="order")
class Stock:
    @handle(OrderShipped, "OrderLost")
    def reduce(self, event: OrderShipped) -> None: ...


@shop.on(OrderShipped)
def tell(event: OrderShipped) -> int:
    return event.lines


@shop.repository(part_of=Order)
class OrderRepository(Repository[Order]):
    def shipped(self) -> list[Order]:
        return self.query.filter(status="shipped").all().items


@shop.aggregate()
class Shelf(Aggregate): ...


@shop.command_handler()
class NotYetPlaced: ...


def options_are_needed() -> None:
    shop.command_handler(Orders)  # type: ignore[call-arg]
    shop.event_handler(Stock)  # type: ignore[call-arg]
    shop.repository(OrderRepository)  # type: ignore[call-arg]


def decorators_keep_types(event: OrderShipped, command: ShipOrder) -> None:
    assert_type(Orders(), Orders)
    assert_type(Orders().ship(command), str)
    assert_type(Stock().reduce(event), None)
    assert_type(tell(event), int)
    Orders().ship(event)  # type: ignore[arg-type]
    tell(command)  # type: ignore[arg-type]
    handle(5)  # type: ignore[arg-type]


# -------------------------------------------------------------------- repositories and queries


def repositories() -> None:
    shop.init(traverse=False)
    orders = shop.repository_for(Order)
    assert_type(orders, Repository[Order])
    assert_type(orders.get("o1"), Order)
    assert_type(orders["o1"], Order)
    assert_type(orders.find_by(status="placed"), Order)
    assert_type("o1" in orders, bool)
    assert_type(current_domain.repository_for(Inventory).get("978").left, int)
    query = orders.query.filter(status="shipped", total__gte=10).order_by("-total")
    page = query.offset(20).limit(10).all()
    assert_type(page.items, list[Order])
    assert_type(page.total, int)
    assert_type(query.first(), Order | None)
    assert_type(query.count(), int)
    assert_type(bool(query), bool)
    for order in query:
        assert_type(order, Order)
    assert_type(shop.repository_for(OrderRepository), OrderRepository)
    assert_type(shop.repository_for(OrderRepository).shipped(), list[Order])
    orders.add(Inventory(isbn="978"))  # type: ignore[arg-type]
    shop.repository_for(Line)  # type: ignore[type-var]


def running(event: OrderShipped, command: ShipOrder) -> None:
    assert_type(shop.process(command), Any)
    shop.process(event)  # type: ignore[arg-type]
    shop.dispatch(event)
    shop.dispatch(command)  # type: ignore[arg-type]
    with shop.domain_context() as domain:
        assert_type(domain, Domain)
    with record(shop) as recording:
        pass
    assert_type(recording.events, list[Event])
    assert_type(recording.diagram(), str)


# -------------------------------------------------------------------------------- dispatcher


async def dispatching(event: OrderShipped) -> None:
    dispatcher = Dispatcher()

    @dispatcher.on(OrderShipped)
    async def welcome(event: OrderShipped) -> int:
        return event.lines

    @dispatcher.on(Event, OrderShipped)
    def log(event: Event) -> str:
        return event.event_type

    dispatcher.on(ShipOrder)  # type: ignore[arg-type]
    dispatcher.register(Stock())
    assert_type(await welcome(event), int)
    assert_type(log(event), str)
    await dispatcher.dispatch(event)
    dispatcher.dispatch_sync(event)


# ------------------------------------------------------------------------------------ errors


def errors() -> None:
    try:
        repositories()
    except ConfigurationError as error:
        assert_type(error.problems, tuple[str, ...])
    except ValidationError as error:
        assert_type(error.messages, dict[str, list[str]])
    except NotFoundError as error:
        assert_type(error.criteria, dict[str, Any])
    except ConcurrencyError as error:
        assert_type(error.expected, int)
    except ImmutableError as error:
        assert_type(error.field, str)
    except MessageError as error:
        assert_type(error.message_id, str | None)
    except StorageError as error:
        assert_type(error.storage, str)


def names() -> None:
    _ = happened.Evnt  # type: ignore[attr-defined]
