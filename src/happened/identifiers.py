"""Layer 0. Identifiers: unique, and ordered by the time at which they were made."""

import os
import time
from collections.abc import Iterator
from itertools import count

__all__ = ["new_id"]


class _Series:
    """The identifiers of one process: a random start, drawn once, then counted upwards."""

    process: int
    tail: str
    numbers: Iterator[int]
    moment: tuple[int, str]

    def start(self) -> None:
        drawn = int.from_bytes(os.urandom(10), "big")
        rand_a = drawn & 0xFFF
        variant = 0x8000 | (drawn >> 12) & 0x3FFF
        self.tail = f"7{rand_a:03x}-{variant:04x}"
        self.numbers = count((drawn >> 26) & 0x7FFF_FFFF_FFFF)
        self.moment = (-1, "")
        self.process = os.getpid()


_series = _Series()
_series.start()
if hasattr(os, "register_at_fork"):  # a forked child must not repeat its parent's identifiers
    os.register_at_fork(after_in_child=_series.start)


def new_id() -> str:
    """Return a new unique identifier, a UUID of version 7 as text.

    Identifiers sort by the millisecond at which they were made, and within one process and
    millisecond by the order in which they were made. They are unique, not secret: who knows one
    can guess its neighbours.

    Returns:
        36 characters, such as ``"01936a6e-3f70-7a1b-9c2d-0123456789ab"``.

    Example:
        >>> from happened import new_id
        >>> first, second = new_id(), new_id()
        >>> first < second
        True

    Source:
        RFC 9562, section 5.7 (layout) and section 6.2, method 1 (a counter, seeded with random
        bits for each process).
    """
    milliseconds = time.time_ns() // 1_000_000
    moment, prefix = _series.moment
    if milliseconds != moment:
        # Servers that fork past Python, such as uWSGI, need not run what is registered above. To
        # ask for the process takes as long as half of the rest, so it is not asked each time.
        if _series.process != os.getpid():
            _series.start()
        text = f"{milliseconds:012x}"
        prefix = f"{text[:8]}-{text[8:]}-{_series.tail}-"
        _series.moment = (milliseconds, prefix)
    return prefix + "%012x" % next(_series.numbers)  # noqa: UP031 - the fastest way
