"""Who takes part: one module each, with the same function names for the same work.

A contender has only the functions that it can answer for:

- `create_events(n)` makes `n` events of three fields, each with id, time and correlation;
  `create_and_read_events(n)` also reads those three from each event.
- `dispatch(handlers)` and `dispatch_async(handlers)` register the handlers and give back a
  function that dispatches one and the same event to them `n` times.
- `open_shop(books)` stores an inventory for each book and gives back a `Shop`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

Handlers = Sequence[Callable[[Any], None]]
AsyncHandlers = Sequence[Callable[[Any], Awaitable[None]]]
Run = Callable[[int], None]
AsyncRun = Callable[[int], Awaitable[None]]

STOCK = 1_000_000  # copies of each book when a shop opens: more than any run sells


class Shop(NamedTuple):
    """The pipeline: command → handler → Order → event → handler → Inventory, on memory."""

    place_order: Callable[[str, str], object]
    """Processes one command: an order's id, a book's id, one copy."""
    stock: Callable[[str], int]
    """How many copies of a book are left, read from the repository."""
