"""Layer 6. A transaction in PostgreSQL: one statement, unless it reads what it locks."""

# ruff: noqa: S608
# The variable part of its SQL is the schema, whose name was checked, and names that are quoted.

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

import psycopg
from psycopg.errors import InvalidSqlStatementName
from psycopg.rows import tuple_row

from happened.adapters.postgres_connections import Connections, is_lost
from happened.adapters.postgres_news import News, told
from happened.adapters.postgres_query import selection
from happened.adapters.postgres_refusals import refusal, unusable
from happened.adapters.postgres_statements import (
    Connection,
    OwnConnection,
    Row,
    fetched,
    run,
    statement,
)
from happened.adapters.postgres_tables import MESSAGE, Tables, as_claim, as_message
from happened.adapters.postgres_writes import Parts, as_json, as_row
from happened.errors import HappenedError, StorageError
from happened.faults import at
from happened.query import Criteria, Page
from happened.storage import Checkpoint, Claim, Document, StoredMessage, no_text
from happened.writes import Writes

__all__ = ["PostgresTransaction"]

_log = logging.getLogger("happened.postgres")
_names = count()

UNKNOWN: Final = "whether the commit was made is not known; look before you repeat it"
ATTEMPTS: Final = 3
NUMBERED: Final = 100
"""How many messages a writer numbers at most, after its commit."""


