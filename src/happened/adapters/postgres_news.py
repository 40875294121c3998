"""Layer 6. Waiting for commits in PostgreSQL; a part of the adapter `postgres`."""

import os
import threading
import time
from collections.abc import Sequence
from selectors import EVENT_READ, DefaultSelector
from typing import Final

import psycopg

from happened.adapters.postgres_connections import Connections, close_with, is_lost
from happened.adapters.postgres_statements import Connection, statement
from happened.errors import StorageError
from happened.streams import PARTITIONS, category, partition

__all__ = ["News", "told"]

_SLICE: Final = 0.1  # how soon a wait notices a wake, in seconds
_RECONNECT: Final = (0.1, 5.0)  # the first and the longest pause between attempts, in seconds
_PLACES: Final = frozenset(map(str, range(PARTITIONS)))
_LONGEST: Final = 1000  # what is told may have 8,000 bytes


def told(stream: str) -> str:
    """Return what is told of a message: its partition and its category.

    Nothing is told of a long category, nor of one that may have to be encoded: the commit has been
    made, and nothing may be in the way of telling.

    Args:
        stream: the stream that it was written to.

    Example:
        >>> from happened.adapters.postgres_news import told
        >>> told("order-o1")
        '11 order'
    """
    name = category(stream)
    return f"{partition(stream)} {name}" if len(name) < _LONGEST and name.isascii() else ""


class News:
    """Hears of commits, other processes' included; after a fork, through a connection of its own.

    Args:
        connections: make the connection on which one thread listens for all that wait.
        channel: where commits are told.

    Example:
        >>> from happened.adapters.postgres_connections import Address, Connections
        >>> from happened.adapters.postgres_news import News
        >>> connections = Connections(Address("postgresql://db/shop"), lambda connection: None)
        >>> News(connections, "messages shop").wait(0)
        False
    """

    def __init__(self, connections: Connections, channel: str) -> None:
        self._connections = connections
        self._channel = channel
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._wakes = 0
        self._place: tuple[int, str] | None = None
        self._told: dict[str, int] = {}
        self._listening = False
        self._listeners: list[Connection] = []  # one, while somebody waits
        close_with(self, self._listeners)
        self._pause = _RECONNECT[0]

    def wait(self, timeout: float) -> bool:
        """Wait until something is committed, or `wake` is called; whether that is so.

        One thread listens for all that wait; when it has waited enough, another one goes on.

        Args:
            timeout: how long to wait at most, in seconds.

        Raises:
            StorageError: the server refuses to listen.
        """
        if self._process != os.getpid():
            self._start()
        end = time.monotonic() + timeout
        with self._changed:
            wakes = self._wakes
            while self._wakes == wakes:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                if self._listening:
                    self._changed.wait(left)
                    continue
                self._listening = True
                self._changed.release()
                heard = False
                try:
                    heard = self._listen(min(left, _SLICE))
                finally:
                    self._changed.acquire()
                    self._listening = False
                    self._wakes += heard
                    self._changed.notify_all()
            return True

    def _listen(self, timeout: float) -> bool:
        """Whether a commit was told within a time; also true if one may have been missed."""
        try:
            if not self._listeners:
                self._listeners.append(self._connections.connect())
                self._listeners[0].execute(statement(f'LISTEN "{self._channel}"'))
                self._pause = _RECONNECT[0]
                return True
            listener = self._listeners[0].pgconn
            with DefaultSelector() as selector:  # the driver's own wait spins in its last 1 ms
                selector.register(listener.socket, EVENT_READ)
                selector.select(timeout)
            listener.consume_input()
            heard = [notify.extra.decode() for notify in iter(listener.notifies, None)]
            if heard:
                place, _, name = heard[-1].partition(" ")
                self._place = (int(place), name) if place in _PLACES else None
            return bool(heard)
        except psycopg.Error as error:
            if not is_lost(error):
                raise self._connections.explain(error) from error
            self._hang_up()
            return True
        except StorageError:
            time.sleep(min(timeout, self._pause))
            self._pause = min(2 * self._pause, _RECONNECT[1])
            return False

    def _hang_up(self) -> None:
        while self._listeners:
            self._listeners.pop().close()

    def hint(self, subscription: str, categories: Sequence[str] | None) -> int | None:
        """Return the partition of the last commit that was told of, once for each subscription.

        Args:
            subscription: the name of the subscription that looks there.
            categories: what it reads; nothing is returned if the news was of another one.
        """
        known = self._place  # once: another thread may hear of the next one meanwhile
        if known is None or self._told.get(subscription) == self._wakes:
            return None
        self._told[subscription] = self._wakes
        place, name = known
        return place if categories is None or name in categories else None

    def wake(self) -> None:
        """Let all that wait in this process go on."""
        if self._process != os.getpid():
            self._start()
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let all that wait go on, and close the connection unless somebody listens on it."""
        self.wake()
        with self._changed:
            if not self._listening:
                self._hang_up()
