"""What only PostgreSQL has: joined connections, connections that end, plans, the numbering."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from sqlalchemy.orm import Session

from happened import ConcurrencyError, ConfigurationError, StorageError, ValidationError
from happened.adapters.postgres import SCHEMA_VERSION, PostgresStorage
from happened.adapters.postgres_query import selection
from happened.query import Criteria, Filter
from happened.storage import Checkpoint, Collection, Delivery, open_storage
from happened.testing.storage_contract.actions import (
    append,
    document,
    found,
    load,
    message,
    prepare,
    save,
)
from tests.guarantees.processes import eventually

MOMENT = datetime(2026, 12, 24, tzinfo=UTC)
BOOKS = [Collection("book", ("isbn",), "Book", ("shelf",))]


@pytest.fixture
def storage(url: str) -> Iterator[PostgresStorage]:
    opened = PostgresStorage(url)
    yield opened
    opened.close()


def schema_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["schema"][0]


def server(url: str) -> str:
    return url.partition("?")[0]


@pytest.fixture
def plain(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of somebody else's, which commits each statement, in the schema."""
    with psycopg.connect(server(url), autocommit=True) as connection:
        connection.execute(f"SET search_path TO {schema_of(url)}")
        yield connection


# ------------------------------------------------------------------- the URL


def test_a_url_shows_no_password_and_opens_nothing() -> None:
    storage = open_storage(
        "postgresql://me:secret@nowhere.invalid/shop?schema=a&password=p&sslmode=prefer&sslpassword=p"
    )
    assert storage.url == "postgresql://me@nowhere.invalid/shop?schema=a&sslmode=prefer"


def test_a_password_that_would_be_cut_in_two_is_refused_and_not_shown() -> None:
    for password in ("p@ss", "p?ss", "p/ss", "p/s?s", "p?s@s"):
        with pytest.raises(
            ConfigurationError,
            match=r"^storage 'postgresql://me@db/shop': .*'%40', '%2F' and '%3F'$",
        ):
            open_storage(f"postgresql://me:{password}@db/shop")
    assert open_storage("postgresql://me:p%40s%2Fs%3F@db/shop").url == "postgresql://me@db/shop"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://one:5432,two:5433/shop",
        "postgresql://[::1]:5432/shop?application_name=me@here",
        "postgresql:///shop?host=/tmp&user=me@here",
    ],
)
def test_what_is_no_password_is_shown(url: str) -> None:
    assert open_storage(url).url == url


def test_a_missing_driver_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("happened.adapters.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'happened\[postgres\]'"):
        open_storage("postgresql://db/shop")


@pytest.mark.parametrize("query", ["schema=a-b", "schema=", "pool_size=0", "handler_timeout=x"])
def test_a_wrong_parameter_is_named(query: str) -> None:
    with pytest.raises(ConfigurationError, match=query.partition("=")[0]):
        open_storage(f"postgresql://db/shop?{query}")


def test_a_server_that_does_not_answer_is_told_at_once() -> None:
    storage = open_storage("postgresql://127.0.0.1:9/shop?connect_timeout=2")
    with pytest.raises(StorageError, match="cannot be reached") as caught:
        storage.problems()
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)


def test_who_finds_all_connections_in_use_is_told_so(url: str) -> None:
    storage = PostgresStorage(f"{url}&pool_size=1")
    held = storage.begin()
    assert held.connection
    with pytest.raises(StorageError, match="all 1 connections are in use"):
        storage._connections.take(within=0.05)
    held.rollback()
    assert storage.read_category(None) == []
    storage.close()


# ------------------------------------------------------------------- the tables


def test_without_tables_the_error_says_what_to_run(url: str) -> None:
    storage = PostgresStorage(f"{server(url)}?schema=never_made")
    assert len(storage.problems()) == 1
    with pytest.raises(StorageError, match="happened storage init"):
        storage.read_category(None)
    storage.close()


