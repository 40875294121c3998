"""Layer 6. Which partitions are being worked on, and by whom; a part of the adapter `sqlite`."""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from happened.errors import StorageError

__all__ = ["Partitions", "close_all"]

_POLL: Final = 0.02  # how often another process is asked whether it is done, in seconds
_ASKED: Final = 0.1  # how long that counts, in seconds


class Partitions:
    """Which partitions the transactions of this process hold.

    While there are any, the process has a lock on a second, empty file beside the database, so
    that no other process has any. The operating system ends the lock with the process. Whoever
    waits to hold some says so by the time of that file's last change, which lies ahead then; other
    processes claim nothing more until that time is over, or they would never let go.

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
        self._is_asked, self._look = False, 0.0
        weakref.finalize(self, close_all, self._connections, os.getpid())

    def lock(self, *, politely: bool = True) -> bool:
        """Keep other processes from holding any; return whether that was possible.

        Args:
            politely: whether to let those go first who wait to hold some.

        Raises:
            StorageError: the second file cannot be opened.
        """
        if politely and self._others_wait():
            return False
        if self.locked:
            return True
        try:
            if not self._connections:
                connection = sqlite3.connect(
                    self._path, timeout=0, isolation_level=None, check_same_thread=False
                )
                self._connections.append(connection)
            if not self._connections[0].in_transaction:  # an unlocking that was interrupted
                self._connections[0].execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            raise self._failed(error) from error
        self.locked = True
        return True

    def unlock(self) -> None:
        """Let other processes hold partitions, if no transaction of this one holds any."""
        if not self.held and self._connections and self._connections[0].in_transaction:
            self.locked = False
            self._connections[0].execute("ROLLBACK")

    def _others_wait(self) -> bool:
        now = time.monotonic()
        if now >= self._look:  # not at each claim
            self._look = now + _POLL
            try:
                ahead = Path(self._path).stat().st_mtime - time.time()
            except OSError:  # nobody has locked it yet
                ahead = 0.0
            self._is_asked = 0 < ahead <= _ASKED
        return self._is_asked

    def _ask(self, seconds: float) -> None:
        """Ask other processes to claim nothing more, for so long."""
        until = time.time() + seconds
        with suppress(OSError):  # the file is somebody else's: wait for a moment without claims
            os.utime(self._path, (until, until))

    def hold(self, keys: Sequence[tuple[str, int]], holder: object) -> bool:
        """Wait for partitions, and hold them; return whether that was possible in time.

        Args:
            keys: subscriptions and the numbers of their partitions.
            holder: the transaction that is to hold them.

        Raises:
            StorageError: the second file cannot be opened.
        """
        until = time.monotonic() + self._timeout
        asked = False
        with self.changed:
            try:
                while True:
                    free = all(self.held.get(key, holder) is holder for key in keys)
                    if free and self.lock(politely=False):
                        self.held.update(dict.fromkeys(keys, holder))
                        return True
                    left = until - time.monotonic()
                    if left <= 0:
                        return False
                    if free:
                        self._ask(_ASKED)
                        asked = True
                    self.changed.wait(min(left, _POLL))
            finally:
                if asked:
                    self._ask(0)

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
