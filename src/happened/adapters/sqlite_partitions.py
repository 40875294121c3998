"""Layer 6. Which partitions are being worked on, and by whom; a part of the adapter `sqlite`."""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Final

from happened.errors import StorageError

__all__ = ["Partitions", "close_all"]

_POLL: Final = 0.02  # how often another process is asked whether it is done, in seconds


class Partitions:
    """Which partitions the transactions of this process hold.

    While there are any, the process has a lock on a second, empty file beside the database, so
    that no other process has any. The operating system ends the lock with the process.

    Args:
        path: where the database is.
        timeout: how long to wait for others, in seconds.
        failed: says what a failure of the driver means.

    Attributes:
        changed: whoever uses the others holds its lock.
        held: which transaction holds a partition of a subscription.
        locked: whether this process has the lock on the second file.
    """

    def __init__(
        self, path: str, timeout: float, failed: Callable[[sqlite3.Error], StorageError]
    ) -> None:
        self.changed = threading.Condition()
        self.held: dict[tuple[str, int], object] = {}
        self.locked = False
        self._path = f"{path}-server"
        self._timeout = timeout
        self._failed = failed
        self._connections: list[sqlite3.Connection] = []  # one, once there was something to lock
        weakref.finalize(self, close_all, self._connections, os.getpid())

    def lock(self) -> bool:
        """Keep other processes from holding any; return whether that was possible.

        Raises:
            StorageError: the second file cannot be opened.
        """
        if self.locked:
            return True
        try:
            if not self._connections:
                connection = sqlite3.connect(
                    self._path, timeout=0, isolation_level=None, check_same_thread=False
                )
                self._connections.append(connection)
            self._connections[0].execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            raise self._failed(error) from error
        self.locked = True
        return True

    def unlock(self) -> None:
        """Let other processes hold partitions, if no transaction of this one holds any."""
        if self.locked and not self.held and self._connections:
            self._connections[0].execute("ROLLBACK")
            self.locked = False

    def hold(self, keys: Sequence[tuple[str, int]], holder: object) -> bool:
        """Wait for partitions, and hold them; return whether that was possible in time.

        Args:
            keys: subscriptions and the numbers of their partitions.
            holder: the transaction that is to hold them.

        Raises:
            StorageError: the second file cannot be opened.
        """
        until = time.monotonic() + self._timeout
        with self.changed:
            while True:
                free = all(self.held.get(key, holder) is holder for key in keys)
                if free and self.lock():
                    self.held.update(dict.fromkeys(keys, holder))
                    return True
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(min(left, _POLL))

    def release(self, holder: object) -> None:
        """Release all that a transaction holds.

        Args:
            holder: the transaction.
        """
        with self.changed:
            for key in [key for key, other in self.held.items() if other is holder]:
                del self.held[key]
            self.unlock()
            self.changed.notify_all()

    def close(self) -> None:
        """Release everything."""
        with self.changed:
            self.held.clear()
            self.locked = False
            close_all(self._connections, os.getpid())
            self.changed.notify_all()


def close_all(connections: list[sqlite3.Connection], process: int) -> None:
    """Close connections, and empty the list; in a fork, they are the parent's, and stay open.

    Args:
        connections: the connections.
        process: the process that opened them.

    Example:
        >>> import os
        >>> from happened.adapters.sqlite_partitions import close_all
        >>> close_all([], os.getpid())
    """
    if process == os.getpid():
        while connections:
            connections.pop().close()