def test_create_can_run_again_and_by_many_at_once(url: str, plain: psycopg.Connection[Any]) -> None:
    plain.execute(f"DROP SCHEMA {schema_of(url)} CASCADE")
    storages = [PostgresStorage(url) for _ in range(6)]
    for each in storages:
        each.prepare(BOOKS)
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda each: each.create(), storages))
    assert sorted(map(len, done)) == [0, 0, 0, 0, 0, 4]
    assert storages[0].create() == storages[0].problems() == []
    for each in storages:
        each.close()


def test_tables_of_a_newer_release_are_left_alone(url: str, plain: psycopg.Connection[Any]) -> None:
    plain.execute("UPDATE schema_version SET version = 99")
    storage = PostgresStorage(url)
    for use in (storage.create, lambda: storage.read_category(None)):
        with pytest.raises(StorageError, match=f"version 99.*version {SCHEMA_VERSION}"):
            use()
    assert len(storage.problems()) == 1
    storage.close()


def test_who_names_the_tables_waits_for_another_that_does(
    storage: PostgresStorage, url: str, plain: psycopg.Connection[Any]
) -> None:
    storage.prepare([], "library")
    with ThreadPoolExecutor(1) as pool:
        with plain.transaction():
            plain.execute("UPDATE schema_version SET domain = 'shop'")
            reading = pool.submit(storage.read_category, None)
            sql = "SELECT FROM pg_locks WHERE NOT granted AND transactionid = %s::xid"
            own = plain.execute("SELECT pg_current_xact_id()::xid::text").fetchone()
            eventually(lambda: plain.execute(sql, own).rowcount == 1)
        with pytest.raises(StorageError, match="domain 'shop', and this is domain 'library'"):
            reading.result(10)
    assert plain.execute("SELECT domain FROM schema_version").fetchall() == [("shop",)]


def test_a_unique_index_that_lacks_is_an_error(storage: PostgresStorage) -> None:
    storage.prepare(BOOKS)
    with pytest.raises(StorageError, match="unique book isbn"):
        load(storage, "book", "b1")
    assert len(storage.problems()) == 2
    storage.create()
    assert load(storage, "book", "b1") is None


@pytest.mark.parametrize(
    "field,index", [("isbn", "unique book isbn"), ("shelf", "index book shelf")]
)
@pytest.mark.parametrize("lookup,value", [("exact", "x7"), ("in", ["x7", "x8"])])
def test_a_query_uses_the_index_of_a_field(
    storage: PostgresStorage,
    plain: psycopg.Connection[Any],
    field: str,
    index: str,
    lookup: str,
    value: Any,
) -> None:
    prepare(storage, BOOKS)
    rows = [
        document(f"b{n}", data=b'{"isbn":"x%d","shelf":"x%d"}' % (n, n % 500)) for n in range(3000)
    ]
    save(storage, "book", *rows)
    plain.execute("ANALYZE documents")
    criteria = Criteria(filters=(Filter((field,), lookup, value, "text"),))
    sql, parameters = selection(f'"{schema_of(storage.url)}"', "book", criteria)
    plan = plain.execute(f"EXPLAIN {sql}", parameters).fetchall()
    assert any(index in line for (line,) in plan), plan


def test_what_is_no_text_for_postgresql_is_refused(storage: PostgresStorage) -> None:
    with pytest.raises(ValidationError, match="NUL"):
        save(storage, "book", document("b1", data=b'{"title":"a\\u0000b"}'))
    assert load(storage, "book", "b1") is None
    assert load(storage, "book", "a\0b") is None


