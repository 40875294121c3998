import pytest
from bookshop import (  # type: ignore[import-not-found]
    Inventory,
    Order,
    OrderPlaced,
    PlaceOrder,
    Stock,
    shop,
)
from happened import ValidationError, record


# --8<-- [start:aggregate]
def test_an_order_that_is_placed_says_so() -> None:
    order = Order(id="o1", book_id="emma", copies=2)
    order.place()
    assert order._events == [OrderPlaced(order_id="o1", book_id="emma", copies=2)]


# --8<-- [end:aggregate]
# --8<-- [start:command]
def test_a_command_places_an_order() -> None:
    with record(shop) as recording:
        shop.process(PlaceOrder(order_id="o1", book_id="emma", copies=2))
    assert recording.events == [
        OrderPlaced(order_id="o1", book_id="emma", copies=2)
    ]
    assert shop.repository_for(Order)["o1"].copies == 2


# --8<-- [end:command]
# --8<-- [start:refused]
def test_an_order_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        shop.process(PlaceOrder(order_id="o1", book_id="emma", copies=0))
    assert list(refused.value.messages) == ["copies"]
    assert shop.read_stream("order-o1") == []


# --8<-- [end:refused]
# --8<-- [start:stock]
@pytest.fixture
def emma() -> None:
    shop.repository_for(Inventory).add(Inventory(book_id="emma", copies=5))


def left() -> int:
    found: int = shop.repository_for(Inventory)["emma"].copies
    return found


# --8<-- [end:stock]
# --8<-- [start:handler]
@pytest.mark.usefixtures("emma")
def test_what_was_ordered_leaves_the_stock() -> None:
    with shop.unit_of_work():  # (!)
        Stock().reduce(OrderPlaced(order_id="o1", book_id="emma", copies=2))
    assert left() == 3


# --8<-- [end:handler]
# --8<-- [start:deliver]
def deliver() -> None:
    shop.catch_up()
    for waiting in shop.storage.deliveries():
        pytest.fail(f"{waiting.handler}: {waiting.error}")


@pytest.mark.usefixtures("emma")
def test_an_order_reaches_the_stock() -> None:
    shop.process(PlaceOrder(order_id="o1", book_id="emma", copies=2))
    assert left() == 5
    deliver()
    assert left() == 3


# --8<-- [end:deliver]
# --8<-- [start:failing]
def test_an_order_of_an_unknown_book_waits() -> None:
    shop.process(PlaceOrder(order_id="o1", book_id="sanditon", copies=1))
    shop.catch_up()
    (waiting,) = shop.storage.deliveries()
    assert (waiting.handler, waiting.state) == ("Stock.reduce", "retrying")
    assert waiting.error.startswith("NotFoundError")


# --8<-- [end:failing]
