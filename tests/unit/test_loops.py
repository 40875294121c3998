"""Where the handlers of a domain run that is used under asyncio."""

import asyncio
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

from happened import (
    Aggregate,
    Command,
    ConfigurationError,
    Domain,
    Event,
    current_domain,
    handle,
)


class Shop:
    """Two commands: the handler of one is a coroutine, that of the other is not."""

    def __init__(self) -> None:
        self.domain = domain = Domain("shop")
        self.seen: list[tuple[str, int]] = []
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.fails: Callable[[], object] = int
        shop = self

        @domain.aggregate
        class Order(Aggregate): ...

        @domain.command(part_of=Order)
        class Place(Command):
            order_id: str

        @domain.command(part_of=Order)
        class Check(Command): ...

        @domain.command_handler(part_of=Order)
        class Orders:
            @handle(Place)
            async def place(self, command: Place) -> str:
                shop.begun.set()
                await shop.gate.wait()
                shop.see("place")
                shop.fails()
                current_domain.repository_for(Order).add(Order(id=command.order_id))
                return command.order_id

            @handle(Check)
            def check(self, command: Check) -> str:
                shop.see("check")
                return "checked"

        domain.init(traverse=False)
        self.Place: Any = Place
        self.Check: Any = Check
        self.orders: Any = domain.repository_for(Order)

    def see(self, handler: str) -> None:
        self.seen.append((handler, threading.get_ident()))


def test_a_coroutine_runs_in_the_loop_and_a_plain_handler_in_a_thread() -> None:
    shop = Shop()
    shop.gate.set()

    async def main() -> list[Any]:
        return [
            await shop.domain.aprocess(each) for each in (shop.Place(order_id="o1"), shop.Check())
        ]

    assert asyncio.run(main()) == ["o1", "checked"]
    (place, loop), (check, thread) = shop.seen
    assert (place, check) == ("place", "check")
    assert loop == threading.get_ident() != thread


def test_the_loop_goes_on_while_a_command_is_processed() -> None:
    shop = Shop()

    async def main() -> None:
        waiting = asyncio.create_task(shop.domain.aprocess(shop.Place(order_id="o1")))
        assert await shop.domain.aprocess(shop.Check()) == "checked"
        assert not waiting.done()
        shop.gate.set()
        assert await waiting == "o1"

    asyncio.run(main())
    assert "o1" in shop.orders


def test_what_a_coroutine_raises_reaches_the_caller_and_nothing_is_stored() -> None:
    shop = Shop()
    shop.gate.set()

    def fails() -> None:
        raise KeyError("boom")

    shop.fails = fails
    with pytest.raises(KeyError, match="boom"):
        asyncio.run(shop.domain.aprocess(shop.Place(order_id="o1")))
    assert "o1" not in shop.orders


def test_a_command_goes_on_when_whoever_waits_for_it_is_cancelled() -> None:
    shop = Shop()

    async def main() -> None:
        waiting = asyncio.create_task(shop.domain.aprocess(shop.Place(order_id="o1")))
        await shop.begun.wait()  # before that, nothing is there that could go on
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert "o1" not in shop.orders
        shop.gate.set()
        async with asyncio.timeout(30):
            while "o1" not in shop.orders:
                await asyncio.sleep(0.001)

    asyncio.run(main())
    assert [handler for handler, _ in shop.seen] == ["place"]


def test_a_call_that_would_stop_its_own_loop_is_refused() -> None:
    shop = Shop()

    async def main() -> None:
        shop.domain.process(shop.Place(order_id="o1"))

    with pytest.raises(ConfigurationError, match=r"aprocess.*to_thread"):
        asyncio.run(main())


def test_what_a_coroutine_has_caught_up_with_in_a_thread_calls_async_handlers() -> None:
    domain = Domain("shop", event_processing="async")
    seen: list[str] = []

    @domain.aggregate
    class Order(Aggregate):
        def place(self) -> None:
            self.raise_(Placed())

    @domain.event(part_of=Order)
    class Placed(Event): ...

    @domain.on(Placed)
    async def tell(event: Placed) -> None:
        seen.append("told")

    domain.init(traverse=False)
    order = Order()
    order.place()

    async def main() -> int:
        domain.repository_for(Order).add(order)
        return await asyncio.to_thread(domain.catch_up)

    assert asyncio.run(main()) == 1
    assert seen == ["told"]
    assert domain.storage.deliveries() == []


class Later:
    """What can be awaited, and is no coroutine."""

    def __await__(self) -> Generator[None, None, str]:
        yield from asyncio.sleep(0).__await__()
        return "later"


class Postponing:
    """A command whose handler returns whatever `answers` does."""

    def __init__(self) -> None:
        self.domain = domain = Domain("shop")
        self.answers: Callable[[], Any] = Later
        shop = self

        @domain.aggregate
        class Order(Aggregate): ...

        @domain.command(part_of=Order)
        class Place(Command): ...

        @domain.command_handler(part_of=Order)
        class Orders:
            @handle(Place)
            def place(self, command: Place) -> Any:
                return shop.answers()

        domain.init(traverse=False)
        self.command: Any = Place()


def test_what_can_be_awaited_is_awaited_though_it_is_no_coroutine() -> None:
    shop = Postponing()
    assert shop.domain.process(shop.command) == "later"
    assert asyncio.run(shop.domain.aprocess(shop.command)) == "later"


def test_a_task_that_a_handler_returns_is_awaited() -> None:
    shop = Postponing()

    async def main() -> Any:
        task = asyncio.create_task(asyncio.sleep(0, "slept"))
        shop.answers = lambda: task
        return await shop.domain.aprocess(shop.command)

    assert asyncio.run(main()) == "slept"


def test_a_task_that_would_stop_its_own_loop_is_refused_and_ends() -> None:
    shop = Postponing()

    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(0, "slept"))
        shop.answers = lambda: task
        with pytest.raises(ConfigurationError, match=r"aprocess.*to_thread"):
            shop.domain.process(shop.command)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