def test_what_has_a_lone_surrogate_is_refused(storage: PostgresStorage) -> None:
    named = message("book-b1", 0).metadata._replace(correlation_id="c\ud800")

    def in_a_claim() -> None:
        transaction = storage.begin()
        transaction.claim("Log", None, datetime.now(UTC))
        transaction.append([message("book-b1", 0)._replace(metadata=named)])
        try:
            transaction.commit()
        finally:
            transaction.rollback()

    def in_a_transaction() -> None:
        transaction = storage.begin()
        try:
            transaction.hold("Log")
            transaction.load("book", "b\ud800")
        finally:
            transaction.rollback()

    append(storage, message("book-b0", 0))
    storage.subscribe("Log")
    uses: list[Callable[[], object]] = [
        lambda: save(storage, "book", document("b\ud800")),
        lambda: append(storage, message("book-b1", 0)._replace(metadata=named)),
        in_a_claim,
        in_a_transaction,
        lambda: load(storage, "book", "b\ud800"),
        lambda: storage.read("book-\ud800"),
    ]
    for use in uses:
        with pytest.raises(ValidationError, match="surrogate"):
            use()
    assert storage.read("book-b1") == []
    append(storage, message("book-b1", 0))


def test_what_is_too_large_for_an_index_is_a_wrong_value(storage: PostgresStorage) -> None:
    prepare(storage, BOOKS)
    large = b'{"isbn":"%s"}' % b"".join(b"%x" % (n * n) for n in range(5000))
    with pytest.raises(ValidationError, match=r"PostgreSQL cannot store it: index row"):
        save(storage, "book", document("b1", data=large))


