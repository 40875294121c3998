"""Layer 6. Storage in one SQLite file; it needs the standard library alone."""

# ruff: noqa: S608
# Statements are put together from names and parameters, never from values.

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from happened.adapters.sqlite_file import SQLiteFile
from happened.adapters.sqlite_transaction import (
    DELIVERIES,
    MESSAGES,
    SQLiteTransaction,
    delivery_of,
    message_of,
    moment_of,
)
from happened.errors import ConfigurationError
from happened.query import not_negative, span
from happened.storage import (
    Backlog,
    Checkpoint,
    Collection,
    Delivery,
    DeliveryState,
    StoredMessage,
    StreamSummary,
)
from happened.streams import PARTITIONS

__all__ = ["SQLiteStorage"]

_TIMEOUT: Final = 5.0
# The messages of a category lie in the order of each partition's, so those are merged.
_OF_CATEGORY: Final = (
    f"{MESSAGES}WHERE global_position IN ("
    + " UNION ALL ".join(
        "SELECT * FROM (SELECT global_position FROM happened_messages "
        f"WHERE category = :category AND partition = {number} AND global_position >= :start "
        "ORDER BY global_position LIMIT :limit)"
        for number in range(PARTITIONS)
    )
    + ") ORDER BY global_position LIMIT :limit"
)
_NEXT: Final = "SELECT coalesce(max(global_position) + 1, 0) FROM happened_messages"
_BACKLOG: Final = (
    "SELECT count(*), min(message.timestamp) FROM happened_checkpoints AS place "
    "JOIN happened_messages AS message ON message.partition = place.partition "
    "AND message.global_position >= place.position "
    "WHERE place.subscription = ? AND message.category = ?"
)


