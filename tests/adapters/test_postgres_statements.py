"""Statements for PostgreSQL that go past the driver's cursors: what they say, what ends them."""

import gc
import signal
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.string import TextLoader

from happened import HappenedError
from happened.adapters.postgres import PostgresStorage
from happened.adapters.postgres_statements import OwnConnection, Prepared, run
from happened.testing.storage_contract.actions import append, document, load, message, save

NOW = datetime.now(UTC)
PREPARED = b"SELECT name FROM pg_prepared_statements ORDER BY name"


@pytest.fixture
def connection(url: str) -> Iterator[OwnConnection]:
    address = url.partition("?")[0]
    with OwnConnection.connect(address, autocommit=True, client_encoding="utf8") as opened:
        yield opened


VALUES = [
    ("text", "plain"),
    ("text", ""),
    ("text", "it's \\ and \\' and $1 and %s and {} and \"; --"),
    ("text", "Заметки ☕ 𐍈"),
    ("text", None),
    ("json", '{"a": "\\u0041\\\\"}'),
    ("bigint", 2**63 - 1),
    ("bigint", -(2**63)),
    ("text[]", []),
    ("text[]", ["one"]),
    ("text[]", ['a "b"', "c\\d", "e,f", "{g}", "", "NULL", "it's", " ☕ "]),
    ("timestamptz", datetime(2026, 12, 24, 1, 2, 3, 456789, UTC)),
    ("timestamptz", datetime(1, 1, 2, tzinfo=UTC)),
]


@pytest.mark.parametrize("conforming", ["on", "off"])
@pytest.mark.parametrize("kind, value", VALUES)
def test_what_is_given_to_a_prepared_statement_arrives(
    connection: OwnConnection, kind: str, value: Any, conforming: str
) -> None:
    connection.execute(f"SET standard_conforming_strings = {conforming}")
    echo = Prepared("echo", "{}::text, {}", f"{kind}, {kind}")
    connection.execute(echo.definition)
    ((text, given),) = run(connection, b"BEGIN; " + echo.call(connection, (value, value)))
    found = psycopg.Cursor(connection).execute(f"SELECT %s::{kind}::text", (value,)).fetchone()
    assert found == (text,)
    assert given == (value if kind != "json" else {"a": "A\\"})


def test_a_text_that_cannot_be_sent_is_refused_and_not_cut(
    connection: OwnConnection,
) -> None:
    echo = Prepared("echo", "{}", "text")
    for text in ("a\0b", "\0"):
        with pytest.raises(psycopg.DataError, match="NUL"):
            echo.call(connection, (text,))
    with pytest.raises(UnicodeEncodeError):
        echo.call(connection, ("\ud800",))


def test_another_encoding_of_the_connection_is_heeded(
    connection: OwnConnection,
) -> None:
    echo = Prepared("echo", "{}, length({})", "text, text")
    connection.execute(echo.definition)
    connection.execute("SET client_encoding = 'LATIN1'")
    assert run(connection, echo.call(connection, ("é", "é"))) == [("é", 1)]
    with pytest.raises(UnicodeEncodeError):
        echo.call(connection, ("☕", "☕"))


def test_what_is_refused_is_raised_and_nothing_behind_it_is_run(
    connection: OwnConnection,
) -> None:
    connection.execute("CREATE TEMPORARY TABLE taken (id integer PRIMARY KEY)")
    with pytest.raises(psycopg.errors.UniqueViolation) as refused:
        run(connection, b"INSERT INTO taken VALUES (1), (1); INSERT INTO taken VALUES (2)")
    assert refused.value.diag.constraint_name == "taken_pkey"
    assert run(connection, b"SELECT id FROM taken") == []


