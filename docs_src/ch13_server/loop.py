import asyncio
import time

from happened import Aggregate, Command, Domain, Event, current_domain, handle

shop = Domain("bookshop")


@shop.aggregate
class Order(Aggregate):
    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str


@shop.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str


@shop.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> None:
        order = Order(id=command.order_id)
        order.place()
        current_domain.repository_for(Order).add(order)


# --8<-- [start:handlers]
@shop.on(OrderPlaced)
async def tell_customer(event: OrderPlaced) -> None:
    await asyncio.sleep(0.1)  # as a web service that answers slowly
    print("told the customer of", event.order_id)


@shop.on(OrderPlaced)
def print_slip(event: OrderPlaced) -> None:
    time.sleep(0.1)  # as a printer that knows nothing of event loops
    print("printed the slip of", event.order_id)


# --8<-- [end:handlers]
# --8<-- [start:main]
shop.init()


async def main() -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.005)
            beats += 1

    heart = asyncio.create_task(beat())
    await shop.aprocess(PlaceOrder(order_id="o1"))
    heart.cancel()
    print("the loop went on meanwhile:", beats > 5)


asyncio.run(main())
# --8<-- [end:main]
