"""The dispatcher: whom it calls, in which order, and what it does with failures."""

import asyncio
import functools
from collections.abc import Callable, Generator
from typing import Any

import pytest

from happened import Command, ConfigurationError, Dispatcher, Event, handle
from happened.dispatcher import raise_failures
from happened.tracing import current_trace
from tests.unit.attempts import misconfigured


class BookLent(Event):
    book_id: str


class AtlasLent(BookLent):
    maps: int = 1


class BookLost(Event):
    book_id: str


LENT = BookLent(book_id="b1")

Way = Callable[[Dispatcher, Event], None]


def synchronously(dispatcher: Dispatcher, event: Event) -> None:
    dispatcher.dispatch_sync(event)


def asynchronously(dispatcher: Dispatcher, event: Event) -> None:
    asyncio.run(dispatcher.dispatch(event))


both_ways = pytest.mark.parametrize("dispatch", [synchronously, asynchronously])


@both_ways
def test_handlers_are_called_in_the_order_of_their_registration(dispatch: Way) -> None:
    dispatcher, called = Dispatcher(), list[str]()
    for name in "abc":
        dispatcher.on(BookLent)(functools.partial(lambda name, _: called.append(name), name))
    dispatch(dispatcher, LENT)
    dispatch(dispatcher, LENT)
    assert called == ["a", "b", "c"] * 2


@both_ways
def test_a_handler_takes_events_of_its_classes_and_of_their_subclasses(dispatch: Way) -> None:
    dispatcher, called = Dispatcher(), list[tuple[str, str]]()

    def noting(name: str) -> Callable[[Event], None]:
        return lambda event: called.append((name, type(event).__name__))

    dispatcher.on(AtlasLent)(noting("atlas"))
    dispatcher.on(Event)(noting("all"))
    dispatcher.on(BookLent, BookLost)(noting("books"))
    dispatcher.on(BookLent, AtlasLent)(noting("once"))
    for event in (LENT, AtlasLent(book_id="b1"), BookLost(book_id="b1")):
        dispatch(dispatcher, event)
    assert called == [
        *(("all", "BookLent"), ("books", "BookLent"), ("once", "BookLent")),
        *(("atlas", "AtlasLent"), ("all", "AtlasLent"), ("books", "AtlasLent")),
        *(("once", "AtlasLent"), ("all", "BookLost"), ("books", "BookLost")),
    ]


@both_ways
def test_an_event_without_handlers_is_no_mistake(dispatch: Way) -> None:
    dispatch(Dispatcher(), LENT)


@both_ways
def test_a_failure_lets_the_neighbours_run_and_reaches_the_caller_as_it_is(dispatch: Way) -> None:
    dispatcher, called, error = Dispatcher(), list[str](), KeyError("x")

    @dispatcher.on(BookLent)
    def fail(event: BookLent) -> None:
        called.append("fail")
        raise error

    @dispatcher.on(BookLent)
    def succeed(event: BookLent) -> None:
        called.append("succeed")

    with pytest.raises(KeyError) as raised:
        dispatch(dispatcher, LENT)
    assert raised.value is error
    assert called == ["fail", "succeed"]
    assert current_trace.get() is None


@both_ways
def test_several_failures_come_as_a_group_in_their_order(dispatch: Way) -> None:
    dispatcher, errors = Dispatcher(), [KeyError("x"), OSError("y")]
    for error in errors:
        dispatcher.on(BookLent)(functools.partial(_raise, error))
    with pytest.raises(ExceptionGroup, match="2 handlers of BookLent failed") as raised:
        dispatch(dispatcher, LENT)
    assert list(raised.value.exceptions) == errors


def _raise(error: BaseException, _event: object) -> None:
    raise error


@both_ways
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_stops_at_once(dispatch: Way, stop: type[BaseException]) -> None:
    dispatcher, called = Dispatcher(), list[str]()
    dispatcher.on(BookLent)(functools.partial(_raise, KeyError("lost")))
    dispatcher.on(BookLent)(functools.partial(_raise, stop()))
    dispatcher.on(BookLent)(lambda _: called.append("late"))
    with pytest.raises(stop):
        dispatch(dispatcher, LENT)
    assert called == []
    assert current_trace.get() is None