def test_a_connection_that_ended_is_an_error_of_its_own(
    connection: OwnConnection,
) -> None:
    with pytest.raises(psycopg.OperationalError):  # a subclass of it in newer drivers
        run(connection, b"SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(psycopg.OperationalError):
        run(connection, b"SELECT 1")


def test_a_connection_that_is_dropped_is_closed_at_once(url: str) -> None:
    """What it has locked is free then, and not only when the garbage collector comes."""
    gc.collect()
    gc.disable()
    try:
        opened = OwnConnection.connect(url.partition("?")[0])
        assert run(opened, b"SELECT 'one', now() IS NULL") == [("one", False)]
        dropped = weakref.ref(opened)
        with pytest.warns(ResourceWarning, match="deleted while still open"):
            del opened
        assert dropped() is None
    finally:
        gc.enable()


@pytest.fixture
def storage(url: str) -> Iterator[PostgresStorage]:
    """A storage with one connection, so that it is known which one is used."""
    opened = PostgresStorage(f"{url}&pool_size=1")
    yield opened
    opened.close()


@pytest.mark.parametrize("claims", [False, True])
def test_a_commit_prepares_again_what_was_forgotten(
    storage: PostgresStorage, claims: bool, caplog: pytest.LogCaptureFixture
) -> None:
    storage.subscribe("Stock")
    for number in range(3):
        transaction = storage.begin()
        if claims:
            append(storage, message("book-b0", number))
            assert transaction.claim("Stock", None, message("x-1", 0).metadata.timestamp)
        connection = transaction._connection if claims else storage._connections._idle[0]
        assert connection is not None
        run(connection, b"DEALLOCATE ALL")
        transaction.append([message("book-b1", number)])
        transaction.commit()
    assert len(storage.read("book-b1")) == 3
    assert storage.unnumbered().messages == 0
    assert not caplog.records  # everybody was told


def test_what_the_driver_lets_the_server_forget_stands_in_nobodys_way(
    storage: PostgresStorage, caplog: pytest.LogCaptureFixture
) -> None:
    """A ``ROLLBACK TO`` that it sees does that, once it has prepared something itself."""
    storage.subscribe("Stock")
    save(storage, "book", document("b0"))
    for _ in range(8):
        load(storage, "book", "b0")
    transaction = storage.begin()
    with suppress(ZeroDivisionError), transaction.connection.transaction():
        raise ZeroDivisionError
    transaction.load("book", "b0")
    transaction.rollback()
    for version in range(2, 5):
        claimed = storage.begin()
        assert claimed.claim("Stock", ("book",), NOW, limit=10) is None
        save(storage, "book", document("b0", version=version))
        append(storage, message("book-b0", version - 2))
        claimed = storage.begin()
        claim = claimed.claim("Stock", ("book",), NOW, limit=10)
        assert claim is not None
        place = claim.messages[-1].metadata.global_position
        assert place is not None
        claimed.advance(claim.checkpoint._replace(position=place + 1))
        claimed.commit()
    assert not caplog.records


def test_going_back_to_a_mark_lets_nothing_be_forgotten(storage: PostgresStorage) -> None:
    save(storage, "book", document("b0"))
    for _ in range(8):
        load(storage, "book", "b0")
    (connection,) = storage._connections._idle
    before = run(connection, PREPARED)
    transaction = storage.begin()
    mark = transaction.savepoint(sure=True)
    transaction.restore(mark)
    transaction.load("book", "b0")
    transaction.rollback()
    assert run(connection, PREPARED) == before != []


def test_an_interrupt_while_it_is_prepared_does_no_harm_later(
    storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.subscribe("Stock")

    def interrupted(connection: OwnConnection, sql: bytes) -> Any:
        found = run(connection, sql)
        if sql.startswith(b"PREPARE"):
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr("happened.adapters.postgres_connections.run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        storage.begin().claim("Stock", None, NOW)
    monkeypatch.undo()
    assert storage._connections._taken == 0
    append(storage, message("book-b0", 0))
    transaction = storage.begin()
    assert transaction.claim("Stock", None, NOW) is not None
    transaction.rollback()


def no_autocommit(connection: psycopg.Connection[Any]) -> None:
    connection.commit()
    connection.autocommit = False


def other_cursors(connection: psycopg.Connection[Any]) -> None:
    connection.cursor_factory = psycopg.RawCursor


def other_moments(connection: psycopg.Connection[Any]) -> None:
    connection.adapters.register_loader("timestamptz", TextLoader)


@pytest.mark.parametrize(
    "change",
    [
        no_autocommit,
        other_cursors,
        other_moments,
        "SET datestyle = 'German'",
        "SET timezone = 'Asia/Tokyo'",
        "SET client_encoding = 'LATIN1'",
        "SET default_transaction_read_only = on",
    ],
)
def test_a_connection_that_a_handler_has_changed_is_used_by_nobody_else(
    storage: PostgresStorage, url: str, change: str | Callable[[psycopg.Connection[Any]], None]
) -> None:
    other = PostgresStorage(url)
    transaction = storage.begin()
    if isinstance(change, str):
        run(transaction.connection, change.encode())
    else:
        change(transaction.connection)
    try:
        transaction.commit()
    except HappenedError:
        transaction.rollback()
    save(storage, "book", document("b1", data='{"title":"☕"}'.encode()))
    append(storage, message("заметки-1", 0))
    for each in (storage, other):
        found = load(each, "book", "b1")
        assert found is not None
        assert found.data == '{"title":"☕"}'.encode()
        ((metadata, *_),) = each.read_category("заметки")
        assert metadata.timestamp.utcoffset() == timedelta(0)
    other.close()


def test_a_connection_that_a_handler_only_used_stays(storage: PostgresStorage) -> None:
    for _ in range(3):
        transaction = storage.begin()
        transaction.connection.row_factory = dict_row
        transaction.connection.execute("SELECT 1")
        used = transaction.connection
        transaction.commit()
        assert storage._connections._idle == [used]


def test_what_is_read_in_a_pipeline_of_a_handler_is_found(storage: PostgresStorage) -> None:
    save(storage, "book", document("b1"))
    transaction = storage.begin()
    with transaction.connection.pipeline():
        found = transaction.load("book", "b1")
    assert found is not None
    transaction.rollback()


def test_a_commit_does_not_show_what_is_written_as_a_statement(
    storage: PostgresStorage, connection: OwnConnection
) -> None:
    """What fails is written into the log of the server, as the statement that it was."""
    save(storage, "book", document("b1", data=b'{"card":"4111"}'))
    pid = storage._connections._idle[0].info.backend_pid
    asked = connection.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", (pid,))
    ((query,),) = asked.fetchall()
    assert "commit_one" in query
    assert "4111" not in query


def test_who_is_interrupted_while_a_commit_waits_does_not_wait_on(
    storage: PostgresStorage, url: str
) -> None:
    other = PostgresStorage(url)
    save(storage, "book", document("b1"))
    holder = other.begin()
    holder.save("book", document("b1", version=2), expected=1)
    holder.flush()
    transaction = storage.begin()
    transaction.save("book", document("b1", version=3), expected=1)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            transaction.commit()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert storage._connections._taken == 0
    holder.commit()
    found = load(storage, "book", "b1")
    assert found is not None
    assert found.version == 2
    other.close()
