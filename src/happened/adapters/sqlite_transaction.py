"""Layer 6. One transaction on a SQLite file; a part of the adapter `sqlite`."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from happened.adapters.sqlite_file import SQLiteFile
from happened.adapters.sqlite_query import selection
from happened.adapters.sqlite_writes import SQLiteWrites, text_of
from happened.errors import StorageError
from happened.faults import at
from happened.immutable import freeze
from happened.metadata import NO_HEADERS, Metadata
from happened.query import Criteria, Page
from happened.storage import Checkpoint, Claim, Delivery, Document, StoredMessage
from happened.streams import partition
from happened.writes import due_of

__all__ = ["DELIVERIES", "MESSAGES", "SQLiteTransaction", "delivery_of", "message_of", "moment_of"]

MESSAGES: Final = (
    "SELECT id, type, version, timestamp, stream, position, global_position, correlation_id, "
    "causation_id, origin_stream, CAST(headers AS BLOB), CAST(data AS BLOB), "
    "CAST(claims AS BLOB) FROM happened_messages "
)
DELIVERIES: Final = (
    "SELECT handler, subscription, message_id, stream, position, state, attempts, due, error, "
    "traceback, blocks FROM happened_deliveries "
)
_LOAD: Final = (
    "SELECT id, version, next_position, CAST(data AS BLOB) FROM happened_documents "
    "WHERE category = ? AND id = ? AND version > 0"
)
_WAITING: Final = (  # each half has its index
    f"{DELIVERIES}WHERE state = 'pending' AND subscription = ? UNION ALL "
    f"{DELIVERIES}WHERE state IN ('retrying', 'held') AND subscription = ?"
)
_DEAD: Final = (  # of these it matters alone which streams wait behind them, and from where on
    "SELECT stream, min(position) FROM happened_deliveries "
    "WHERE state <> 'pending' AND state = 'dead' AND subscription = ? AND blocks GROUP BY stream"
)
_T = TypeVar("_T")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNREAD: Final = (
    "SELECT partition, position, EXISTS (SELECT 1 FROM happened_messages AS message "
    "WHERE category IN (SELECT value FROM json_each(?)) "
    "AND message.partition = place.partition AND global_position >= place.position) "
    "FROM happened_checkpoints AS place WHERE subscription = ? ORDER BY position, partition"
)
_CATEGORIES: Final = (
    "WITH RECURSIVE known (name) AS (SELECT min(category) FROM happened_messages UNION ALL "
    "SELECT (SELECT min(category) FROM happened_messages WHERE category > name) "
    "FROM known WHERE name IS NOT NULL) SELECT name FROM known WHERE name IS NOT NULL"
)


class SQLiteTransaction(SQLiteWrites):
    """What one unit of work writes, kept aside until its commit.

    Until then it reads one statement at a time, and holds no lock in the file; a transaction of
    SQLite's begins at the commit, or when the connection itself is asked for.

    Args:
        file: where it reads and writes.
        owner: somebody else's connection to do so through; by default one of the file's.
    """

    __slots__ = ("_begun", "_connection", "_has_held", "_marks", "_owner")

    def __init__(self, file: SQLiteFile, owner: sqlite3.Connection | None = None) -> None:
        super().__init__(file)
        self._owner = owner
        self._connection: Any = owner
        if owner is not None:
            self._run = owner.cursor()
            self._run.row_factory = None
        self._begun = self._has_held = False
        self._marks = 0

    @property
    def connection(self) -> sqlite3.Connection:
        """See `Transaction`."""
        try:
            self._begin()
            self._apply()
        except BaseException:
            self.rollback()
            raise
        self._keep_applied()
        if self._run is self._connection:  # its factory of rows may be changed from now on
            self._run = self._connection.cursor()
        return self._connection  # type: ignore[no-any-return]

    @property
    def locking(self) -> bool:
        """See `Transaction`."""
        return self._begun or (self._owner is not None and self._owner.in_transaction)

    # ------------------------------------------------------------------- reading

    def load(self, category: str, id: str) -> Document | None:
        """See `Transaction`."""
        written = self.documents.get((category, id))
        if written is not None:
            return written[0]
        rows = self._rows(_LOAD, (category, id))
        return Document._make(rows[0]) if rows else None

    def find(self, category: str, criteria: Criteria) -> Page[Document]:
        """See `Transaction`."""
        written = [
            [id, each.version, each.next_position, text_of(each.data)] if each else [id, 0, 0, None]
            for (kind, id), (each, _) in self.documents.items()
            if kind == category
        ]
        query = selection(category, criteria, json.dumps(written) if written else None)
        if criteria.limit is None and not criteria.offset:
            rows = self._rows(query.rows, query.parameters)
            return Page([Document._make(row) for row in rows], len(rows))
        if criteria.limit == 0:
            return Page([], self._rows(query.total, query.parameters)[0][0])
        return self._at_once(self._page, query.total, query.rows, query.parameters)

    def _page(self, count: str, rows: str, parameters: dict[str, Any]) -> Page[Document]:
        total = self._rows(count, parameters)[0][0]
        return Page([Document._make(row) for row in self._rows(rows, parameters)], total)

    def _at_once(self, read: Callable[..., _T], *arguments: Any) -> _T:
        """What several statements find in one state of the file, that of the first of them.

        A connection that this transaction has already is left as it is.
        """
        if self._run is not None:
            return read(*arguments)
        connection = self._file.take()
        try:
            connection.execute("BEGIN")
            self._run = connection
            return read(*arguments)
        except sqlite3.Error as error:
            raise self._file.failed(error) from error
        finally:
            self._run = None
            self._file.give(connection)

    # ------------------------------------------------------------------- subscriptions

    def claim(
        self,
        subscription: str,
        categories: Sequence[str] | None,
        now: datetime,
        grace: float = 0.0,
        limit: int = 0,
    ) -> Claim | None:
        """See `Transaction`."""
        arguments = (subscription, categories, now, now - timedelta(seconds=grace))
        if not self._file.partitions.locked and not self._work(*arguments):
            return None  # nothing to do: other processes need not be kept away for that
        return self._at_once(self._claim, limit, *arguments)

    def _claim(
        self,
        limit: int,
        subscription: str,
        categories: Sequence[str] | None,
        now: datetime,
        pending_by: datetime,
    ) -> Claim | None:
        """The partition and its next messages; what is read first is read behind the lock."""
        partitions = self._file.partitions
        with partitions.changed:
            try:
                if not partitions.lock():
                    return None
                claim = self._work(subscription, categories, now, pending_by)
                if claim is None:
                    return None
                key = (subscription, claim.checkpoint.partition)
                self._has_held = True
                partitions.held[key] = self
            finally:
                partitions.unlock()  # if nothing is held
        self._claimed[key] = claim.checkpoint.position
        if claim.due or not limit:
            return claim
        return claim._replace(messages=self._next(claim.checkpoint, categories, limit))

    def _work(
        self,
        subscription: str,
        categories: Sequence[str] | None,
        now: datetime,
        pending_by: datetime,
    ) -> Claim | None:
        """The partition that is the furthest behind, among those that have work and are free."""
        held = self._file.partitions.held
        waiting: defaultdict[int, list[Delivery]] = defaultdict(list)
        for row in self._rows(_WAITING, (subscription, subscription)):
            waiting[partition(row[3])].append(delivery_of(row))
        for stream, place in self._rows(_DEAD, (subscription,)):
            dead = Delivery("", subscription, "", stream, place, "dead", 0, _EPOCH)
            waiting[partition(stream)].append(dead)
        names = json.dumps(self.among(categories))
        for number, position, unread in self._rows(_UNREAD, (names, subscription)):
            if (subscription, number) in held:
                continue
            checkpoint = Checkpoint(subscription, number, position)
            claim = due_of(checkpoint, waiting[number], now, pending_by)
            if unread or claim.due:
                return claim
        return None

    def among(self, categories: Sequence[str] | None) -> list[str]:
        """Return categories; ``None`` stands for all that there are.

        Args:
            categories: those that somebody reads.

        Raises:
            StorageError: the file cannot be read.
        """
        if categories is not None:
            return list(categories)
        return [name for (name,) in self._rows(_CATEGORIES)]

    def read_partition(
        self, claim: Claim, categories: Sequence[str] | None, limit: int
    ) -> list[StoredMessage]:
        """See `Transaction`."""
        return self._at_once(self._next, claim.checkpoint, categories, limit)

    def _next(
        self, checkpoint: Checkpoint, categories: Sequence[str] | None, limit: int
    ) -> list[StoredMessage]:
        """The next messages of a partition, by their positions over all categories."""
        _, number, position = checkpoint
        found: list[StoredMessage] = []
        for category in self.among(categories):
            rows = self._rows(
                f"{MESSAGES}WHERE category = ? AND partition = ? AND global_position >= ? "
                "ORDER BY global_position LIMIT ?",
                (category, number, position, limit),
            )
            found += map(message_of, rows)
        found.sort(key=lambda each: each.metadata.global_position or 0)
        return found[:limit]

    def find_message(self, stream: str, position: int) -> StoredMessage | None:
        """See `Transaction`."""
        rows = self._rows(f"{MESSAGES}WHERE stream = ? AND position = ?", (stream, position))
        return message_of(rows[0]) if rows else None

    def hold(self, subscription: str) -> list[Checkpoint]:
        """See `Transaction`."""
        sql = "SELECT * FROM happened_checkpoints WHERE subscription = ? ORDER BY partition"
        keys = [(subscription, row[1]) for row in self._rows(sql, (subscription,))]
        if keys:
            self._has_held = True
            if not self._file.partitions.hold(keys, self):
                who = "another process has been handling messages"
                if self._file.partitions.locked:
                    who = f"this process has been handling messages of {subscription}"
                raise StorageError(
                    self._file.url,
                    f"{who} for {self._file.timeout:g} seconds without a pause; wait longer with "
                    "?timeout= in the URL, or stop the servers, and repeat it",
                )
        checkpoints = [Checkpoint(*row) for row in self._rows(sql, (subscription,))]
        for _, number, position in checkpoints:
            self._claimed[subscription, number] = position
        return checkpoints

    def exclude_writers(self) -> None:
        """See `Transaction`."""
        self._begin()

    def replace(self, category: str, by: str | None) -> None:
        """See `Transaction`."""
        self._replaced.append((category, by))

    # ------------------------------------------------------------------- marks and the end

    def savepoint(self, *, sure: bool = False) -> object:
        """See `Transaction`."""
        name = None
        if self._begun:
            self._marks += 1
            name = f"happened_{self._marks}"
            self._execute(f"SAVEPOINT {name}")
        kept = (dict(self._before), dict(self._claimed), list(self._replaced))
        return (super().savepoint(), kept, name)

    def restore(self, savepoint: object) -> bool:
        """See `Transaction`."""
        mark: Any = savepoint
        writes, kept, name = mark
        if name is not None:
            self._execute(f"ROLLBACK TO {name}")
        elif self._begun:
            self._undo()
        super().restore(writes)
        before, claimed, replaced = kept
        self._before, self._replaced = dict(before), list(replaced)
        self._claimed |= claimed
        return True

    def flush(self) -> None:
        """See `Transaction`.

        It is tried and undone: to keep it would keep the file locked while handlers run.
        """
        if not self and not self._replaced:
            return
        mark = self.savepoint()
        had_begun = self._begun
        try:
            self._begin()
            self._apply()
        finally:
            if had_begun:
                self.restore(mark)
            elif self._begun:
                self._undo()

    def commit(self) -> None:
        """See `Transaction`."""
        if self or self._replaced or self._begun:
            try:
                at("commit: before the writes")
                self._begin()
                self._apply()
                at("commit: after the writes")
                self._end()
            except BaseException:
                self.rollback()
                raise
            at("commit: done")
        self.rollback()

    def rollback(self) -> None:
        """See `Transaction`."""
        try:
            if self._begun:
                self._undo()
        finally:
            self._forget()
            if self._has_held:
                self._file.partitions.release(self)
                self._has_held = False

    def _begin(self) -> None:
        if self._begun:
            return
        if self._owner is None:
            self._run = self._connection = self._file.begin()
        else:
            if not self._owner.in_transaction:
                self._execute("BEGIN IMMEDIATE")
            self._execute("SAVEPOINT happened")
        self._begun = True

    def _end(self) -> None:
        if self._owner is None:
            self._file.commit(self._connection)
            self._give()
            self._file.tell()
        else:
            self._execute("RELEASE happened")
            self._begun = False

    def _undo(self) -> None:
        if self._owner is None:
            self._give()
            return
        self._begun = False
        if self._owner.in_transaction:
            self._execute("ROLLBACK TO happened")
            self._execute("RELEASE happened")

    def _give(self) -> None:
        """Give the connection back, once; what was not committed is forgotten."""
        connection, run = self._connection, self._run
        self._run = self._connection = None
        try:
            if run is not connection:  # somebody else had it, and may have set its factories
                connection.row_factory = None
                connection.text_factory = str
            if connection is not None:
                self._file.give(connection)
        finally:
            self._begun = False  # no interrupt can come between this and the release
            self._file.writing.release()


def message_of(row: tuple[Any, ...]) -> StoredMessage:
    """Return a message as it was read from the database.

    If its row was damaged, it has no data: nobody can make an object of it, and those who handle
    messages put it aside instead of stopping.

    Args:
        row: what `MESSAGES` selects.
    """
    headers, data, claims = row[10:]
    try:
        mapping = NO_HEADERS if headers == b"{}" else freeze(json.loads(headers))
        names = () if claims == b"[]" else tuple(json.loads(claims))
        moment = datetime.fromisoformat(row[3])
    except (TypeError, ValueError):
        return _damaged(row)
    if not isinstance(mapping, dict) or moment.tzinfo is None:
        return _damaged(row)
    return StoredMessage(Metadata._make((*row[:3], moment, *row[4:10], mapping)), data, names)


def _damaged(row: tuple[Any, ...]) -> StoredMessage:
    metadata = Metadata._make((*row[:3], moment_of(row[3]), *row[4:10], NO_HEADERS))
    return StoredMessage(metadata, b"")


def moment_of(text: object) -> datetime:
    """Return a moment as it was read from the database; of a damaged one, the year 1970.

    Args:
        text: what stands in the row.
    """
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return _EPOCH
    return moment.astimezone(UTC) if moment.tzinfo else _EPOCH


def delivery_of(row: tuple[Any, ...]) -> Delivery:
    """Return a delivery as it was read from the database.

    Args:
        row: what `DELIVERIES` selects.
    """
    return Delivery._make((*row[:7], moment_of(row[7]), *row[8:10], bool(row[10])))