def test_positions_survive_dump_and_restore(
    url: str, storage: PostgresStorage, plain: psycopg.Connection[Any], tmp_path: Path
) -> None:
    append(storage, message("book-b1", 0), message("book-b1", 1))
    storage.subscribe("Stock", from_now=True)
    before = storage.read_category(None), storage.checkpoints()
    append(storage, message("book-b2", 0))
    storage.close()
    dump = tmp_path / "dump.sql"
    schema = schema_of(url)
    pg = ["--dbname", server(url)]
    try:
        subprocess.run(["pg_dump", *pg, "--schema", schema, "--file", str(dump)], check=True)
    except FileNotFoundError:
        pytest.fail("needs pg_dump: it comes with PostgreSQL's client programs")
    plain.execute(f"DROP SCHEMA {schema} CASCADE")
    subprocess.run(
        ["psql", *pg, "-qX", "-v", "ON_ERROR_STOP=1", "-f", str(dump)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    again = PostgresStorage(url)
    assert (again.read_category(None)[:2], again.checkpoints()) == before
    append(again, message("book-b3", 0))
    read = again.read_category(None)
    assert [each.metadata.global_position for each in read] == [0, 1, 2, 3]
    again.close()


# ------------------------------------------------------------------- joined connections


def write(storage: PostgresStorage, connection: Any) -> None:
    transaction = storage.begin(connection)
    transaction.save("book", document("b1"), expected=0)
    transaction.append([message("book-b1", 0)])
    transaction.commit()


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_writes_join_a_transaction_of_psycopg(
    storage: PostgresStorage, url: str, ends: str
) -> None:
    with psycopg.connect(server(url)) as connection:
        write(storage, connection)
        assert load(storage, "book", "b1") is None, "the owner has not committed"
        getattr(connection, ends)()
    assert found(storage, "book") == (["b1"] if ends == "commit" else [])
    assert len(storage.read_category(None)) == (ends == "commit")


@pytest.mark.parametrize("kind", ["connection", "session"])
@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_writes_join_a_transaction_of_sqlalchemy(
    storage: PostgresStorage, url: str, kind: str, ends: str
) -> None:
    engine = sqlalchemy.create_engine(server(url).replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection, Session(engine) as session:
        given = connection if kind == "connection" else session
        given.execute(sqlalchemy.text("SELECT 1"))
        write(storage, given)
        assert load(storage, "book", "b1") is None
        getattr(given, ends)()
    engine.dispose()
    assert found(storage, "book") == (["b1"] if ends == "commit" else [])


def test_a_rollback_undoes_its_own_writes_alone(storage: PostgresStorage, url: str) -> None:
    with psycopg.connect(server(url)) as connection:
        write(storage, connection)
        transaction = storage.begin(connection)
        transaction.save("book", document("b2"), expected=0)
        assert transaction.connection is connection
        transaction.rollback()
        refused = storage.begin(connection)
        refused.save("book", document("b1"), expected=0)
        with pytest.raises(ConcurrencyError):
            refused.commit()
        refused.rollback()
        connection.commit()
    assert found(storage, "book") == ["b1"]


def test_a_connection_without_a_transaction_is_not_joined(
    storage: PostgresStorage, plain: psycopg.Connection[Any], url: str
) -> None:
    engine = sqlalchemy.create_engine(server(url).replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        for given in (plain, connection):
            with pytest.raises(ConfigurationError, match="begin a transaction first"):
                storage.begin(given)
    engine.dispose()
    with pytest.raises(ConfigurationError, match="cannot join"):
        storage.begin(object())


# ------------------------------------------------------------------- connections that end


def end_all(plain: psycopg.Connection[Any]) -> None:
    """End the connections that storages of this process have opened."""
    plain.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = %s AND pid <> pg_backend_pid()",
        (f"test {os.getpid()}",),
    )


@pytest.fixture
def own(url: str) -> Iterator[PostgresStorage]:
    """A storage whose connections can be told from those of other tests."""
    opened = PostgresStorage(f"{url}&application_name=test%20{os.getpid()}")
    yield opened
    opened.close()


def test_connections_that_ended_while_idle_are_not_noticed(
    own: PostgresStorage, plain: psycopg.Connection[Any]
) -> None:
    save(own, "book", document("b1"))
    end_all(plain)
    assert found(own, "book") == ["b1"]
    end_all(plain)
    save(own, "book", document("b2"))
    end_all(plain)
    transaction = own.begin()
    assert transaction.connection
    transaction.rollback()


def test_a_transaction_whose_connection_ends_fails_and_the_next_one_works(
    own: PostgresStorage, plain: psycopg.Connection[Any]
) -> None:
    transaction = own.begin()
    transaction.save("book", document("b1"), expected=0)
    assert transaction.connection
    end_all(plain)
    with pytest.raises(StorageError, match="broke off") as caught:
        transaction.commit()
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)
    transaction.rollback()
    assert found(own, "book") == []
    save(own, "book", document("b1"))


def test_a_claim_ends_with_its_connection(
    own: PostgresStorage, storage: PostgresStorage, plain: psycopg.Connection[Any]
) -> None:
    append(own, message("book-b1", 0))
    own.number()
    own.subscribe("Stock")
    now = message("x-1", 0).metadata.timestamp
    paused, next_one = own.begin(), storage.begin()
    claim = paused.claim("Stock", None, now)
    assert claim is not None
    assert next_one.claim("Stock", None, now) is None
    end_all(plain)
    assert next_one.claim("Stock", None, now) == claim
    next_one.advance(claim.checkpoint._replace(position=1))
    next_one.commit()
    paused.advance(claim.checkpoint._replace(position=1))
    with pytest.raises(StorageError):
        paused.commit()
    paused.rollback()


def test_messages_that_somebody_deleted_are_passed_over(
    storage: PostgresStorage, plain: psycopg.Connection[Any]
) -> None:
    append(storage, message("book-b1", 0), message("book-b1", 1))
    storage.number()
    storage.subscribe("Stock")
    plain.execute("DELETE FROM messages")
    now = message("x-1", 0).metadata.timestamp
    transaction = storage.begin()
    assert transaction.claim("Stock", None, now, limit=10) is None
    transaction.commit()  # which keeps that they were passed over
    later = message("book-b1", 0)
    append(storage, later)
    storage.number()
    transaction = storage.begin()
    claim = transaction.claim("Stock", ["book"], now, limit=10)
    assert claim is not None
    assert [each.metadata.id for each in claim.messages] == [later.metadata.id]
    transaction.rollback()


def test_what_was_prepared_is_prepared_again_where_it_was_forgotten(
    storage: PostgresStorage,
) -> None:
    """A driver or a pooler between may let the server forget it, and so may a handler."""
    append(storage, message("book-b1", 0))
    storage.number()
    storage.subscribe("Stock")
    now = message("x-1", 0).metadata.timestamp
    for _ in range(2):
        transaction = storage.begin()
        assert transaction.claim("Stock", None, now) is not None
        transaction.connection.execute("DEALLOCATE ALL")
        transaction.rollback()


def test_a_row_of_each_is_committed_in_one_call(
    storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("happened.adapters.postgres_transaction.as_json", None)
    append(storage, message("book-b1", 0))
    storage.number()
    storage.subscribe("Stock")
    transaction = storage.begin()
    claim = transaction.claim("Stock", None, message("x-1", 0).metadata.timestamp)
    assert claim is not None
    transaction.save("stock", document("s1"), expected=0)
    transaction.append([message("stock-s1", 0)])
    transaction.advance(claim.checkpoint._replace(position=1))
    transaction.commit()
    place = claim.checkpoint.partition
    assert Checkpoint("Stock", place, 1) in storage.checkpoints("Stock")
    assert found(storage, "stock") == ["s1"]


@pytest.mark.parametrize("setting", ["-c datestyle=German", "-c client_encoding=LATIN1"])
def test_what_a_role_or_a_database_begins_with_does_not_matter(
    storage: PostgresStorage, url: str, setting: str
) -> None:
    prepare(storage, BOOKS)
    other = PostgresStorage(f"{url}&options={quote(setting)}")
    told = message("book-b1", 0, '{"title":"Заметки ☕"}'.encode())
    append(other, told)
    (read,) = other.read("book-b1")
    assert (read.data, read.metadata.timestamp) == (told.data, told.metadata.timestamp)
    other.close()


def test_what_a_handler_makes_of_its_connection_ends_with_its_transaction(url: str) -> None:
    storage = PostgresStorage(f"{url}&pool_size=1")
    prepare(storage, BOOKS)
    transaction = storage.begin()
    transaction.connection.row_factory = dict_row
    transaction.rollback()
    append(storage, message("book-b1", 0))
    assert [each.metadata.position for each in storage.read("book-b1")] == [0]
    storage.close()


def test_what_waits_is_read_once_however_many_messages_are_claimed(
    storage: PostgresStorage, plain: psycopg.Connection[Any]
) -> None:
    prepare(storage, BOOKS)
    storage.subscribe("Stock")
    told = [message("book-b1", place) for place in range(5)]
    append(storage, *told)
    storage.number()
    transaction = storage.begin()
    dead = Delivery("Stock.take", "Stock", told[0].metadata.id, "book-b1", 0, "dead", 1, MOMENT)
    transaction.defer(dead)
    transaction.commit()
    rows = plain.execute(
        "SELECT waiting IS NULL, (message).position"
        " FROM claim_partition('Stock', NULL, now(), now(), 10, NULL)"
    ).fetchall()
    assert rows == [*((True, place) for place in range(5)), (False, None)]
    transaction = storage.begin()
    claim = transaction.claim("Stock", None, MOMENT, limit=10)
    transaction.rollback()
    assert claim is not None
    assert claim.blocked == {"book-b1"}
    assert [each.metadata.position for each in claim.messages] == [0, 1, 2, 3, 4]


def test_a_handler_that_takes_too_long_loses_its_partition(url: str) -> None:
    storage = PostgresStorage(f"{url}&handler_timeout=1")
    append(storage, message("book-b1", 0))
    storage.number()
    storage.subscribe("Stock")
    now = message("x-1", 0).metadata.timestamp
    slow = storage.begin()
    claim = slow.claim("Stock", None, now)
    assert claim is not None
    threading.Event().wait(1.5)  # this is what is tested: nothing else can end the claim
    other = storage.begin()
    assert other.claim("Stock", None, now) == claim
    other.rollback()
    slow.advance(Checkpoint("Stock", claim.checkpoint.partition, 1))
    with pytest.raises(StorageError, match="broke off"):
        slow.commit()
    slow.rollback()
    storage.close()


# ------------------------------------------------------------------- the numbering


def read_rows(plain: psycopg.Connection[Any], done: threading.Event) -> set[int]:
    """What somebody sees who asks for the rows behind the highest one that he saw."""
    seen: set[int] = set()
    while True:
        last = done.is_set()
        rows = plain.execute(
            "SELECT row FROM messages WHERE row > %s ORDER BY row", (max(seen, default=0),)
        ).fetchall()
        seen |= {row for (row,) in rows}
        if last and not rows:
            return seen


def read_positions(storage: PostgresStorage, done: threading.Event) -> list[tuple[Any, Any]]:
    """The streams and positions that a reader of the category sees, from position to position."""
    read: list[tuple[Any, Any]] = []
    while True:
        last = done.is_set()
        storage.number()
        batch = storage.read_category("book", start=len(read), limit=50)
        places = [each.metadata.global_position for each in batch]
        assert places == [*range(len(read), len(read) + len(batch))]
        read += [(each.metadata.stream, each.metadata.position) for each in batch]
        if last and not batch:
            return read


def test_none_is_skipped_where_one_who_remembers_the_highest_row_loses_some(
    storage: PostgresStorage, plain: psycopg.Connection[Any]
) -> None:
    """Writers leave their transactions open for a while between the insert and the commit."""
    done, turns, writers = threading.Event(), 30, 7

    def write(writer: int) -> None:
        for turn in range(turns):
            transaction = storage.begin()
            transaction.append([message(f"book-{writer}", turn)])
            transaction.flush()  # the insert is made, and is not committed
            done.wait((writer * 7 + turn * 3) % 11 / 1000)
            transaction.commit()

    idle = storage.begin()
    idle.append([message("book-idle", 0)])
    idle.flush()
    with ThreadPoolExecutor(writers + 3) as pool:
        reading = [pool.submit(read_positions, storage, done) for _ in range(2)]
        naive = pool.submit(read_rows, plain, done)
        try:
            for each in [pool.submit(write, writer) for writer in range(writers)]:
                each.result(60)
            idle.commit()
        finally:
            done.set()
        first, second = (each.result(60) for each in reading)
        seen = naive.result(60)
    rows = {row for (row,) in plain.execute("SELECT row FROM messages").fetchall()}
    assert rows - seen, "nobody lost any: this proves nothing"
    assert first == second
    assert len(first) == len(rows) == writers * turns + 1
    for writer in range(writers):
        assert [place for name, place in first if name == f"book-{writer}"] == [*range(turns)]


def test_an_interrupt_keeps_no_connection(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = PostgresStorage(f"{url}&pool_size=1")
    assert load(storage, "book", "b1") is None
    original = psycopg.Connection.wait

    def wait(self: Any, *given: Any, **options: Any) -> Any:
        original(self, *given, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(psycopg.Connection, "wait", wait)
    with pytest.raises(KeyboardInterrupt):
        storage.begin().connection  # noqa: B018 - it begins a transaction in the database
    monkeypatch.undo()
    assert storage._connections._taken == 0
    storage.close()


# ------------------------------------------------------------------- forks


def test_a_process_that_was_forked_hears_of_commits_and_takes_none_from_its_parent(
    storage: PostgresStorage,
) -> None:
    storage.create()
    while storage.wait(0.3):
        pass  # from here on, the parent's connection listens
    hears, ready = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            while storage.wait(0.3):
                pass
            os.write(ready, b"1")
            assert storage.wait(30)
            status = 0
        finally:
            os._exit(status)
    os.read(hears, 1)
    append(storage, message("book-b1", 0))
    assert os.waitpid(child, 0)[1] == 0
    assert storage.wait(30)
