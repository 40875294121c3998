"""Layer 6. Connections to PostgreSQL: the address, a pool, and what its errors mean."""

import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InvalidSqlStatementName
from psycopg.pq import Format, TransactionStatus
from psycopg.rows import tuple_row

from happened.adapters.postgres_statements import (
    Connection,
    OwnConnection,
    Prepared,
    Row,
    fetched,
    run,
    run_prepared,
    statement,
)
from happened.errors import ConfigurationError, HappenedError, StorageError, ValidationError
from happened.storage import no_text

__all__ = ["Address", "Connections", "close_with", "is_lost"]

_SCHEMA: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_PASSWORD: Final = re.compile(r"(?<=//)([^/?@:]*):(?:[^?]*|[^/]*)@")
_PASSWORDS: Final = ("password", "sslpassword")
_ALL_OF_IT: Final = re.compile(r"(?<=//)([^/?@:]*):.*@")
# What stands behind the first ':' is no port, and an '@' comes too late: a password was cut in two.
_CUT: Final = re.compile(r"//[^/?@:]*:[^/?@,]*[^/?@,\d\]][^/?@,]*[/?][^=&]*@")
_ENDED: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})
_ABSENT: Final = frozenset({"3F000", "42P01", "42883"})
_NO_TEXT: Final = frozenset({"22P05", "22021"})
_REFUSED: Final = frozenset({"22P02", "54000"})  # JSON that it does not take; what is too large

# What a connection begins with, whatever its role or database begins with. The numbering relies on
# READ COMMITTED, see postgres.sql.
_SETTINGS: Final = (
    "SET TIME ZONE 'UTC'; SET datestyle = 'ISO'; SET default_transaction_read_only = off; "
    "SET default_transaction_isolation = 'read committed'"
)

_REPORTED: Final = {  # what the server tells of these settings, before release 14 not of the last
    b"client_encoding": (b"UTF8",),
    b"DateStyle": (b"ISO, MDY", b"ISO, DMY", b"ISO, YMD"),
    b"TimeZone": (b"UTC",),
    b"default_transaction_read_only": (b"off", None),
}
_READ: Final = [
    psycopg.postgres.types[name].oid
    for name in ("text", "int2", "int4", "int8", "bool", "timestamptz", "json")
]
"""The types of what is read."""


class Address:
    """What the URL of a storage says.

    Args:
        url: ``"postgresql://user@host/database?schema=happened"``.

    Attributes:
        url: the same without a password.
        conninfo: what the driver is given: all that is not ours.
        schema: where the tables are.
        pool_size: how many connections there are at most.
        handler_timeout: after how many seconds without a statement the database ends a
            transaction that has claimed a partition.

    Raises:
        ConfigurationError: a parameter is wrong.

    Example:
        >>> from happened.adapters.postgres_connections import Address
        >>> Address("postgresql://me:secret@db/shop?schema=books").url
        'postgresql://me@db/shop?schema=books'
    """

    def __init__(self, url: str) -> None:
        self.url = _without_passwords(url)
        base, _, query = url.partition("?")
        options = parse_qsl(query, keep_blank_values=True)
        if base.partition("//")[2].partition("/")[0].count("@") > 1 or _CUT.search(url):
            shown = _ALL_OF_IT.sub(r"\1@", self.url)
            raise ConfigurationError(
                f"storage {shown!r}: write '@', '/' and '?' in the name of a user or a password "
                "as '%40', '%2F' and '%3F'"
            )
        ours = {"schema": "happened", "pool_size": "10", "handler_timeout": "300"}
        rest = [each for each in options if each[0] not in ours]
        ours.update(each for each in options if each[0] in ours)
        self.schema = ours["schema"]
        if not _SCHEMA.fullmatch(self.schema):
            raise self._wrong("schema", self.schema, "letters, digits and '_', at most 63")
        self.pool_size = self._number("pool_size", ours["pool_size"])
        self.handler_timeout = self._number("handler_timeout", ours["handler_timeout"])
        self.conninfo = base + ("?" + urlencode(rest, quote_via=quote) if rest else "")
        try:
            known = conninfo_to_dict(self.conninfo)
        except psycopg.Error as error:
            raise ConfigurationError(f"storage {self.url!r}: {_line(error)}") from error
        self.connect_timeout = str(known.get("connect_timeout", 10))

    def _number(self, name: str, value: str) -> int:
        if not value.isdecimal() or not 0 < int(value) < 1_000_000:
            raise self._wrong(name, value, "a whole number from 1")
        return int(value)

    def _wrong(self, name: str, value: str, expected: str) -> ConfigurationError:
        return ConfigurationError(
            f"storage {self.url!r}: {name}={value!r} does not fit; it takes {expected}"
        )