@both_ways
def test_what_registers_while_an_event_is_dispatched_handles_the_next(dispatch: Way) -> None:
    dispatcher, called = Dispatcher(), list[str]()

    @dispatcher.on(BookLent)
    def enlist(event: BookLent) -> None:
        dispatcher.on(BookLent)(lambda _: called.append("new"))

    dispatch(dispatcher, LENT)
    assert called == []
    dispatch(dispatcher, LENT)
    assert called == ["new"]


@both_ways
def test_an_event_dispatched_by_a_handler_is_handled_first(dispatch: Way) -> None:
    dispatcher, called = Dispatcher(), list[str]()

    @dispatcher.on(BookLent)
    def lose(event: BookLent) -> None:
        called.append("lose")
        dispatcher.dispatch_sync(BookLost(book_id=event.book_id))
        called.append("lost")

    @dispatcher.on(BookLost)
    def search(event: BookLost) -> None:
        called.append("search")

    dispatcher.on(BookLent)(lambda _: called.append("next"))
    dispatch(dispatcher, LENT)
    assert called == ["lose", "search", "lost", "next"]


def test_async_handlers_are_awaited_one_after_another() -> None:
    dispatcher, called = Dispatcher(), list[str]()

    @dispatcher.on(BookLent)
    async def slow(event: BookLent) -> None:
        called.append("slow begins")
        await asyncio.sleep(0)
        called.append("slow ends")

    @dispatcher.on(BookLent)
    def plain(event: BookLent) -> None:
        called.append("plain")

    class Later:
        async def __call__(self, event: BookLent) -> None:
            called.append("object")

        @handle(BookLent)
        async def method(self, event: BookLent) -> None:
            called.append("method")

        @handle(BookLent)
        @staticmethod
        async def static(event: BookLent) -> None:
            called.append("static")

    async def named(name: str, event: BookLent) -> None:
        called.append(name)

    @functools.wraps(named)
    def wrapped(event: BookLent) -> Any:
        return named("wrapped", event)

    dispatcher.on(BookLent)(Later())
    dispatcher.register(Later())
    dispatcher.on(BookLent)(functools.partial(named, "partial"))
    dispatcher.on(BookLent)(wrapped)
    dispatcher.on(BookLent)(lambda event: named("lambda", event))
    asyncio.run(dispatcher.dispatch(LENT))
    assert called == [
        *("slow begins", "slow ends", "plain", "object", "method", "static"),
        *("partial", "wrapped", "lambda"),
    ]


def test_a_cancelled_dispatch_stops_and_leaves_no_trace() -> None:
    dispatcher, called = Dispatcher(), list[str]()

    @dispatcher.on(BookLent)
    async def wait(event: BookLent) -> None:
        await asyncio.Event().wait()

    dispatcher.on(BookLent)(lambda _: called.append("late"))

    async def run() -> None:
        task = asyncio.create_task(dispatcher.dispatch(LENT))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert called == []


def test_an_async_handler_cannot_be_called_synchronously_but_its_neighbours_are() -> None:
    dispatcher, called = Dispatcher(), list[str]()

    class Desk:
        @handle(BookLent)
        async def lend(self, event: BookLent) -> None:
            called.append("never")

    dispatcher.register(Desk())
    dispatcher.on(BookLent)(lambda _: called.append("plain"))
    assert misconfigured(dispatcher.dispatch_sync, LENT) == (
        "Desk.lend is async; await dispatcher.dispatch(event) instead",
    )
    assert called == ["plain"]


def test_a_plain_handler_that_returns_a_coroutine_is_async() -> None:
    dispatcher, called = Dispatcher(), list[str]()

    async def named(event: BookLent) -> None:
        called.append("never")

    @dispatcher.on(BookLent)
    def lend(event: BookLent) -> Any:
        return named(event)

    assert misconfigured(dispatcher.dispatch_sync, LENT) == (
        "lend is async; await dispatcher.dispatch(event) instead",
    )
    assert called == []


class Later:
    """What can be awaited, and is no coroutine."""

    def __init__(self, called: list[str]) -> None:
        self.called = called

    def __await__(self) -> Generator[None, None, None]:
        self.called.append("awaited")
        yield from ()