class SQLiteStorage:
    """Storage in one SQLite file, opened when it is first used.

    Readers never wait. One transaction writes at a time; the others wait for it. Messages are
    handled by one process at a time, in any number of its threads: as long as one of its
    transactions has claimed a partition, the other processes get none.

    Args:
        url: where it is: ``"sqlite:///relative.db"``, ``"sqlite:////absolute.db"``; with
            ``?synchronous=full`` (the default: a commit survives a power failure) or ``normal``
            (faster; the last commits may be lost in one), and ``?timeout=5``, how long a
            transaction waits for another one that writes, in seconds.

    Raises:
        ConfigurationError: the URL names no file, or has other parameters.

    Example:
        >>> from happened.adapters.sqlite import SQLiteStorage
        >>> SQLiteStorage("sqlite:///shelf.db").durable
        True

    Source:
        https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
    """

    durable = True

    def __init__(self, url: str) -> None:
        self.url = url
        self._file = SQLiteFile(url, *_parts(url))

    # ------------------------------------------------------------------- tables

    def prepare(self, collections: Sequence[Collection], domain: str | None = None) -> None:
        """See `Storage`."""
        self._file.note(collections, domain)
        self._file.create()

    def create(self) -> list[str]:
        """See `Storage`."""
        return self._file.create()

    def problems(self) -> list[str]:
        """See `Storage`."""
        return self._file.problems()

    def close(self) -> None:
        """See `Storage`."""
        self._file.close()

    # ------------------------------------------------------------------- messages

    def begin(self, connection: Any = None) -> SQLiteTransaction:
        """See `Storage`."""
        self._file.check_open()
        if connection is None:
            return SQLiteTransaction(self._file)
        return SQLiteTransaction(self._file, self._joined(connection))

    def read(self, stream: str, start: int = 0, limit: int = 1000) -> list[StoredMessage]:
        """See `Storage`."""
        start, limit = span(start, limit, "read")
        sql = f"{MESSAGES}WHERE stream = ? AND position >= ? ORDER BY position LIMIT ?"
        return list(map(message_of, self._file.rows(sql, (stream, start, limit))))

    def read_category(
        self, category: str | None, start: int = 0, limit: int = 1000
    ) -> list[StoredMessage]:
        """See `Storage`."""
        start, limit = span(start, limit, "read_category")
        if category is None:
            sql = f"{MESSAGES}WHERE global_position >= ? ORDER BY global_position LIMIT ?"
            rows = self._file.rows(sql, (start, limit))
        else:
            parameters = {"category": category, "start": start, "limit": limit}
            rows = self._file.rows(_OF_CATEGORY, parameters)
        return list(map(message_of, rows))

    def find_message(self, stream: str, position: int) -> StoredMessage | None:
        """See `Storage`."""
        return SQLiteTransaction(self._file).find_message(stream, position)

    def find_message_by_id(self, id: str) -> StoredMessage | None:
        """See `Storage`."""
        sql = f"{MESSAGES}WHERE id = ? ORDER BY global_position DESC LIMIT 1"
        rows = self._file.rows(sql, (id,))
        return message_of(rows[0]) if rows else None

    def streams(
        self, category: str | None = None, after: str = "", limit: int = 1000
    ) -> list[StreamSummary]:
        """See `Storage`."""
        limit = not_negative("limit", limit, "streams")
        among = ""
        if category is not None:  # its streams lie between these: '.' follows '-'
            among = "AND stream >= :category AND stream < :category || '.' "
            among += "AND category = :category "
        rows = self._file.rows(
            "SELECT stream, max(position) + 1, timestamp FROM happened_messages "
            f"WHERE stream > :after {among}GROUP BY stream ORDER BY stream LIMIT :limit",
            {"category": category, "after": after, "limit": limit},
        )
        return [StreamSummary(name, messages, moment_of(last)) for name, messages, last in rows]

    def number(self) -> int:
        """See `Storage`."""
        return 0

    def unnumbered(self) -> Backlog:
        """See `Storage`."""
        return Backlog(0, None)

    # ------------------------------------------------------------------- subscriptions

    def subscribe(self, subscription: str, *, from_now: bool = False) -> None:
        """See `Storage`."""
        if len(self.checkpoints(subscription)) == PARTITIONS:
            return
        start = f"({_NEXT})" if from_now else "0"
        self._write(
            (
                f"INSERT OR IGNORE INTO happened_checkpoints SELECT ?, ?, {start}",
                (subscription, number),
            )
            for number in range(PARTITIONS)
        )

    def unsubscribe(self, subscription: str) -> None:
        """See `Storage`."""
        self._write(
            (f"DELETE FROM {table} WHERE subscription = ?", (subscription,))
            for table in ("happened_checkpoints", "happened_deliveries")
        )

    def checkpoints(self, subscription: str | None = None) -> list[Checkpoint]:
        """See `Storage`."""
        rows = self._file.rows(
            "SELECT subscription, partition, position FROM happened_checkpoints "
            "WHERE subscription = coalesce(?, subscription) ORDER BY subscription, partition",
            (subscription,),
        )
        return [Checkpoint(*row) for row in rows]

    def backlog(self, subscription: str, categories: Sequence[str] | None) -> Backlog:
        """See `Storage`."""
        names = SQLiteTransaction(self._file).among(categories)
        found = [self._file.rows(_BACKLOG, (subscription, name))[0] for name in names]
        oldest = min((since for _, since in found if since is not None), default=None)
        return Backlog(
            sum(messages for messages, _ in found),
            None if oldest is None else moment_of(oldest),
        )

    def deliveries(
        self,
        *,
        subscription: str | None = None,
        state: DeliveryState | None = None,
        message_id: str | None = None,
        limit: int = 1000,
    ) -> list[Delivery]:
        """See `Storage`."""
        wanted = {"subscription": subscription, "state": state, "message_id": message_id}
        asked = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = :{name}" for name in asked) or "1"
        rows = self._file.rows(
            f"{DELIVERIES}WHERE {where} ORDER BY due, stream, position LIMIT :limit",
            {**asked, "limit": limit},
        )
        return list(map(delivery_of, rows))

    def waiting(self, subscription: str | None = None) -> Counter[DeliveryState]:
        """See `Storage`."""
        where = "" if subscription is None else " AND subscription = :subscription"
        counting = "SELECT state, count(*) FROM happened_deliveries WHERE state"
        rows = self._file.rows(  # each half has its index
            f"{counting} = 'pending'{where} GROUP BY state UNION ALL "
            f"{counting} <> 'pending'{where} GROUP BY state",
            {"subscription": subscription},
        )
        return Counter(dict(rows))

    def wait(self, timeout: float) -> bool:
        """See `Storage`."""
        return self._file.wait(timeout)

    def wake(self) -> None:
        """See `Storage`."""
        self._file.wake()

    # ------------------------------------------------------------------- inside

    def _write(self, statements: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
        connection = self._file.begin()
        try:
            for sql, parameters in statements:
                self._file.rows(sql, parameters, connection)
            self._file.commit(connection)
        finally:
            try:
                self._file.give(connection)
            finally:
                self._file.writing.release()
        self._file.tell()

    def _joined(self, connection: Any) -> sqlite3.Connection:
        """The driver's connection in what somebody wants to be joined."""
        found = _driver_connection(connection)
        if found is None:
            raise ConfigurationError(
                f"{self.url} takes a connection of sqlite3, or one or a session of SQLAlchemy, "
                f"found {connection!r}"
            )
        begun = None if found is connection else getattr(connection, "in_transaction", None)
        if callable(begun) and not begun():  # SQLAlchemy would not commit what it did not begin
            raise ConfigurationError(
                f"{self.url} cannot join a connection that has no transaction, since nothing "
                "would commit its writes; begin a transaction first"
            )
        self._file.join(found)
        return found


def _parts(url: str) -> tuple[str, str, float]:
    """The path of the file, how it is synchronized, and how long a busy one is waited for."""
    address, _, query = url.partition("?")
    path = address.removeprefix("sqlite://")
    if path in ("", "/", "/:memory:") or not path.startswith("/"):
        raise ConfigurationError(
            f"storage {url!r}: it names no file; use 'sqlite:///relative.db' or "
            "'sqlite:////absolute.db', or 'memory://' for a storage that is gone with the process"
        )
    options = dict(parse_qsl(query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "full")
    if synchronous not in ("full", "normal"):
        raise ConfigurationError(
            f"storage {url!r}: synchronous must be 'full' or 'normal', found {synchronous!r}"
        )
    seconds = options.pop("timeout", str(_TIMEOUT))
    try:
        timeout = float(seconds)
    except ValueError:
        timeout = -1.0
    if not 0 <= timeout <= 86400:
        raise ConfigurationError(
            f"storage {url!r}: timeout must be a number of seconds from 0 to 86400, "
            f"found {seconds!r}"
        )
    if options:
        raise ConfigurationError(
            f"storage {url!r}: unknown parameter {next(iter(options))!r}; there are 'synchronous' "
            "and 'timeout'"
        )
    return os.path.abspath(path[1:]), synchronous, timeout  # noqa: PTH100  the driver takes text


def _driver_connection(given: Any) -> sqlite3.Connection | None:
    """The driver's connection of what a caller has, SQLAlchemy's objects included."""
    if isinstance(given, sqlite3.Connection):
        return given
    pooled = given if hasattr(given, "driver_connection") else getattr(given, "connection", None)
    if callable(pooled):  # a session
        pooled = getattr(pooled(), "connection", None)
    found = getattr(pooled, "driver_connection", None)
    return found if isinstance(found, sqlite3.Connection) else None
