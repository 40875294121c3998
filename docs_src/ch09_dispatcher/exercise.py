import asyncio

from happened import Dispatcher, Event, handle


class OrderShipped(Event):
    order_id: str
    email: str


class MailServer:
    """Stands for a mail server that refuses the first mails."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    async def send(self, email: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("the mail server does not answer")
        print(f"mail to {email}")


class Mails:
    def __init__(
        self, server: MailServer, attempts: int = 3, pause: float = 0.01
    ) -> None:
        self.server = server
        self.attempts = attempts
        self.pause = pause  # seconds

    @handle(OrderShipped)
    async def tell_customer(self, event: OrderShipped) -> None:
        for attempt in range(1, self.attempts + 1):
            try:
                await self.server.send(event.email)
                return
            except ConnectionError as error:
                print(f"attempt {attempt}: {error}")
                if attempt == self.attempts:
                    raise
                await asyncio.sleep(self.pause)


async def ship(order_id: str, refusals: int) -> None:
    dispatcher = Dispatcher()
    dispatcher.register(Mails(MailServer(refusals)))
    try:
        await dispatcher.dispatch(
            OrderShipped(order_id=order_id, email="ada@example.com")
        )
    except ConnectionError:
        print(f"no mail was sent for {order_id}")


asyncio.run(ship("o1", refusals=2))
asyncio.run(ship("o2", refusals=3))