def test_what_can_be_awaited_is_awaited_or_refused() -> None:
    dispatcher, called = Dispatcher(), list[str]()
    dispatcher.on(BookLent)(lambda _: Later(called))
    assert len(misconfigured(dispatcher.dispatch_sync, LENT)) == 1
    assert called == []
    asyncio.run(dispatcher.dispatch(LENT))
    assert called == ["awaited"]


@both_ways
def test_what_a_handler_returns_is_ignored(dispatch: Way) -> None:
    dispatcher = Dispatcher()
    dispatcher.on(BookLent)(lambda _: [1, 2])
    dispatch(dispatcher, LENT)


class Stop(Command):
    reason: str = "x"


@both_ways
@pytest.mark.parametrize("wrong", ["x", BookLent, Stop()], ids=["text", "class", "command"])
def test_only_events_are_dispatched(dispatch: Way, wrong: Any) -> None:
    dispatcher = Dispatcher()
    dispatcher.on(Event)(lambda _: None)
    assert misconfigured(dispatch, dispatcher, wrong) == (
        f"{wrong!r} is not an event; dispatch a subclass of Event",
    )


def test_only_handlers_of_events_are_registered() -> None:
    dispatcher = Dispatcher()
    wrong: Any = Stop

    class Desk:
        @handle("BookLent")
        def lend(self, event: BookLent) -> None: ...

    assert misconfigured(dispatcher.on(wrong), print) == (
        f"print: a dispatcher calls handlers of events; {Stop!r} is not a subclass of Event",
    )
    assert misconfigured(dispatcher.register, Desk()) == (
        "Desk.lend: a dispatcher calls handlers of events; 'BookLent' is not a subclass of Event",
    )
    for none in ((), (print,), ("BookLent",)):
        assert misconfigured(dispatcher.on, *none) == (
            "name the events that the function handles, as @dispatcher.on(InviteSent)",
        )
    assert misconfigured(dispatcher.register, object()) == (
        "object has no handlers; mark its methods with @handle(SomeEvent)",
    )
    assert misconfigured(dispatcher.register, Desk) == (
        "Desk is a class; register an object of it, as dispatcher.register(Desk())",
    )
    dispatcher.dispatch_sync(LENT)


def test_registering_returns_the_function_itself() -> None:
    def lend(event: BookLent) -> None: ...

    assert Dispatcher().on(BookLent)(lend) is lend


def test_two_dispatchers_know_nothing_of_each_other() -> None:
    first, second, called = Dispatcher(), Dispatcher(), list[str]()
    first.on(BookLent)(lambda _: called.append("first"))
    second.on(BookLent)(lambda _: called.append("second"))
    second.dispatch_sync(LENT)
    assert called == ["second"]


def test_one_failure_is_raised_as_it_is_and_none_is_none() -> None:
    error = KeyError("x")
    raise_failures([], "nothing")
    with pytest.raises(KeyError) as raised:
        raise_failures([error], "one")
    assert raised.value is error
    with pytest.raises(ExceptionGroup, match="two") as group:
        raise_failures([error, error], "two")
    assert group.value.exceptions == (error, error)


def test_a_handler_that_is_registered_while_another_thread_looks_is_found_next_time() -> None:
    """That thread has looked through the handlers, and is about to note what it found."""
    dispatcher = Dispatcher()
    seen: list[str] = []

    class Sent(Event): ...

    class Noted(dict[type, Any]):
        def __setitem__(self, kind: type, found: Any) -> None:
            dispatcher.on(Sent)(lambda event: seen.append("late"))
            super().__setitem__(kind, found)

    dispatcher._found = Noted()
    dispatcher.dispatch_sync(Sent())
    assert seen == []
    dispatcher.dispatch_sync(Sent())
    assert seen == ["late"]


def test_a_handler_that_yields_is_refused() -> None:
    """A call would run nothing of it, and nobody would be told."""
    dispatcher = Dispatcher()

    class Desk:
        @handle(Event)
        def note(self, event: Event) -> Any:
            yield event

    async def log(event: Event) -> Any:
        yield event

    for register in (lambda: dispatcher.register(Desk()), lambda: dispatcher.on(Event)(log)):
        with pytest.raises(ConfigurationError, match="yields, so a call would run nothing of it"):
            register()
