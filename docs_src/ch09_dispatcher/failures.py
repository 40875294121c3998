import asyncio

from happened import Dispatcher, Event


class OrderShipped(Event):
    order_id: str


dispatcher = Dispatcher()


# --8<-- [start:handlers]
@dispatcher.on(OrderShipped)
def print_label(event: OrderShipped) -> None:
    raise RuntimeError("the printer is out of paper")


@dispatcher.on(OrderShipped)
async def tell_customer(event: OrderShipped) -> None:
    raise ConnectionError("the mail server does not answer")


@dispatcher.on(OrderShipped)
def write_log(event: OrderShipped) -> None:
    print(f"log: {event.order_id} was shipped")


# --8<-- [end:handlers]
# --8<-- [start:run]
async def main() -> None:
    try:
        await dispatcher.dispatch(OrderShipped(order_id="o1"))
    except* ConnectionError as group:  # (!)
        print("to be sent again:", *group.exceptions)
    except* RuntimeError as group:
        print("somebody must look:", *group.exceptions)


asyncio.run(main())
# --8<-- [end:run]
