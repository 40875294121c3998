"""Layer 6. Statements for PostgreSQL, and the short way to the server for those that run most."""

import weakref
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple, cast

import psycopg
from psycopg import generators
from psycopg.adapt import AdaptersMap, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import Escaping, ExecStatus

__all__ = [
    "Connection",
    "OwnConnection",
    "Prepared",
    "Row",
    "fetched",
    "run",
    "run_prepared",
    "statement",
]

Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]


class _Context(NamedTuple):
    """What a reader is told of its connection, which it does not hold.

    One that is dropped is closed at once then, and what it has locked is free; else both would wait
    for the garbage collector.
    """

    adapters: AdaptersMap
    connection: Any


class OwnConnection(psycopg.Connection[Row]):
    """A connection of the pool, which remembers what it would take time to find out again.

    Attributes:
        prepared: the names of the statements that were prepared in it.
        reader: reads what `run` finds; to make one anew takes as long as to read a row.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.prepared: set[str] = set()
        self.reader = Transformer(_Context(self.adapters, weakref.proxy(self)))


_FAILED: Final = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


def statement(text: str) -> LiteralString:
    """Return a statement whose variable parts are names that were checked or quoted.

    Args:
        text: the statement.

    Example:
        >>> from happened.adapters.postgres_statements import statement
        >>> statement("SELECT 1")
        'SELECT 1'
    """
    return cast("LiteralString", text)  # type: ignore[redundant-cast]


def fetched(cursor: psycopg.Cursor[Row]) -> list[Row]:
    """Return what a statement found, or nothing if it was none that finds something.

    The driver's ``description`` tells that, too, but makes an object of each column first.

    Args:
        cursor: what executed the statement.
    """
    result = cursor.pgresult
    if result is not None:
        return cursor.fetchall() if result.nfields else []
    try:
        return cursor.fetchall()  # in a pipeline of the caller's, which sends it now
    except psycopg.ProgrammingError:
        return []


def run(connection: OwnConnection, sql: bytes) -> list[Row]:
    """Run statements, one or several, in one way to the server and back.

    It uses the driver below its cursors. For a small statement, a cursor takes as long as the
    server does; and when it sees a ``ROLLBACK``, it has the server forget all that is prepared.

    Args:
        connection: where.
        sql: the statements, with all that varies written out; see `Prepared.call`.

    Returns:
        What the last of them found.

    Raises:
        psycopg.Error: the server refuses one, or cannot be reached; those behind it were not run.
    """
    with connection.lock:
        connection.pgconn.send_query(sql)
        return _answer(connection)


def run_prepared(
    connection: OwnConnection, prepared: "Prepared", parameters: Sequence[Any]
) -> list[Row]:
    """Run a prepared statement alone, as `run` does; the server logs no parameters if it fails.

    Args:
        connection: where it was prepared.
        prepared: the statement.
        parameters: its parameters, see `Prepared.call`.

    Returns:
        What it found.

    Raises:
        psycopg.Error: the server refuses it, or cannot be reached; a text has a NUL character.
        UnicodeEncodeError: a text has half of a surrogate pair.
    """
    encoding = connection.info.encoding
    values = [_as_text(each, encoding) for each in parameters]
    with connection.lock:
        connection.pgconn.send_query_prepared(prepared.name.encode(), values)
        return _answer(connection)


def _answer(connection: OwnConnection) -> list[Row]:
    result = connection.wait(generators.execute(connection.pgconn))[-1]
    if result.status in _FAILED:
        raise error_from_result(result, connection.info.encoding)
    if not result.nfields:
        return []
    reader = connection.reader
    reader.set_pgresult(result)
    try:
        return reader.load_rows(0, result.ntuples, tuple)
    finally:
        reader.set_pgresult(None)


class Prepared:
    """A statement that a connection plans once, for `Connections.prepare`.

    The driver prepares statements by itself, but only such as it sends alone; these can be sent
    together with others, in one way to the server and back.

    Args:
        name: its name in the connection.
        sql: what it selects; each ``{}`` stands for a parameter.
        types: those of its parameters, with commas in between.

    Attributes:
        name: see above.
        definition: what prepares it.
        plain: what runs it where it was not prepared, with the driver's parameters.

    Example:
        >>> from happened.adapters.postgres_statements import Prepared
        >>> Prepared("root", "sqrt({})", "float").definition
        'PREPARE root(float) AS SELECT sqrt($1)'
    """

    def __init__(self, name: str, sql: str, types: str) -> None:
        each = types.split(", ")
        given = (f"%s::{type_}" for type_ in each)
        numbered = (f"${place}" for place in range(1, len(each) + 1))
        self.name = name
        self.definition = f"PREPARE {name}({types}) AS SELECT {sql.format(*numbered)}"
        self.plain = f"SELECT {sql.format(*given)}"

    def call(self, connection: Connection, parameters: Sequence[Any]) -> bytes:
        """Return what runs it where it was prepared, for `run`.

        Args:
            connection: where it will run: what a text has to look like depends on that.
            parameters: texts, numbers, moments, lists of texts, and ``None``.

        Raises:
            psycopg.DataError: a text has a NUL character.
            UnicodeEncodeError: a text has half of a surrogate pair.
        """
        escape = Escaping(connection.pgconn).escape_literal
        encoding = connection.info.encoding
        literals: list[bytes] = []
        for each in parameters:
            text = _as_text(each, encoding)
            if text is None:
                literals.append(b"NULL")
            elif isinstance(each, int):
                literals.append(text)
            else:
                literals.append(escape(text))
        return b"EXECUTE %b(%b)" % (self.name.encode(), b", ".join(literals))


def _as_text(value: Any, encoding: str) -> bytes | None:
    """A parameter as PostgreSQL reads it."""
    if isinstance(value, str):
        text = value.encode(encoding)
        if b"\0" in text:  # behind which the library for C would see nothing
            raise psycopg.DataError("a text has a NUL character")
        return text
    if value is None:
        return None
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, datetime):
        return value.isoformat().encode()
    quoted = (each.replace("\\", r"\\").replace('"', r"\"") for each in value)
    return _as_text("{" + ",".join(f'"{each}"' for each in quoted) + "}", encoding)
