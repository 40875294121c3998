import asyncio

from happened import Dispatcher, Event, handle


# --8<-- [start:event]
class OrderShipped(Event):
    event_type = "order.shipped"  # (1)!

    order_id: str
    email: str


# --8<-- [end:event]
# --8<-- [start:gift]
class GiftShipped(OrderShipped):
    event_type = "order.gift_shipped"

    greeting: str


# --8<-- [end:gift]
# --8<-- [start:handlers]
dispatcher = Dispatcher()


@dispatcher.on(OrderShipped)
def print_label(event: OrderShipped) -> None:
    print(f"label for {event.order_id}")


@dispatcher.on(OrderShipped)
async def tell_customer(event: OrderShipped) -> None:  # (!)
    await asyncio.sleep(0)  # (1)!
    print(f"mail to {event.email}")


# --8<-- [end:handlers]
# --8<-- [start:object]
class Counter:
    def __init__(self) -> None:
        self.shipped = 0
        self.greetings = 0

    @handle(OrderShipped)
    def count_parcel(self, event: OrderShipped) -> None:
        self.shipped += 1

    @handle(GiftShipped)
    def count_greeting(self, event: GiftShipped) -> None:
        self.greetings += 1


counter = Counter()
dispatcher.register(counter)  # (!)


# --8<-- [end:object]
# --8<-- [start:all]
@dispatcher.on(Event)
def write_log(event: Event) -> None:
    print(f"log: {event.event_type}")


# --8<-- [end:all]
# --8<-- [start:run]
async def main() -> None:
    await dispatcher.dispatch(OrderShipped(order_id="o1", email="ada@example.com"))
    gift = GiftShipped(order_id="o2", email="ben@example.com", greeting="Enjoy it!")
    await dispatcher.dispatch(gift)
    print(f"{counter.shipped} parcels, {counter.greetings} greeting")


asyncio.run(main())
# --8<-- [end:run]
