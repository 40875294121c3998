"""Handlers: which function or method takes which messages."""

import __future__

import functools
import sys
from collections.abc import Callable
from typing import Any

import pytest

from happened import Aggregate, Domain, Event, handle
from happened.handlers import handler, handlers_in
from tests.unit.attempts import misconfigured


class BookLent(Event):
    book_id: str


class BookReturned(Event):
    book_id: str


LENT = BookLent(book_id="b1")


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


class Desk:
    def __init__(self) -> None:
        self.seen: list[object] = []

    @handle(BookLent)
    def lend(self, event: BookLent) -> object:
        self.seen.append(event)
        return self

    @handle(BookLent, "BookLost")
    def note(self, event: Event) -> object:
        return ("note", event)

    @handle(BookReturned)
    async def take_back(self, event: BookReturned) -> None: ...

    @staticmethod
    @handle(BookLent)
    def outside(event: BookLent) -> object:
        return ("outside", event)

    @handle(BookLent)
    @classmethod
    def of_all(cls, event: BookLent) -> object:
        return (cls, event)

    @logged
    @handle(BookLent)
    def wrapped(self, event: BookLent) -> object:
        return ("wrapped", event)

    def unmarked(self) -> None: ...


def test_marking_returns_the_method_itself() -> None:
    def lend(event: BookLent) -> None: ...

    assert handle(BookLent)(lend) is lend


@pytest.mark.parametrize("owner", [Desk, Desk()], ids=["class", "object"])
def test_every_marked_method_is_a_handler_in_the_order_of_the_body(owner: Any) -> None:
    found = list(handlers_in(owner))
    assert [each.name for each in found] == [
        *("Desk.lend", "Desk.note", "Desk.take_back", "Desk.outside", "Desk.of_all"),
        "Desk.wrapped",
    ]
    assert [each.accepts for each in found] == [
        *((BookLent,), (BookLent, "BookLost"), (BookReturned,), (BookLent,), (BookLent,)),
        (BookLent,),
    ]
    assert [each.is_async for each in found] == [False, False, True, False, False, False]
    _, note, _, outside, of_all, wrapped = (each.call for each in found)
    assert note(LENT) == ("note", LENT)
    assert outside(LENT) == ("outside", LENT)
    assert of_all(LENT) == (Desk, LENT)
    assert wrapped(LENT) == ("wrapped", LENT)


def test_a_class_is_made_anew_for_each_message_and_an_object_stays_one() -> None:
    lend = next(handlers_in(Desk)).call
    first, second = lend(LENT), lend(LENT)
    assert first is not second
    assert (first.seen, second.seen) == ([LENT], [LENT])
    desk = Desk()
    lend = next(handlers_in(desk)).call
    assert lend(LENT) is lend(LENT) is desk
    assert desk.seen == [LENT, LENT]


def test_marks_add_up() -> None:
    class Log:
        @handle(BookLent)
        @handle(BookReturned, BookLent)
        def write(self, event: Event) -> None: ...

    assert [each.accepts for each in handlers_in(Log)] == [(BookLent, BookReturned)]


def test_an_overriding_method_handles_the_same_and_none_nothing() -> None:
    class Branch(Desk):
        def lend(self, event: BookLent) -> object:
            return "branch"

        @handle(BookReturned)
        def note(self, event: Event) -> object: ...

        take_back = None  # type: ignore[assignment]
        outside = None  # type: ignore[assignment]
        of_all = None  # type: ignore[assignment]

        @handle(BookReturned)
        def further(self, event: BookReturned) -> None: ...

    found = {each.name: each for each in handlers_in(Branch)}
    assert list(found) == ["Branch.lend", "Branch.note", "Branch.wrapped", "Branch.further"]
    assert found["Branch.lend"].call(LENT) == "branch"
    assert found["Branch.lend"].accepts == (BookLent,)
    assert found["Branch.note"].accepts == (BookReturned,)


def test_a_method_keeps_the_name_that_it_is_given_and_so_does_one_that_overrides_it() -> None:
    class Stock:
        @handle(BookLent, name="reserve")
        def hold(self, event: BookLent) -> None: ...

        @handle(BookReturned)
        @handle(BookLent, name="put_back")
        @staticmethod
        def shelve(event: Event) -> None: ...

        @logged
        @handle(BookLent, name="count")
        def tally(self, event: BookLent) -> None: ...

    class Branch(Stock):
        def hold(self, event: BookLent) -> None: ...

        @handle(BookLent)
        def tally(self, event: BookLent) -> None: ...

    names = [each.name for each in handlers_in(Stock)]
    assert names == ["Stock.reserve", "Stock.put_back", "Stock.count"]
    names = [each.name for each in handlers_in(Branch())]
    assert names == ["Branch.reserve", "Branch.put_back", "Branch.tally"]


