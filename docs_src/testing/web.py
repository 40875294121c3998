import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bookshop import Order, PlaceOrder, shop  # type: ignore[import-not-found]
from happened import StorageError


# --8<-- [start:lifespan]
@asynccontextmanager
async def lifespan(app: object) -> AsyncGenerator[None]:
    shop.init()
    yield
    shop.close()


# --8<-- [end:lifespan]
# --8<-- [start:ready]
async def ready() -> tuple[int, list[str]]:
    try:
        problems = list(await asyncio.to_thread(shop.storage.problems))
    except StorageError as error:
        problems = [str(error)]
    return (503 if problems else 200), problems


# --8<-- [end:ready]
async def serve(order_id: str) -> None:
    async with lifespan(
        None
    ):  # what a framework does when it starts, and at its end
        print("ready:", await ready())
        await shop.aprocess(PlaceOrder(order_id=order_id, book_id="emma", copies=1))
        orders = shop.repository_for(Order)
        print("orders in the storage:", await asyncio.to_thread(orders.query.count))


for order_id in ("o1", "o2"):
    asyncio.run(serve(order_id))
