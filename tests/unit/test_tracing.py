"""Tracing: what is made while a message is handled belongs to its chain, wherever it is made."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest

from happened import Command, ConfigurationError, Dispatcher, Event, trace
from happened.tracing import Trace, current_trace


class BookLent(Event):
    book_id: str


class SlipPrinted(Event):
    book_id: str


class SendMail(Command):
    text: str


def test_a_trace_takes_the_origin_of_its_chain_along() -> None:
    with trace("request-17", "m1", "order-7"):
        assert BookLent(book_id="b1")._metadata.origin_stream == "order-7"


@pytest.mark.parametrize("ids", [("",), (None,), (17,), ("request-17", ""), ("request-17", 5)])
def test_an_id_that_is_no_text_begins_no_trace(ids: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"^trace: (correlation|causation)_id="):
        trace(*ids).__enter__()
    assert current_trace.get() is None


def test_messages_of_a_block_belong_to_its_chain() -> None:
    with trace("request-17") as outer:
        event = BookLent(book_id="b1")
        with trace("request-18", "m1") as inner:
            command = SendMail(text="x")
        after = BookLent(book_id="b2")
    alone = BookLent(book_id="b3")
    assert (event.correlation_id, event.causation_id) == ("request-17", None)
    assert (command.correlation_id, command.causation_id) == ("request-18", "m1")
    assert (after.correlation_id, after.causation_id) == ("request-17", None)
    assert (alone.correlation_id, alone.causation_id) == (alone.event_id, None)
    assert (outer, inner) == (Trace(None, "request-17", None), Trace("m1", "request-18", None))


def test_what_is_said_wins_over_what_is_inherited() -> None:
    with trace("request-17", "m1"):
        event = BookLent(book_id="b1", correlation_id="c", causation_id="k")
        half = BookLent(book_id="b1", causation_id="k")
    assert (event.correlation_id, event.causation_id) == ("c", "k")
    assert (half.correlation_id, half.causation_id) == ("request-17", "k")


def test_a_trace_ends_when_its_block_raises() -> None:
    with pytest.raises(KeyError), trace("request-17"):
        raise KeyError
    assert current_trace.get() is None


def test_a_chain_passes_from_handler_to_handler_with_its_origin() -> None:
    dispatcher, chain = Dispatcher(), list[Event]()

    @dispatcher.on(BookLent)
    def print_slip(event: BookLent) -> None:
        chain.append(slip := SlipPrinted(book_id=event.book_id))
        dispatcher.dispatch_sync(slip)
        chain.append(SlipPrinted(book_id="after"))

    @dispatcher.on(SlipPrinted)
    def lend_again(event: SlipPrinted) -> None:
        chain.append(InviteOnly())

    class InviteOnly(Event):
        pass

    first = BookLent(book_id="b1")
    first._place("copy-1", 0)
    dispatcher.dispatch_sync(first)
    slip, invite, after = chain
    assert {event.correlation_id for event in chain} == {first.correlation_id}
    assert [event.causation_id for event in (slip, invite, after)] == [
        *(first.event_id, slip.event_id, first.event_id)
    ]
    assert {event._metadata.origin_stream for event in chain} == {"copy-1"}
    assert current_trace.get() is None


def test_concurrent_tasks_keep_their_chains_apart() -> None:
    dispatcher, made = Dispatcher(), list[SlipPrinted]()
    both = asyncio.Barrier(2)

    @dispatcher.on(BookLent)
    async def print_slip(event: BookLent) -> None:
        await both.wait()
        made.append(SlipPrinted(book_id=event.book_id))
        await asyncio.create_task(another(event.book_id))

    async def another(book_id: str) -> None:
        await both.wait()
        made.append(SlipPrinted(book_id=book_id))

    lent = [BookLent(book_id="b1"), BookLent(book_id="b2")]

    async def run() -> None:
        await asyncio.gather(*map(dispatcher.dispatch, lent))
        made.append(SlipPrinted(book_id="outside"))

    asyncio.run(run())
    causes = {event.book_id: event.event_id for event in lent}
    assert len(made) == 5
    assert made[-1].causation_id is None
    assert all(slip.causation_id == causes[slip.book_id] for slip in made[:-1])


def test_a_thread_of_the_event_loop_inherits_and_a_plain_thread_does_not() -> None:
    dispatcher, made = Dispatcher(), dict[str, SlipPrinted]()

    def make(name: str) -> None:
        made[name] = SlipPrinted(book_id=name)

    @dispatcher.on(BookLent)
    async def print_slips(event: BookLent) -> None:
        await asyncio.to_thread(make, "loop")
        context = copy_context()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(make, "pool").result()
            pool.submit(context.run, make, "copied").result()

    event = BookLent(book_id="b1")
    asyncio.run(dispatcher.dispatch(event))
    assert made["loop"].causation_id == made["copied"].causation_id == event.event_id
    assert made["pool"].causation_id is None


def test_threads_keep_their_chains_apart() -> None:
    start = threading.Barrier(4)

    def make(number: int) -> set[str]:
        with trace(f"request-{number}"):
            start.wait()
            return {BookLent(book_id="b").correlation_id for _ in range(500)}

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(make, range(4))) == [{f"request-{number}"} for number in range(4)]


def test_a_generator_makes_messages_of_the_chain_of_who_asks_for_them() -> None:
    def slips() -> Iterator[SlipPrinted]:
        while True:
            yield SlipPrinted(book_id="b1")

    made = slips()
    with trace("request-1"):
        first = next(made)
    with trace("request-2"):
        second = next(made)
    assert (first.correlation_id, second.correlation_id) == ("request-1", "request-2")