class PostgresTransaction(Writes):
    """What one unit of work reads and writes.

    Reads run by themselves, and the commit is one statement, a call of ``commit_writes``: nothing
    is locked, and no connection taken, while the caller does other things. A claim, a flush or the
    connection itself begin a transaction in the database, which holds one until its end.

    Args:
        connections: where connections are taken from.
        tables: the tables.
        listener: hears of commits.
        joined: a connection of the caller's own.

    Example:
        >>> from happened.storage import open_storage
        >>> open_storage("postgresql://db/shop").begin().locking
        False
    """

    __slots__ = (
        *("_added", "_claimed", "_connection", "_connections", "_flushes", "_joined"),
        *("_lent", "_listener"),
        *("_mark", "_news", "_schema", "_tables"),
    )

    def __init__(
        self,
        connections: Connections,
        tables: Tables,
        listener: News,
        joined: Connection | None = None,
    ) -> None:
        super().__init__()
        self._listener = listener
        self._connections = connections
        self._tables = tables
        self._schema = tables.schema
        self._joined = joined is not None
        self._mark: str | None = None
        self._flushes = 0
        self._connection: Any = joined  # or, once it has begun, one of the pool
        self._lent = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._news: str | None = None  # what is told after the commit, see `told`
        self._added: set[tuple[str, str]] = set()
        self._claimed: dict[tuple[str, int], Checkpoint] = {}

    # ------------------------------------------------------------------- the connection

    @property
    def connection(self) -> Any:
        """See `Transaction`."""
        self._begin()
        self.flush()
        self._mark_joined()
        self._flushes += 1  # what is done there cannot be undone here
        self._lent = True
        return self._connection

    @property
    def locking(self) -> bool:
        """See `Transaction`.

        The lock of a claimed partition is none that a handler could have to wait for.
        """
        return self._flushes > 0

    def _begin(self, *settings: str) -> None:
        """Begin a transaction in the database, if there is none, with settings of its own."""
        if self._connection is None:
            self._connection, _ = self._connections.begin("; ".join(["BEGIN", *settings]))
        elif settings and not self._joined:
            self._run("; ".join(settings))

    def _run(self, sql: str, parameters: Any = None) -> list[Row]:
        """Run a statement in the transaction that has begun in the database."""
        try:
            cursor = psycopg.Cursor(self._connection, row_factory=tuple_row)
            cursor.execute(statement(sql), parameters)
            return fetched(cursor)
        except psycopg.Error as error:
            raise self._refusal(error) from error
        except UnicodeEncodeError as error:
            raise no_text(error) from error

    def _run_plainly(self, sql: str) -> None:
        """Run a statement of which the driver is not to know, see `run`; joined, it has to."""
        if self._joined:
            self._run(sql)
            return
        try:
            run(self._connection, sql.encode())
        except psycopg.Error as error:
            raise self._refusal(error) from error

    def _read(self, sql: str, parameters: Any = None) -> list[Row]:
        read = self._connections.read if self._connection is None else self._run
        return read(sql, parameters)

    @property
    def _timeout(self) -> str:
        return f"SET LOCAL lock_timeout = '{self._connections.address.handler_timeout}s'"

    # ------------------------------------------------------------------- documents

    def load(self, category: str, id: str) -> Document | None:
        """See `Transaction`."""
        written = self.documents.get((category, id))
        if written is not None:
            return written[0]
        if "\0" in id:
            return None
        rows = self._read(
            f"SELECT version, next_position, data::text FROM {self._schema}.documents"
            " WHERE category = %s AND id = %s AND data IS NOT NULL",
            (category, id),
        )
        for version, next_position, data in rows:
            return Document(id, version, next_position, data.encode())
        return None

    def find(self, category: str, criteria: Criteria) -> Page[Document]:
        """See `Transaction`."""
        own: list[Document] = []
        hidden: list[str] = []
        for (kind, id), (document, _) in self.documents.items():
            if kind == category:
                hidden.append(id)
                if document is not None:
                    own.append(document)
        sql, parameters = selection(self._schema, category, criteria, own, hidden)
        rows = self._read(sql, parameters)
        if not rows and (criteria.offset or criteria.limit is not None):
            counted, parameters = selection(
                self._schema, category, criteria, own, hidden, counting=True
            )
            return Page([], self._read(counted, parameters)[0][0])
        items = [
            Document(id, version, place, data.encode()) for id, version, place, data, _ in rows
        ]
        return Page(items, rows[0][4] if rows else 0)

    def replace(self, category: str, by: str | None) -> None:
        """See `Transaction`."""
        self._begin()
        self.flush()
        self._mark_joined()
        self._flushes += 1
        table = f"{self._schema}.documents"
        self._run(f"DELETE FROM {table} WHERE category = %s", (category,))
        if by is not None:
            self._run(f"DELETE FROM {table} WHERE category = %s AND data IS NULL", (by,))
            self._run(f"UPDATE {table} SET category = %s WHERE category = %s", (category, by))

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
        hint = self._listener.hint(subscription, categories)
        claim = None if hint is None else self._claim_news(subscription, categories, hint, limit)
        if claim is not None:
            return claim
        pending_by = now - timedelta(seconds=grace)
        wanted = None if categories is None else list(categories)
        claiming = self._tables.claiming
        while True:
            given = (subscription, wanted, now, pending_by, limit, hint)
            if self._connection is None:
                self._connection, rows = self._connections.begin("BEGIN", claiming, given)
            else:
                rows = self._run(claiming.plain, given)
            hint = None
            if not rows:
                if not (self._flushes or self._claimed or self._joined or self):
                    self.rollback()
                return None
            claim = as_claim(subscription, rows, now, pending_by)
            if claim is not None:
                self._claimed[subscription, claim.checkpoint.partition] = claim.checkpoint
                return claim

    def _claim_news(
        self, subscription: str, categories: Sequence[str] | None, hint: int, limit: int
    ) -> Claim | None:
        """Claim the partition that news came from, if it can be done in the short way."""
        if categories is None or len(categories) != 1 or not limit or self._connection is not None:
            return None
        given = (subscription, categories[0], hint, limit)
        news = self._tables.claiming_news
        self._connection, rows = self._connections.begin("BEGIN", news, given)
        if not rows:
            return None
        checkpoint = Checkpoint(subscription, hint, rows[0][0])
        self._claimed[subscription, hint] = checkpoint
        return Claim(checkpoint, [], frozenset(), [as_message(row[1:]) for row in rows])

    def read_partition(
        self, claim: Claim, categories: Sequence[str] | None, limit: int
    ) -> list[StoredMessage]:
        """See `Transaction`."""
        checkpoint = claim.checkpoint
        wanted = None if categories is None else list(categories)
        rows = self._read(
            f"SELECT {MESSAGE} FROM {self._schema}.read_partition(%s, %s, %s::text[], %s) AS m",
            (checkpoint.partition, checkpoint.position, wanted, limit),
        )
        return [as_message(row) for row in rows]

    def find_message(self, stream: str, position: int) -> StoredMessage | None:
        """See `Transaction`."""
        which = "WHERE m.stream = %s AND m.position = %s"
        sql = f"SELECT {MESSAGE} FROM {self._schema}.messages m {which}"
        rows = self._read(sql, (stream, position))
        return as_message(rows[0]) if rows else None

    def hold(self, subscription: str) -> list[Checkpoint]:
        """See `Transaction`."""
        self._begin(self._timeout)
        rows = self._run(
            f"SELECT subscription, partition, position FROM {self._schema}.checkpoints"
            " WHERE subscription = %s ORDER BY partition FOR UPDATE",
            (subscription,),
        )
        found = [Checkpoint(*row) for row in rows]
        self._claimed |= {(each.subscription, each.partition): each for each in found}
        return found

    def exclude_writers(self) -> None:
        """See `Transaction`.

        The numbering is kept out first: it changes rows, and must not be caught in between.
        """
        self._begin(self._timeout)
        self._flushes += 1
        table = f"{self._schema}.messages"
        self._run("SELECT pg_advisory_xact_lock(1751216240, %s::regclass::oid::integer)", (table,))
        self._run(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        self._run(f"SELECT {self._schema}.number_messages(NULL, true)")

    # ------------------------------------------------------------------- marks

    def savepoint(self, *, sure: bool = False) -> object:
        """See `Transaction`."""
        name = None
        if sure:
            self._begin()
            self.flush()
            name = f"happened_{next(_names)}"
            self._run_plainly(f"SAVEPOINT {name}")
        kept = (set(self._added), dict(self._claimed), self._news)
        return name, self._flushes, kept, super().savepoint()

    def restore(self, savepoint: object) -> bool:
        """See `Transaction`."""
        given: Any = savepoint
        name, flushes, kept, marks = given
        if name is None and flushes != self._flushes:
            return False
        if name is not None:
            self._run_plainly(f"ROLLBACK TO SAVEPOINT {name}")
            self._flushes = flushes
            self.clear()
        self._added, self._claimed, self._news = set(kept[0]), dict(kept[1]), kept[2]
        return super().restore(marks)

    # ------------------------------------------------------------------- the end

    def flush(self) -> None:
        """See `Transaction`."""
        if self:
            self._begin()
            self._check_status()
            self._mark_joined()
            self._run(self._commit_writes, (self._as_json,))
            self._note_written()
            self.clear()
            self._flushes += 1

    def _mark_joined(self) -> None:
        """Set a mark in somebody else's transaction, to undo what is written from here on."""
        if self._joined and self._mark is None:
            mark = f"happened_{next(_names)}"
            self._run(f"SAVEPOINT {mark}")
            self._mark = mark

    @property
    def _as_json(self) -> str:
        return as_json(self, self._tables.collections, self._claimed, self._added)

    @property
    def _commit_writes(self) -> str:
        return f"SELECT {self._schema}.commit_writes(%s::json)"

    def _note_written(self) -> None:
        for metadata, _, claims in self.messages:
            if not claims:
                known = self._news is None and len(self.messages) == 1
                self._news = told(metadata.stream or "") if known else ""
        for key, (document, expected) in self.documents.items():
            if document is not None and not expected:
                self._added.add(key)
            elif document is None:
                self._added.discard(key)
        self._claimed |= self.checkpoints

    def _check_status(self) -> None:
        """Refuse to go on where a statement of the caller's own failed, or ended everything."""
        reason = unusable(self._connection, begun=not self._joined)
        if reason is not None:
            raise StorageError(self._connections.address.url, reason)

    def commit(self) -> None:
        """See `Transaction`."""
        at("commit: before the writes")
        if self._connection is None:
            if self:
                self._commit_at_once()
            return
        connection = self._connection
        if self and not self._joined and not self._flushes:
            self._write_and_commit(connection)
            return
        self.flush()
        self._check_status()
        at("commit: after the writes")
        if self._joined:
            if self._news is not None:
                self._run("SELECT pg_notify(%s, %s)", (self._tables.channel, self._news))
            if self._mark is not None:
                self._run(f"RELEASE SAVEPOINT {self._mark}")
                self._mark = None
            self._begin_anew()
            return
        try:
            connection.execute("COMMIT")
        except psycopg.Error as error:
            raise self._refusal(error, UNKNOWN) from error
        at("commit: done")
        self._tell(connection)
        self._leave()

    def _write_and_commit(self, connection: OwnConnection) -> None:
        """Write all and commit in one way to the server and back."""
        self._check_status()
        row = as_row(self, self._claimed)
        try:
            if row is None or not self._row_is_committed(connection, row):
                cursor = psycopg.ClientCursor(connection)
                cursor.execute(statement(f"{self._commit_writes}; COMMIT"), (self._as_json,))
        except psycopg.Error as error:
            raise self._refusal(error, UNKNOWN) from error
        self._note_written()
        at("commit: done")
        self._tell(connection)
        self._leave()

    def _row_is_committed(self, connection: OwnConnection, row: Parts) -> bool:
        """Commit what is a row of each at most; if something stands in the way, begin anew."""
        committing, given = self._tables.commit_of(row)
        try:
            self._connections.prepare(connection, committing)
            run(connection, committing.call(connection, given) + b"; COMMIT")
        except (psycopg.Error, UnicodeEncodeError) as error:
            if isinstance(error, psycopg.Error) and is_lost(error):
                raise
            if isinstance(error, InvalidSqlStatementName):
                self._connections.forget(connection, committing)
            run(connection, b"ROLLBACK; BEGIN")
            return False
        return True

    def _commit_at_once(self) -> None:
        """Write all in one statement, which is a transaction by itself."""
        row = as_row(self, self._claimed)
        if row is not None and self._commit_row(row):
            return
        given = self._as_json
        for attempt in count(1):
            connection = self._connections.take()
            try:
                connection.execute(statement(self._commit_writes), (given,))
                self._note_written()
                at("commit: done")
                self._tell(connection)
                break
            except psycopg.Error as error:
                if error.sqlstate not in ("40001", "40P01") or attempt == ATTEMPTS:
                    raise self._refusal(error, UNKNOWN, connection) from error
            finally:
                self._connections.give(connection)
        self.clear()
        self._begin_anew()

    def _commit_row(self, row: Parts) -> bool:
        """Write a document, a message and a settled delivery; whether nothing stood in the way."""
        connection = self._connections.take()
        try:
            self._connections.call(connection, *self._tables.commit_of(row))
            self._note_written()
            at("commit: done")
            self._tell(connection)
        except (psycopg.Error, UnicodeEncodeError) as error:
            if isinstance(error, psycopg.Error) and is_lost(error):
                raise self._refusal(error, UNKNOWN, connection) from error
            return False
        finally:
            self._connections.give(connection)
        self.clear()
        self._begin_anew()
        return True

    def _tell(self, connection: OwnConnection) -> None:
        """Give the messages their global positions, and wake who waits for them.

        After the commit and not within it: before it they have none, and commits that notify wait
        for each other. It does not wait for the disk, nor for others who number. Who is not woken
        looks by himself after a while.
        """
        if self._news is not None:
            try:
                given = (NUMBERED, self._tables.channel, self._news)
                self._connections.call(connection, self._tables.numbering, given)
            except psycopg.Error as error:
                _log.warning("the commit was made, but nobody was told: %s", error)

    def rollback(self) -> None:
        """See `Transaction`."""
        self.clear()
        self._begin_anew()
        if self._joined:
            mark, self._mark = self._mark, None
            if mark is not None:
                self._run(f"ROLLBACK TO SAVEPOINT {mark}")
        elif self._connection is not None:
            try:
                run(self._connection, b"ROLLBACK")
            except psycopg.Error:
                self._connection.close()  # which rolls back, too
            self._leave()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        self._connections.give(connection, lent=self._lent)
        self.clear()
        self._begin_anew()

    # ------------------------------------------------------------------- refusals

    def _refusal(
        self,
        error: psycopg.Error,
        outcome: str = "nothing was written",
        idle: Connection | None = None,
    ) -> HappenedError:
        """What a driver's error means for these writes; more exactly where one can look it up."""
        found = refusal(error, self, self._tables, idle)
        return self._connections.explain(error, outcome) if found is None else found