def _without_passwords(url: str) -> str:
    base, _, query = _PASSWORD.sub(r"\1@", url).partition("?")
    options = parse_qsl(query, keep_blank_values=True)
    shown = [(name, value) for name, value in options if name not in _PASSWORDS]
    if not shown:
        return base
    return f"{base}?{query if shown == options else urlencode(shown, quote_via=quote)}"


def is_lost(error: psycopg.Error) -> bool:
    """Return whether an error means that the connection is of no use any more.

    Args:
        error: the driver's error.

    Example:
        >>> import psycopg
        >>> from happened.adapters.postgres_connections import is_lost
        >>> is_lost(psycopg.OperationalError()), is_lost(psycopg.errors.UniqueViolation())
        (True, False)
    """
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] == "08" or state in _ENDED


class Connections:
    """A pool of connections, made when they are needed; after a fork, a new and empty one.

    A connection is looked at before it is used, which costs no way to the server: one that the
    server has closed meanwhile has its end waiting in the socket. The driver's own pool would
    either ask the server each time, or find out with the first statement, when it may be unknown
    whether that was run; and who waits for a server that is down waits there for half a minute.

    Args:
        address: where the database is.
        verify: called with the first connection, and after each `unverify`; it raises what keeps
            the storage from being used.

    Example:
        >>> from happened.adapters.postgres_connections import Address, Connections
        >>> Connections(Address("postgresql://db/shop"), lambda connection: None).close()
    """

    def __init__(self, address: Address, verify: Callable[[OwnConnection], None]) -> None:
        self.address = address
        self._verify = verify
        self._verified = self._closed = False
        self._inherited: list[Any] = []  # a parent's connections, which a child must not close
        self._start()

    def _start(self) -> None:
        self._idle: list[OwnConnection] = []
        self._inherited.append(self._idle)
        close_with(self, self._idle)
        self._taken = 0
        self._free = threading.Condition()
        self._process = os.getpid()

    def unverify(self) -> None:
        """Have the next connection verified again."""
        self._verified = False

    def verify(self) -> None:
        """See that the storage is fit for use, before a connection of somebody else's uses it.

        Raises:
            StorageError: as for `take`.
        """
        if not self._verified:
            self.give(self.take())

    def connect(self) -> OwnConnection:
        """Return a new connection, which is not of the pool.

        Raises:
            StorageError: the server cannot be reached.
        """
        address = self.address
        try:
            connection = OwnConnection.connect(
                address.conninfo,
                autocommit=True,
                client_encoding="utf8",
                connect_timeout=address.connect_timeout,
                fallback_application_name="happened",
            )
            limit = f"SET idle_in_transaction_session_timeout = '{address.handler_timeout}s'"
            connection.execute(statement(f"{_SETTINGS}; {limit}"))
        except psycopg.Error as error:
            reason = f"the server cannot be reached ({_line(error)})"
            asked = "is it running, and is the URL right?"
            raise StorageError(address.url, f"{reason}; {asked}") from error
        return connection

    def take(
        self, *, verified: bool = True, looked_at: bool = True, within: float = 30.0
    ) -> OwnConnection:
        """Return a connection, for the caller alone until `give`.

        Args:
            verified: whether the storage must be fit for use.
            looked_at: whether one that the server has closed meanwhile is passed over; who would
                repeat the first statement anyway can do without.
            within: how long to wait at most while all are taken, in seconds.

        Raises:
            StorageError: the server cannot be reached, all are taken, or the tables are not fit.
        """
        if self._process != os.getpid():
            self._start()
        connection = self._reserve(time.monotonic() + within)
        try:
            while looked_at and connection is not None and not _is_alive(connection):
                connection.close()
                with self._free:
                    connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self.connect()
            if verified and not self._verified:
                self._verify(connection)
                self._verified = True
        except BaseException:
            self.give(connection)
            raise
        return connection

    def _reserve(self, end: float) -> OwnConnection | None:
        with self._free:
            while self._taken >= self.address.pool_size and not self._closed:
                if not self._free.wait(max(0, end - time.monotonic())) and time.monotonic() >= end:
                    raise StorageError(
                        self.address.url,
                        f"all {self._taken} connections are in use; end transactions sooner, or "
                        "raise pool_size in the URL",
                    )
            if self._closed:
                raise StorageError(self.address.url, "the storage is closed; init() opens it again")
            self._taken += 1
            return self._idle.pop() if self._idle else None

    def give(self, connection: OwnConnection | None, *, lent: bool = False) -> None:
        """Give a connection back, or none if it was lost; one that is not idle is closed.

        Args:
            connection: what `take` returned.
            lent: whether a handler had it: if he left it otherwise than it was, it is closed.
        """
        usable = (
            connection is not None
            and connection.pgconn.transaction_status == TransactionStatus.IDLE
            and not (lent and _is_changed(connection))
        )
        with self._free:
            self._taken -= 1
            if usable and connection is not None and not self._closed:
                connection.row_factory = tuple_row  # whatever a handler has made of it
                self._idle.append(connection)
                connection = None
            self._free.notify()
        if connection is not None:
            connection.close()

    def begin(
        self, sql: str, prepared: Prepared | None = None, parameters: Sequence[Any] = ()
    ) -> tuple[OwnConnection, list[Row]]:
        """Begin a transaction; once more, on another connection, if the first one was lost.

        Args:
            sql: what begins it.
            prepared: a statement to run in it at once.
            parameters: its parameters.

        Returns:
            The connection, and what was found.

        Raises:
            StorageError: the server cannot be reached, or refuses it.
        """
        repeated = False
        while True:
            connection = self.take(looked_at=False)
            try:
                return connection, self._begun(connection, sql.encode(), prepared, parameters)
            except BaseException as error:
                self.give(connection)
                if not isinstance(error, psycopg.Error):
                    raise
                if repeated or not is_lost(error):
                    raise self.explain(error) from error
                repeated = True
                self.drop_idle()

    def _begun(
        self,
        connection: OwnConnection,
        sql: bytes,
        prepared: Prepared | None,
        parameters: Sequence[Any],
    ) -> list[Row]:
        if prepared is None:
            return run(connection, sql)
        return self._attempt(
            connection,
            prepared,
            lambda: run(connection, sql + b"; " + prepared.call(connection, parameters)),
        )

    def _attempt(
        self, connection: OwnConnection, prepared: Prepared, attempt: Callable[[], list[Row]]
    ) -> list[Row]:
        """What one finds with a statement that is prepared; anew if the server had forgotten it."""
        self.prepare(connection, prepared)
        try:
            return attempt()
        except InvalidSqlStatementName:
            self.forget(connection, prepared)
            if connection.pgconn.transaction_status != TransactionStatus.IDLE:
                run(connection, b"ROLLBACK")
            self.prepare(connection, prepared)
            return attempt()

    def prepare(self, connection: OwnConnection, prepared: Prepared) -> None:
        """Have a connection know a statement.

        Args:
            connection: what `take` returned.
            prepared: the statement.

        Raises:
            psycopg.Error: the server refuses it, or cannot be reached.
        """
        known = connection.prepared
        if prepared.name in known:
            return
        # Noted before it is sent: if an interrupt comes in between, the server may know it or not.
        # That it does not is told by `forget`; to prepare it twice would be refused for ever.
        known.add(prepared.name)
        try:
            run(connection, prepared.definition.encode())
        except psycopg.Error:
            known.discard(prepared.name)
            raise

    def forget(self, connection: OwnConnection, prepared: Prepared) -> None:
        """Have a statement prepared anew the next time: the server does not know it any more.

        The driver itself lets the server forget all, after a ``ROLLBACK`` that a handler sent
        through it.

        Args:
            connection: what `take` returned.
            prepared: the statement.
        """
        connection.prepared.discard(prepared.name)

    def call(
        self, connection: OwnConnection, prepared: Prepared, parameters: Sequence[Any]
    ) -> None:
        """Run a prepared statement by itself, outside of a transaction.

        Args:
            connection: what `take` returned.
            prepared: the statement.
            parameters: its parameters.

        Raises:
            psycopg.Error: the server refuses it, or cannot be reached.
            UnicodeEncodeError: a text has half of a surrogate pair.
        """
        self._attempt(connection, prepared, lambda: run_prepared(connection, prepared, parameters))

    def drop_idle(self) -> None:
        """Close all connections that nobody uses: the server has ended one of them."""
        with self._free:
            dropped = self._idle.copy()
            self._idle.clear()
        for connection in dropped:
            connection.close()

    def read(self, sql: str, parameters: Any = None) -> list[Row]:
        """Run a statement that may be run twice; once more if the connection turns out lost.

        Args:
            sql: the statement.
            parameters: its parameters.

        Raises:
            StorageError: the server cannot be reached, or refuses it.
            ValidationError: a parameter has a lone surrogate.
        """
        repeated = False
        while True:
            connection = self.take()
            try:
                cursor = connection.execute(statement(sql), parameters)
                return fetched(cursor)
            except psycopg.Error as error:
                if repeated or not is_lost(error):
                    raise self.explain(error) from error
                repeated = True
                self.drop_idle()
            except UnicodeEncodeError as error:
                raise no_text(error) from error
            finally:
                self.give(connection)

    def explain(self, error: psycopg.Error, outcome: str = "nothing was written") -> HappenedError:
        """Return what the driver's error means.

        Args:
            error: the driver's error.
            outcome: what became of the writes, if the connection broke off.
        """
        url, state = self.address.url, error.sqlstate
        if is_lost(error):
            return StorageError(url, f"the connection broke off; {outcome}")
        if state in _ABSENT:
            return StorageError(url, f"the tables are not there; {CREATE}")
        if state == "55P03":
            seconds = self.address.handler_timeout
            return StorageError(url, f"somebody held what is needed for over {seconds} seconds")
        if state in _NO_TEXT or (state is None and isinstance(error, psycopg.DataError)):
            text = "it has a NUL character, which PostgreSQL cannot store in text; leave it out"
            return ValidationError({"_entity": [text]})
        if state in _REFUSED:
            text = f"PostgreSQL cannot store it: {_line(error)}"
            more = (error.diag.message_detail or "").rstrip(".")
            return ValidationError({"_entity": [f"{text} ({more})" if more else text]})
        return StorageError(url, f"PostgreSQL refused it ({state}: {_line(error)})")

    def close(self) -> None:
        """Close what nobody uses, and what is in use when it is given back."""
        with self._free:
            self._closed = True
            self._free.notify_all()
        if self._process == os.getpid():
            self.drop_idle()


