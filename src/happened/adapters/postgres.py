"""Layer 6. Storage on PostgreSQL, through psycopg 3. Its tables stand in postgres.sql."""

# ruff: noqa: S608
# The variable part of its SQL is the schema, whose name was checked, and names that are quoted.

import json
import re
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from happened.adapters.postgres_connections import CREATE, Address, Connections
from happened.adapters.postgres_news import News
from happened.adapters.postgres_query import index_expression
from happened.adapters.postgres_statements import Connection, Row, statement
from happened.adapters.postgres_tables import MESSAGE, Tables, as_delivery, as_message
from happened.adapters.postgres_transaction import PostgresTransaction
from happened.errors import ConfigurationError, StorageError, ValidationError
from happened.faults import at
from happened.query import not_negative, span
from happened.storage import (
    Backlog,
    Checkpoint,
    Collection,
    Delivery,
    DeliveryState,
    StoredMessage,
    StreamSummary,
    another_domain,
    no_text,
)
from happened.streams import PARTITIONS

__all__ = ["SCHEMA_VERSION", "PostgresStorage"]

SCHEMA_VERSION: Final = 1
"""The version of the tables that this release makes and uses."""

_SQL: Final = Path(__file__).with_name("postgres.sql")
_CREATING: Final = 1751216241  # the class of the advisory lock of `create`