@pytest.mark.parametrize("name", ["", "Stock.reserve", "the stock", 7])
def test_the_name_of_a_method_is_one_word(name: Any) -> None:
    (problem,) = misconfigured(handle, BookLent, name=name)
    assert problem == f"@handle: name={name!r}; the name of a method is one word"


def test_a_method_has_one_name() -> None:
    def hold(self: Any, event: Event) -> None: ...

    marked = handle(BookLent, name="reserve")(hold)
    assert handle(BookReturned, name="reserve")(marked) is hold
    (problem,) = misconfigured(handle(BookReturned, name="keep"), marked)
    assert problem == "@handle: name='keep'; the method has the name 'reserve'"


def test_a_class_without_marks_has_no_handlers() -> None:
    assert list(handlers_in(object)) == []


async def lend_later(desk: str, event: BookLent) -> None: ...


class Caller:
    def __call__(self, event: BookLent) -> None: ...


class AsyncCaller:
    async def __call__(self, event: BookLent) -> None: ...


def local() -> Callable[[BookLent], None]:
    def inner(event: BookLent) -> None: ...

    return inner


@pytest.mark.parametrize(
    "function, name, is_async",
    [
        (print, "print", False),
        (local(), "inner", False),
        (functools.partial(lend_later, "desk"), "lend_later", True),
        (functools.partial(AsyncCaller()), "AsyncCaller", True),
        (Caller(), "Caller", False),
        (AsyncCaller(), "AsyncCaller", True),
        (Desk().lend, "Desk.lend", False),
        (Desk().take_back, "Desk.take_back", True),
        (functools.wraps(lend_later)(lambda event: lend_later("d", event)), "lend_later", False),
    ],
    ids=[
        "builtin",
        "local",
        "partial",
        "partial object",
        "object",
        "async object",
        "method",
        "async method",
        "wrapped",
    ],
)
def test_whatever_can_be_called_is_a_handler(
    function: Callable[[Any], Any], name: str, is_async: bool
) -> None:
    found = handler(function, (BookLent,))
    assert (found.name, found.is_async) == (name, is_async)
    assert found.call is function


def test_what_is_no_message_is_refused() -> None:
    assert misconfigured(handle) == (
        "@handle: name the message class to handle, as @handle(BookAdded)",
    )
    assert misconfigured(handle, int) == (
        "@handle: <class 'int'> is not a message class; give a subclass of Event or Command",
    )
    assert misconfigured(handle, LENT)[0].startswith("@handle: BookLent(book_id='b1') is not a")
    assert misconfigured(handler, print, ())[0].startswith("print: name the message class")


def yielding(event: Event) -> Any:
    yield event


async def yielding_later(event: Event) -> Any:
    yield event


@pytest.mark.parametrize(
    "function",
    [yielding, yielding_later, functools.partial(yielding)],
    ids=["plain", "async", "partial"],
)
def test_a_function_that_yields_would_never_run_and_is_known(function: Any) -> None:
    assert handler(function, (BookLent,)).is_generator


def test_a_method_that_yields_would_never_run_and_is_known() -> None:
    class Desks(Desk):
        def note(self, event: Event) -> Any:
            yield event

    assert [found.name for found in handlers_in(Desks) if found.is_generator] == ["Desks.note"]
    assert not any(found.is_generator for found in handlers_in(Desk))


FOR_TYPES_ALONE = """
def print_slip(event: BookLent) -> Slip: ...

class Desk:
    def __init__(self, printer: Printer = None) -> None: ...

    @handle(BookLent)
    def lend(self, event: BookLent) -> Slip: ...

class Office:
    def __init__(self, printer: Printer) -> None: ...

    @handle(BookLent)
    def lend(self, event: BookLent) -> Slip: ...
"""
# From Python 3.14 on, annotations are evaluated when somebody asks for them, and so as they stand.
AS_TEXT = 0 if sys.version_info >= (3, 14) else __future__.annotations.compiler_flag


def test_annotations_may_name_what_is_imported_for_types_alone() -> None:
    shelf = Domain("shelf")

    @shelf.aggregate
    class Book(Aggregate): ...

    @shelf.event(part_of=Book)
    class BookShelved(Event): ...

    names: dict[str, Any] = {"BookLent": BookShelved, "handle": handle, "__name__": __name__}
    exec(compile(FOR_TYPES_ALONE, "shelf.py", "exec", AS_TEXT, dont_inherit=True), names)
    assert not handler(names["print_slip"], (BookShelved,)).mismatch
    for name in ("Desk", "Office"):
        shelf.event_handler(part_of=Book)(names[name])
    (problem,) = misconfigured(shelf.init)
    assert "event handler Office cannot be made without printer" in problem