CREATE: Final = "run `happened storage init MODULE:DOMAIN`"


def close_with(owner: object, connections: Sequence[Connection]) -> None:
    """Have connections closed when the object that owns them is gone, and nobody closed it.

    Args:
        owner: the object.
        connections: what it owns; the list may change.

    Example:
        >>> from happened.adapters.postgres_connections import close_with
        >>> close_with(set(), [])
    """
    weakref.finalize(owner, _close_all, connections, os.getpid())


def _close_all(idle: Sequence[Connection], process: int) -> None:
    """Close what nobody can use any more; in a fork, it is the parent's."""
    if process == os.getpid():
        for connection in idle:
            connection.close()


def _is_changed(connection: Connection) -> bool:
    """Whether a connection is otherwise than `Connections.connect` made it."""
    status = connection.pgconn.parameter_status
    own = connection.adapters
    return (
        not connection.autocommit
        or connection.cursor_factory is not psycopg.Cursor
        or any(status(name) not in known for name, known in _REPORTED.items())
        or any(
            own.get_loader(oid, Format.TEXT) is not psycopg.adapters.get_loader(oid, Format.TEXT)
            for oid in _READ
        )
    )


def _is_alive(connection: Connection) -> bool:
    """Whether the server has not ended an idle connection: what it said last is in the socket."""
    try:
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
    except psycopg.Error:
        return False
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def _line(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error).strip()).partition("\n")[0]