class PostgresStorage:
    """Storage on PostgreSQL. Nothing is connected before the first use.

    Args:
        url: ``"postgresql://user@host/database?schema=happened"``. Beside ``schema`` it takes
            ``pool_size`` (10), the number of connections at most, and ``handler_timeout`` (300),
            the seconds that a handler of a subscription may take; all else is for the driver.

    Attributes:
        url: the same without a password.

    Raises:
        ConfigurationError: a parameter is wrong.
        StorageError: from `begin` on, once it is closed.

    Example:
        >>> from happened.adapters.postgres import PostgresStorage
        >>> PostgresStorage("postgresql://me:secret@db/shop").url
        'postgresql://me@db/shop'
    """

    durable = True

    def __init__(self, url: str) -> None:
        address = Address(url)
        self.url = address.url
        self._schema_name = address.schema
        self._tables = Tables(address.schema)
        self._schema = self._tables.schema
        self._domain: str | None = None
        self._connections = Connections(address, self._verify)
        self._closed = False
        self._news = News(self._connections, self._tables.channel)

    # ------------------------------------------------------------------- the tables

    def prepare(self, collections: Sequence[Collection], domain: str | None = None) -> None:
        """See `Storage`."""
        self._domain = domain or self._domain
        for each in collections:
            known = self._tables.collections.get(each.category)
            if known is not None:
                each = Collection(  # noqa: PLW2901
                    each.category,
                    tuple(dict.fromkeys((*known.unique, *each.unique))),
                    each.title or known.title,
                    tuple(dict.fromkeys((*known.indexed, *each.indexed))),
                )
            self._tables.collections[each.category] = each
        self._connections.unverify()

    def create(self) -> list[str]:
        """See `Storage`."""
        done: list[str] = []
        with self._borrowed() as connection:
            try:
                with connection.transaction():
                    connection.execute(
                        "SELECT pg_advisory_xact_lock(%s, hashtext(%s))",
                        (_CREATING, self._schema_name),
                    )
                    done += self._create_tables(connection)
                    self._name(connection)
                    for name, kind, category, field in self._lacking_indexes(connection):
                        self._create_index(connection, name, kind, category, field)
                        done.append(f"created the index {name!r}")
            except psycopg.Error as error:
                raise self._connections.explain(error) from error
        self._connections.unverify()
        return done

    def _create_index(
        self, connection: Connection, name: str, kind: str, category: str, field: str
    ) -> None:
        table = f"{self._schema}.documents"
        unique = ""
        if kind == "unique":
            unique = "UNIQUE "
            connection.execute(statement(f"LOCK TABLE {table} IN SHARE MODE"))
            twice = connection.execute(
                statement(
                    f"SELECT (fields -> %(field)s)::text FROM {table} WHERE category = %(category)s"
                    " AND fields -> %(field)s <> 'null'"
                    " GROUP BY fields -> %(field)s HAVING count(*) > 1 LIMIT 1"
                ),
                {"field": field, "category": category},
            ).fetchone()
            if twice is not None:
                value = json.loads(twice[0])
                text = f"it must be unique, and {value!r} is stored more than once; change one"
                raise ValidationError({field: [text]}, self._tables.title(category))
        quoted = name.replace('"', '""')
        sql = f'CREATE {unique}INDEX "{quoted}" ON {table} {index_expression(category, field)}'
        connection.execute(statement(sql.replace("%%", "%")))

    def _create_tables(self, connection: Connection) -> Iterator[str]:
        version = self._version(connection)
        if version is not None:
            if version > SCHEMA_VERSION:
                raise StorageError(self.url, _newer(version))
            return
        there = connection.execute(
            "SELECT FROM pg_namespace WHERE nspname = %s", (self._schema_name,)
        ).fetchone()
        if there is None:
            connection.execute(statement(f"CREATE SCHEMA {self._schema}"))
            yield f"created the schema {self._schema_name!r}"
        text = _SQL.read_text(encoding="utf-8")
        connection.execute(statement(re.sub(r"\bhappened\.", f"{self._schema}.", text)))
        connection.execute(
            statement(
                f"INSERT INTO {self._schema}.schema_version (version) VALUES ({SCHEMA_VERSION})"
            )
        )
        yield f"created the tables, version {SCHEMA_VERSION}"

    def problems(self) -> list[str]:
        """See `Storage`."""
        with self._borrowed() as connection:
            try:
                version = self._version(connection)
                if version is None:
                    return [f"the tables are not there; {CREATE}"]
                if version > SCHEMA_VERSION:
                    return [_newer(version)]
                self._owner(connection)
                return [
                    f"the index {name!r} is not there; {CREATE}"
                    for name, *_ in self._lacking_indexes(connection)
                ]
            except psycopg.Error as error:
                raise self._connections.explain(error) from error

    @contextmanager
    def _borrowed(self) -> Generator[Connection, None, None]:
        """A connection that need not find any tables."""
        connection = self._connections.take(verified=False)
        try:
            yield connection
        finally:
            self._connections.give(connection)

    def _verify(self, connection: Connection) -> None:
        """Refuse to work on tables that are not as this release and this domain need them."""
        try:
            version = self._version(connection)
            if version is None:
                raise StorageError(self.url, f"the tables are not there; {CREATE}")
            if version > SCHEMA_VERSION:
                raise StorageError(self.url, _newer(version))
            self._name(connection)
            for name, kind, *_ in self._lacking_indexes(connection):
                if kind == "unique":
                    raise StorageError(self.url, f"the index {name!r} is not there; {CREATE}")
        except psycopg.Error as error:
            raise self._connections.explain(error) from error

    def _version(self, connection: Connection) -> int | None:
        """The version of the tables, ``None`` where there are none."""
        name = f"{self._schema}.schema_version"
        row = connection.execute("SELECT to_regclass(%s) IS NULL", (name,)).fetchone()
        if row is None or row[0]:
            return None
        row = connection.execute(statement(f"SELECT version FROM {name}")).fetchone()
        return None if row is None else int(row[0])

    def _name(self, connection: Connection) -> None:
        """Note whose the tables are, if nobody has; refuse those of another domain.

        Of two that do so at once, the second waits for the first, and finds its name.
        """
        if self._domain is None or self._owner(connection) is not None:
            return
        sql = f"UPDATE {self._schema}.schema_version SET domain = %s WHERE domain IS NULL"
        try:
            connection.execute(statement(sql), (self._domain,))
        except UnicodeEncodeError as error:
            raise no_text(error) from error
        self._owner(connection)

    def _owner(self, connection: Connection) -> str | None:
        """The name of the domain whose the tables are, if it is known; refuse those of another."""
        sql = f"SELECT domain FROM {self._schema}.schema_version"
        row = connection.execute(statement(sql)).fetchone()
        found = None if row is None else row[0]
        if self._domain is None or found in (None, self._domain):
            return found
        own = "a schema of its own, with ?schema= in the URL"
        raise another_domain(self.url, found=found, expected=self._domain, place=own)

    def _lacking_indexes(self, connection: Connection) -> list[tuple[str, str, str, str]]:
        wanted = list(self._tables.indexes())
        if not wanted:
            return []
        rows = connection.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename = 'documents'",
            (self._schema_name,),
        ).fetchall()
        there = {name for (name,) in rows}
        return [each for each in dict.fromkeys(wanted) if each[0] not in there]

    # ------------------------------------------------------------------- transactions

    def begin(self, connection: Any = None) -> PostgresTransaction:
        """See `Storage`."""
        if self._closed:
            raise StorageError(self.url, "the storage is closed; init() opens it again")
        if connection is None:
            return PostgresTransaction(self._connections, self._tables, self._news)
        joined = _driver_connection(connection)
        if joined is None:
            raise ConfigurationError(
                f"{self.url} cannot join {connection!r}; it takes an open connection of psycopg, "
                "or a connection or session of SQLAlchemy that uses psycopg; none that is async"
            )
        idle = joined.info.transaction_status == TransactionStatus.IDLE
        if idle and (joined.autocommit or joined is not connection):
            raise ConfigurationError(
                f"{self.url} cannot join a connection that has no transaction, since nothing "
                "would hold its writes together; begin a transaction first"
            )
        self._connections.verify()
        return PostgresTransaction(self._connections, self._tables, self._news, joined)

    # ------------------------------------------------------------------- messages

    def _messages(self, which: str, *parameters: Any, table: str = "") -> list[StoredMessage]:
        """Messages, each with its global position: what has none is numbered, and read again."""
        sql = f"SELECT {MESSAGE} FROM {table or f'{self._schema}.messages'} m {which}"
        while True:
            found = [as_message(row) for row in self._read(sql, *parameters)]
            if all(metadata.global_position is not None for metadata, *_ in found):
                return found
            self._number_all()

    def _read(self, sql: str, *parameters: Any) -> list[Row]:
        return self._connections.read(sql, parameters)

    def read(self, stream: str, start: int = 0, limit: int = 1000) -> list[StoredMessage]:
        """See `Storage`."""
        start, limit = span(start, limit, "read")
        which = "WHERE m.stream = %s AND m.position >= %s ORDER BY m.position LIMIT %s"
        return self._messages(which, stream, start, limit)

    def read_category(
        self, category: str | None, start: int = 0, limit: int = 1000
    ) -> list[StoredMessage]:
        """See `Storage`."""
        start, limit = span(start, limit, "read_category")
        self._number_all()
        if category is None:
            which = "WHERE m.global_position + 0 >= %s ORDER BY m.global_position + 0 LIMIT %s"
            return self._messages(which, start, limit)
        each = (category, start, limit)
        table = self._tables.merged
        return self._messages(
            "ORDER BY m.global_position LIMIT %s", *each * PARTITIONS, limit, table=table
        )

    def find_message(self, stream: str, position: int) -> StoredMessage | None:
        """See `Storage`."""
        which = "WHERE m.stream = %s AND m.position = %s"
        return next(iter(self._messages(which, stream, position)), None)

    def find_message_by_id(self, id: str) -> StoredMessage | None:
        """See `Storage`."""
        return next(iter(self._messages("WHERE m.id = %s", id)), None)

    def streams(
        self, category: str | None = None, after: str = "", limit: int = 1000
    ) -> list[StreamSummary]:
        """See `Storage`."""
        limit = not_negative("limit", limit, "streams")
        rows = self._read(
            "SELECT s.stream, s.messages, m.time FROM ("
            " SELECT stream, count(*) AS messages, max(position) AS position"
            f" FROM {self._schema}.messages"
            " WHERE stream > %s AND (%s::text IS NULL OR category = %s)"
            " GROUP BY stream ORDER BY stream LIMIT %s"
            f") s JOIN {self._schema}.messages m USING (stream, position) ORDER BY s.stream",
            *(after, category, category, limit),
        )
        return [StreamSummary(name, number, last.astimezone(UTC)) for name, number, last in rows]

    def number(self) -> int:
        """See `Storage`."""
        numbered = int(self._read(f"SELECT {self._schema}.number_messages(10000, false)")[0][0])
        at("numbering: done")
        return numbered

    def _number_all(self) -> None:
        self._read(f"SELECT {self._schema}.number_messages(NULL, true)")

    def unnumbered(self) -> Backlog:
        """See `Storage`."""
        return self._backlog(
            f"SELECT count(*), min(time) FROM {self._schema}.messages WHERE global_position IS NULL"
        )

    def _backlog(self, sql: str, *parameters: Any) -> Backlog:
        number, since = self._read(sql, *parameters)[0]
        return Backlog(number, since and since.astimezone(UTC))

    # ------------------------------------------------------------------- subscriptions

    def subscribe(self, subscription: str, *, from_now: bool = False) -> None:
        """See `Storage`."""
        start = "0"
        if from_now:
            self._number_all()
            last = f"SELECT max(global_position + 0) FROM {self._schema}.messages"
            start = f"coalesce(({last} WHERE global_position IS NOT NULL) + 1, 0)"
        self._read(
            f"INSERT INTO {self._schema}.checkpoints (subscription, partition, position)"
            f" SELECT %s, number, {start} FROM generate_series(0, %s - 1) AS number"
            " ON CONFLICT DO NOTHING",
            *(subscription, PARTITIONS),
        )

    def unsubscribe(self, subscription: str) -> None:
        """See `Storage`."""
        self._read(
            f"WITH forgotten AS (DELETE FROM {self._schema}.checkpoints WHERE subscription = %s)"
            f" DELETE FROM {self._schema}.deliveries WHERE subscription = %s",
            *(subscription, subscription),
        )

    def checkpoints(self, subscription: str | None = None) -> list[Checkpoint]:
        """See `Storage`."""
        rows = self._read(
            f"SELECT subscription, partition, position FROM {self._schema}.checkpoints"
            " WHERE %s::text IS NULL OR subscription = %s ORDER BY subscription, partition",
            *(subscription, subscription),
        )
        return [Checkpoint(*row) for row in rows]

    def backlog(self, subscription: str, categories: Sequence[str] | None) -> Backlog:
        """See `Storage`."""
        wanted = None if categories is None else list(categories)
        sql = f"SELECT messages, since FROM {self._schema}.backlog(%s, %s::text[])"
        return self._backlog(sql, subscription, wanted)

    def deliveries(
        self,
        *,
        subscription: str | None = None,
        state: DeliveryState | None = None,
        message_id: str | None = None,
        limit: int = 1000,
    ) -> list[Delivery]:
        """See `Storage`."""
        given = {"subscription": subscription, "state": state, "message_id": message_id}
        known = {name: value for name, value in given.items() if value is not None}
        where = "".join(f" AND {name} = %s" for name in known)
        rows = self._read(
            "SELECT handler, subscription, message_id, stream, position, state, attempts, due,"
            f" error, traceback, blocks FROM {self._schema}.deliveries WHERE true{where}"
            " ORDER BY due, stream, position LIMIT %s",
            *(*known.values(), limit),
        )
        return [as_delivery(row) for row in rows]

    def waiting(self, subscription: str | None = None) -> Counter[DeliveryState]:
        """See `Storage`."""
        where = "" if subscription is None else " WHERE subscription = %s"
        rows = self._read(
            f"SELECT state, count(*) FROM {self._schema}.deliveries{where} GROUP BY state",
            *(() if subscription is None else (subscription,)),
        )
        return Counter(dict(rows))

    # ------------------------------------------------------------------- waiting

    def wait(self, timeout: float) -> bool:
        """See `Storage`."""
        return self._news.wait(timeout)

    def wake(self) -> None:
        """See `Storage`."""
        self._news.wake()

    def close(self) -> None:
        """See `Storage`."""
        self._closed = True
        self._news.close()
        self._connections.close()


def _newer(version: int) -> str:
    return (
        f"its tables have version {version}, made by a newer release; this one knows version "
        f"{SCHEMA_VERSION}; install a newer release of happened"
    )


def _driver_connection(given: Any) -> psycopg.Connection[Any] | None:
    """The driver's connection of what a caller has, SQLAlchemy's objects included."""
    if isinstance(given, psycopg.Connection):
        return given
    found = getattr(given, "connection", None)
    if callable(found):  # a session
        found = getattr(found(), "connection", None)
    elif found is not None and not given.in_transaction():
        found = None if not hasattr(found, "driver_connection") else found
    found = getattr(found, "driver_connection", None)
    return found if isinstance(found, psycopg.Connection) else None
