"""Layer 6. One SQLite file: its connections, its tables and its errors; a part of `sqlite`."""

# ruff: noqa: S608
# Statements are put together from names and parameters, never from values.

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from happened.adapters.sqlite_partitions import Partitions, close_all
from happened.adapters.sqlite_query import add_functions, field_value, literal, unique_terms
from happened.errors import ConfigurationError, StorageError, ValidationError
from happened.storage import Collection, another_domain, no_text

__all__ = ["VERSION", "SQLiteFile"]

VERSION: Final = 1
"""The version of the tables in ``sqlite.sql``."""

_POLL: Final = 0.02  # how often changes of other processes are looked for, in seconds
_UNIQUE, _INDEX = "happened_unique:", "happened_index:"

_REASONS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; make room, and repeat what failed",
    sqlite3.SQLITE_READONLY: "it cannot be written; check the permissions of the file, and of its "
    "folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its folder exists, and its "
    "permissions",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database; check the path",
    sqlite3.SQLITE_IOERR: "the file cannot be read or written; check the disk",
}


class SQLiteFile:
    """One SQLite file, opened when it is first used.

    Args:
        url: its URL, for errors.
        path: where it is.
        synchronous: ``"full"`` or ``"normal"``.
        timeout: how long to wait for another writer, in seconds.

    Attributes:
        url: its URL.
        path: where it is.
        timeout: how long to wait for another writer, in seconds.
        partitions: which partitions the transactions of this process hold.
        writing: the lock of the one transaction of this process that may write.
    """

    def __init__(self, url: str, path: str, synchronous: str, timeout: float) -> None:
        self.url = url
        self.path = path
        self.timeout = timeout
        self._synchronous = synchronous
        self._wanted: dict[str, dict[str, str]] = {}
        self.reusable: set[str] = set()
        self._titles: dict[str, str] = {}
        self._domain: str | None = None
        self._closed = False
        self._left: list[Any] = []
        self._renew()

    def _renew(self) -> None:
        """Begin with no connections and no locks: at first, and in a process that was forked."""
        self._pid = os.getpid()
        self._ready = False
        self._opening = threading.RLock()
        self.writing = threading.Lock()
        self._changed = threading.Condition()
        self._waiting = 0  # how many threads wait for changes
        self._wakes = 0
        self._seen = threading.local()
        self._watches: list[sqlite3.Connection] = []  # one, once somebody waited
        self._free: list[sqlite3.Connection] = []
        self.partitions = Partitions(self.path, self.timeout, self.failed)
        weakref.finalize(self, close_all, self._free, self._pid)
        weakref.finalize(self, close_all, self._watches, self._pid)

    # ------------------------------------------------------------------- connections

    def check_open(self) -> None:
        """Refuse to go on after the storage was closed; after a fork, begin anew.

        Raises:
            StorageError: it was closed.
        """
        if self._pid != os.getpid():
            # To close a connection of the process that forked would end that one's locks.
            self._left += [self._free, self._watches, self.partitions]
            self._renew()
        if self._closed:
            raise StorageError(self.url, "the storage is closed; init() opens it again")

    def join(self, connection: sqlite3.Connection) -> None:
        """Make somebody else's connection fit to be used.

        Args:
            connection: an open one.

        Raises:
            ConfigurationError: it is one to another file.
            StorageError: the file cannot be opened, or the connection is closed.
        """
        if not self._ready:
            self.create()
        try:
            rows = connection.execute("PRAGMA database_list").fetchall()
            main = next(row[2] for row in map(tuple, rows) if row[1] == "main")
            if not main or not Path(main).samefile(self.path):
                raise ConfigurationError(
                    f"{self.url} was given a connection to {main or 'a database in memory'}; "
                    f"give it one to {self.path}"
                )
            add_functions(connection)
        except sqlite3.Error as error:
            raise self.failed(error) from error

    def take(self) -> sqlite3.Connection:
        """Return a connection that nobody else uses until it is given back.

        Raises:
            StorageError: the file cannot be opened, or the storage is closed.
        """
        if self._closed or self._pid != os.getpid():
            self.check_open()
        if not self._ready:
            self.create()
        try:
            return self._free.pop()
        except IndexError:
            return self._open()

    def give(self, connection: sqlite3.Connection) -> None:
        """Take a connection back; what its transaction has not committed is forgotten.

        Args:
            connection: one that `take` has returned; it is given up if it does not work any more.
        """
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()
            return
        if self._closed:
            connection.close()
        else:
            self._free.append(connection)

    def rows(
        self,
        sql: str,
        parameters: Sequence[Any] | dict[str, Any] = (),
        connection: sqlite3.Connection | sqlite3.Cursor | None = None,
    ) -> list[Any]:
        """Return what a statement finds.

        Args:
            sql: the statement.
            parameters: its parameters.
            connection: what to run it on; by default a connection of its own.

        Raises:
            StorageError: the file cannot be read.
            ValidationError: a parameter has a lone surrogate.
        """
        used = self.take() if connection is None else connection
        try:
            try:
                return used.execute(sql, parameters).fetchall()
            except sqlite3.OperationalError as error:
                if hasattr(error, "sqlite_errorcode"):
                    raise
                return _damaged_rows(used, sql, parameters)  # the driver could not decode a text
        except sqlite3.Error as error:
            raise self.failed(error) from error
        except UnicodeEncodeError as error:
            raise no_text(error) from error
        finally:
            if connection is None and isinstance(used, sqlite3.Connection):
                self.give(used)

    def begin(self) -> sqlite3.Connection:
        """Return a connection in a transaction that may write; no other may meanwhile.

        Whoever gets it gives it back, and releases `writing` then.

        Raises:
            StorageError: another was writing for too long, or the file cannot be opened.
        """
        connection = self.take()
        if not self.writing.acquire(timeout=self.timeout):
            self.give(connection)
            raise StorageError(self.url, self._busy("a transaction of this process"))
        try:
            connection.execute("BEGIN IMMEDIATE")
        except BaseException as error:  # an interrupt may come when it has begun already
            try:
                self.give(connection)
            finally:
                self.writing.release()
            if isinstance(error, sqlite3.Error):
                raise self.failed(error) from error
            raise
        return connection

    def commit(self, connection: sqlite3.Connection) -> None:
        """Keep what a transaction wrote.

        Args:
            connection: its connection, which has still to be given back.

        Raises:
            StorageError: it could not be written.
        """
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self.failed(error) from error

    def failed(self, error: sqlite3.Error) -> StorageError:
        """Return what a failure of the driver means.

        Args:
            error: what it raised.
        """
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StorageError(self.url, self._busy("another process"))
        return StorageError(self.url, _REASONS.get(code, f"SQLite refused it: {error}"))

    def _busy(self, who: str) -> str:
        return (
            f"{who} has been writing for {self.timeout:g} seconds; end it sooner, or wait longer "
            "with ?timeout= in the URL"
        )

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self.path,
                timeout=self.timeout,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
        except sqlite3.Error as error:
            raise self.failed(error) from error
        try:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._use_wal(connection)
            add_functions(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise self.failed(error) from error
            raise
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Let readers and a writer work at once. Whoever does this alone cannot be waited for."""
        until = time.monotonic() + self.timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode = wal")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or (
                    time.monotonic() > until
                ):
                    raise
                time.sleep(_POLL)
            else:
                return

    def close(self) -> None:
        """Close all connections; those in use are closed when they are given back."""
        self._closed = True
        if self._pid == os.getpid():
            self.partitions.close()
            close_all(self._watches, self._pid)
            close_all(self._free, self._pid)
        self.wake()

    # ------------------------------------------------------------------- tables and indexes

    def note(self, collections: Iterable[Collection], domain: str | None = None) -> None:
        """Take note of the indexes that collections need, and of whose they are.

        Args:
            collections: the collections of a domain.
            domain: its name, if it has to be that of the tables.
        """
        self._domain = domain or self._domain
        for each in collections:
            if each.reusable:
                self.reusable.add(each.category)
            self._titles[each.category] = each.title or each.category
            self._wanted[each.category] = {
                **{f"{_INDEX}{each.category}:{field}": field for field in each.indexed},
                **{f"{_UNIQUE}{each.category}:{field}": field for field in each.unique},
            }
        self._ready = False

    def title(self, category: str) -> str:
        """Return the name of the class whose documents a category holds.

        Args:
            category: the category.
        """
        return self._titles.get(category, category)

    def unique_fields(
        self, category: str, connection: sqlite3.Connection | sqlite3.Cursor
    ) -> list[str]:
        """Return the fields of a category whose values are unique, other processes' included.

        Args:
            category: the category.
            connection: what to ask.
        """
        prefix = f"{_UNIQUE}{category}:"
        names = self._indexes(connection)
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

    def create(self) -> list[str]:
        """Make what is missing, and return what was made, a line each.

        Raises:
            StorageError: the file cannot be written, a newer release made its tables, or they are
                those of another domain.
            ValidationError: a field that is to be unique has the same value twice already.
        """
        with self._opening:
            connection = self._open()
            try:
                done = self._create(connection)
            except sqlite3.Error as error:
                raise self.failed(error) from error
            finally:
                connection.close()
            self._ready = True
            return done

    def problems(self) -> list[str]:
        """Return what is missing, a line each; nothing is made.

        Raises:
            StorageError: the file cannot be read, a newer release made its tables, or they are
                those of another domain.
        """
        if not Path(self.path).exists():
            return [f"the file {self.path} is missing"]
        connection = self._open()
        try:
            return self._missing(connection)
        except sqlite3.Error as error:
            raise self.failed(error) from error
        finally:
            connection.close()

    def _missing(self, connection: sqlite3.Connection) -> list[str]:
        """What is missing, and what is there for nothing, a line each."""
        if not self._version(connection):
            return ["its tables are missing"]
        self._is_named(connection)
        there, wanted = self._differences(connection)
        return [
            *(f"the index {name} is missing" for name in wanted),
            *(f"the index {name} is not needed any more" for name in there),
        ]

    def _create(self, connection: sqlite3.Connection) -> list[str]:
        if not self._missing(connection) and self._is_named(connection):
            return []
        connection.execute("BEGIN IMMEDIATE")
        try:
            done = []
            if not self._version(connection):  # nobody else made them meanwhile
                text = files("happened.adapters").joinpath("sqlite.sql").read_text("utf-8")
                for statement in _statements(text):
                    connection.execute(statement)
                done.append(f"tables made, version {VERSION}")
            if not self._is_named(connection):
                self.rows("UPDATE happened_schema SET domain = ?", (self._domain,), connection)
            there, wanted = self._differences(connection)
            for name in there:
                connection.execute(f"DROP INDEX {_quoted(name)}")
                done.append(f"index {name} dropped")
            for name, (category, field) in wanted.items():
                self._index(connection, name, category, field)
                done.append(f"index {name} made")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return done

    def _version(self, connection: sqlite3.Connection) -> int:
        """The version of the tables, 0 if there are none."""
        if not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'happened_schema'"
        ).fetchone():
            return 0
        found: int = connection.execute("SELECT version FROM happened_schema").fetchone()[0]
        if found > VERSION:
            raise StorageError(
                self.url,
                f"its tables have version {found}, and this release knows version {VERSION}; "
                "install the release that made them, or a newer one",
            )
        return found

    def _is_named(self, connection: sqlite3.Connection) -> bool:
        """Whether it is known whose the tables are; refuse those of another domain."""
        if self._domain is None:
            return True
        found = connection.execute("SELECT domain FROM happened_schema").fetchone()[0]
        if found not in (None, self._domain):
            own = "a file of its own"
            raise another_domain(self.url, found=found, expected=self._domain, place=own)
        return found is not None

    def _indexes(self, connection: sqlite3.Connection | sqlite3.Cursor) -> list[str]:
        rows = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' "
            "AND tbl_name = 'happened_documents' AND sql IS NOT NULL"
        )
        return [name for (name,) in rows]

    def _differences(
        self, connection: sqlite3.Connection
    ) -> tuple[list[str], dict[str, tuple[str, str]]]:
        """Indexes that nobody wants any more, and by name those that are missing."""
        there = self._indexes(connection)
        wanted = {
            name: (category, field)
            for category, fields in self._wanted.items()
            for name, field in fields.items()
        }
        known = {
            name for name in there if name.rpartition(":")[0].partition(":")[2] in self._wanted
        }
        missing = {name: place for name, place in wanted.items() if name not in there}
        return sorted(known - wanted.keys()), missing

    def _index(self, connection: sqlite3.Connection, name: str, category: str, field: str) -> None:
        value = field_value([field])
        unique = name.startswith(_UNIQUE)
        terms = unique_terms(field) if unique else value
        try:
            connection.execute(
                f"CREATE {'UNIQUE ' if unique else ''}INDEX {_quoted(name)} "
                f"ON happened_documents ({terms}) "
                f"WHERE category = {literal(category)}"
            )
        except sqlite3.IntegrityError as error:
            twice = connection.execute(
                f"SELECT {value} FROM happened_documents WHERE category = ? "
                f"AND {value} IS NOT NULL GROUP BY {terms} HAVING count(*) > 1 LIMIT 1",
                (category,),
            ).fetchone()[0]
            text = f"it is to be unique, and {twice!r} is stored twice already; change one of them"
            raise ValidationError({field: [text]}, self.title(category)) from error

    # ------------------------------------------------------------------- changes

    def tell(self) -> None:
        """Let those who wait for changes look."""
        if self._waiting:
            with self._changed:
                self._changed.notify_all()

    def wake(self) -> None:
        """Let every `wait` in this process return at once."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def wait(self, timeout: float) -> bool:
        """Wait until somebody, in any process, changes the file.

        What was changed since this thread waited last counts.

        Args:
            timeout: how long at most, in seconds.

        Raises:
            StorageError: the file cannot be read.
        """
        until = time.monotonic() + timeout
        wakes = self._wakes
        seen = getattr(self._seen, "version", None)
        while True:
            self._seen.version = version = self._data_version()
            if wakes != self._wakes or version != (version if seen is None else seen):
                return True
            seen = version
            left = until - time.monotonic()
            if left <= 0:
                return False
            with self._changed:
                if wakes == self._wakes:
                    self._waiting += 1
                    try:
                        self._changed.wait(min(left, _POLL))
                    finally:
                        self._waiting -= 1

    def _data_version(self) -> int:
        """A number that changes when any other connection commits."""
        if not self._watches or self._pid != os.getpid():
            connection = self.take()
            with self._opening:
                if not self._watches:
                    self._watches.append(connection)
                else:
                    self.give(connection)
        self.check_open()
        version: int = self.rows("PRAGMA data_version", (), self._watches[0])[0][0]
        return version


def _decoded(text: bytes) -> str:
    return text.decode(errors="surrogateescape")


def _damaged_rows(
    used: sqlite3.Connection | sqlite3.Cursor,
    sql: str,
    parameters: Sequence[Any] | dict[str, Any],
) -> list[Any]:
    """What a statement finds, with text that cannot be encoded where there is no UTF-8."""
    connection = used.connection if isinstance(used, sqlite3.Cursor) else used
    before = connection.text_factory
    connection.text_factory = _decoded
    try:
        return used.execute(sql, parameters).fetchall()
    finally:
        connection.text_factory = before


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _statements(text: str) -> list[str]:
    return [statement for statement in text.split(";\n") if statement.strip()]
