"""Who takes part: one module each, with the same function names for the same work.

A contender has only the functions that it can answer for:

- `create_events(n)` makes `n` events of three fields, each with id, time and correlation;
  `create_and_read_events(n)` also reads those three from each event.
- `dispatch(handlers)` and `dispatch_async(handlers)` register the handlers and give back a
  function that dispatches one and the same event to them `n` times.
- `open_shop(books, url)` stores an inventory for each book and gives back a `Shop`.
- `open_backlog(url, events)` stores that many events, each in a stream of its own, for a handler
  that writes a row for each, and gives back a `Backlog`.
- `open_publisher(url)` gives back a `Publisher`, whose events another process handles.
- `open_writers(url)` gives back `Writers`.

A URL names an empty storage, see `benchmarks/places.py`. A contender that does the same in two
ways has two functions, `open_backlog_statements` and `open_backlog_batches`, and is named with the
way behind a colon, `floor_postgres:batches`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

Handlers = Sequence[Callable[[Any], None]]
AsyncHandlers = Sequence[Callable[[Any], Awaitable[None]]]
Run = Callable[[int], None]
AsyncRun = Callable[[int], Awaitable[None]]

STOCK = 1_000_000  # copies of each book when a shop opens: more than any run sells


def nothing() -> None:
    """Closes what need not be closed."""


class Shop(NamedTuple):
    """The pipeline: command → handler → Order → event → handler → Inventory."""

    place_order: Callable[[str, str], object]
    """Processes one command: an order's id, a book's id, one copy."""
    stock: Callable[[str], int]
    """How many copies of a book are left, read from the repository."""
    close: Callable[[], object] = nothing


class Backlog(NamedTuple):
    """Events that are stored, and a handler that has not been called for any of them."""

    handle: Callable[[], float]
    """Has all of them handled; returns after how many seconds the last one was."""
    rows: Callable[[], int]
    """How many different rows the handler has written."""
    close: Callable[[], object] = nothing


class Publisher(NamedTuple):
    """Commits events one by one, and knows the program that handles them."""

    publish: Callable[[], str]
    """Commits one event and returns its id."""
    server: Sequence[str]
    """The command of the other process, which runs until it is told to end; it writes a line to
    the file named in BENCH_HANDLED for each event, after its handler has committed: the event's id
    and `time.perf_counter()`."""
    variables: Mapping[str, str]
    """What that process finds in its environment."""
    close: Callable[[], object] = nothing


class Append(NamedTuple):
    """One writer with a connection of its own."""

    append: Callable[[int, float], None]
    """Inserts a message at a position of the writer's stream, waits so long, commits."""
    close: Callable[[], object] = nothing


class Read(NamedTuple):
    """The reader, with its own connection and checkpoint."""

    read: Callable[[], list[str]]
    """The ids of the next messages; none if there are no more at the moment."""
    close: Callable[[], object] = nothing


class Writers(NamedTuple):
    """Opens writers of one table of messages, and a reader of it."""

    open_writer: Callable[[int], Append]
    open_reader: Callable[[], Read]
