"""What becomes of coroutines of handlers that are cancelled, or closed before their end."""

import asyncio
import contextvars
from collections.abc import Generator

import pytest

from happened import Aggregate, Command, Dispatcher, Domain, Event, HappenedError, handle
from happened.errors import was_committed
from happened.loops import call_in_thread


class Dust(Command): ...


class BookLost(Event): ...


@pytest.fixture
def shelf() -> Domain:
    """A domain whose one handler cancels itself."""
    domain = Domain("shelf")

    @domain.aggregate
    class Book(Aggregate): ...

    @domain.command(part_of=Book)
    class Clean(Dust): ...

    @domain.command_handler(part_of=Book)
    class Books:
        @handle(Clean)
        async def dust(self, command: Clean) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    domain.init(traverse=False)
    return domain


def clean(shelf: Domain) -> Command:
    kind: type[Command] = shelf.registry.of_kind("command")[0]
    return kind()


def test_a_handler_that_was_cancelled_is_a_failure_and_cancels_nobody_else(shelf: Domain) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:  # a cancelled task would end without a word
            group.create_task(shelf.aprocess(clean(shelf)))

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    (error,) = caught.value.exceptions
    assert isinstance(error, HappenedError)
    assert str(error) == "Books.dust was cancelled"
    assert not was_committed(error)


def test_it_is_the_same_failure_without_a_loop(shelf: Domain) -> None:
    with pytest.raises(HappenedError, match=r"^Books\.dust was cancelled$"):
        shelf.process(clean(shelf))


class Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield


def test_a_dispatch_may_be_closed_in_another_context_than_it_began_in() -> None:
    dispatcher = Dispatcher()

    @dispatcher.on(BookLost)
    async def search(event: BookLost) -> None:
        await Pause()

    begun = dispatcher.dispatch(BookLost())
    contextvars.copy_context().run(begun.send, None)
    begun.close()


def test_a_call_in_a_thread_may_be_closed_in_another_context_than_it_began_in() -> None:
    async def main() -> None:
        begun = call_in_thread(len, "abc")
        contextvars.copy_context().run(begun.send, None)
        begun.close()

    asyncio.run(main())
