import asyncio

from happened import Dispatcher, Event, trace


class OrderPlaced(Event):
    order_id: str


class CopiesReserved(Event):
    order_id: str


dispatcher = Dispatcher()


# --8<-- [start:handlers]
@dispatcher.on(OrderPlaced)
async def reserve_copies(event: OrderPlaced) -> None:
    await asyncio.sleep(0)  # the other request goes on meanwhile
    await dispatcher.dispatch(CopiesReserved(order_id=event.order_id))


@dispatcher.on(CopiesReserved)
async def tell_customer(event: CopiesReserved) -> None:
    print(f"order {event.order_id}: {event.correlation_id}")


async def place(order_id: str, request_id: str) -> None:
    with trace(request_id):
        await dispatcher.dispatch(OrderPlaced(order_id=order_id))


async def main() -> None:
    await asyncio.gather(  # (!)
        place("o1", "request-18"), place("o2", "request-19")
    )


# --8<-- [end:handlers]
asyncio.run(main())
