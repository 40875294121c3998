"""What SQLite has and no other storage: its file, its locks, its errors, its connections."""

import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import orm

from happened import ConcurrencyError, ConfigurationError, StorageError, ValidationError
from happened.adapters.sqlite import SQLiteStorage
from happened.adapters.sqlite_query import selection
from happened.adapters.sqlite_transaction import _UNREAD, _WAITING, MESSAGES, SQLiteTransaction
from happened.query import Criteria, Filter
from happened.storage import Checkpoint, Collection, Document, open_storage
from happened.streams import PARTITIONS, partition
from happened.testing.storage_contract.actions import append, document, found, load, message, save
from happened.writes import delivery_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shelf.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SQLiteStorage]:
    opened = SQLiteStorage(f"sqlite:///{path}?synchronous=normal&timeout=0.2")
    yield opened
    opened.close()


# ------------------------------------------------------------------- the URL


def test_a_relative_and_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    relative = open_storage("sqlite:///here.db")
    absolute = open_storage(f"sqlite:///{tmp_path}/there.db")
    assert list(tmp_path.iterdir()) == [], "nothing is touched before it is used"
    monkeypatch.chdir("/")
    save(relative, "book", document("b1"))
    save(absolute, "book", document("b1"))
    relative.close()
    absolute.close()
    assert {each.name for each in tmp_path.iterdir()} == {"here.db", "there.db"}
    assert (relative.durable, relative.url) == (True, "sqlite:///here.db")


@pytest.mark.parametrize(
    "url,text",
    [
        ("sqlite://", "names no file.*memory://"),
        ("sqlite:///", "names no file.*memory://"),
        ("sqlite:///:memory:", "names no file.*memory://"),
        ("sqlite://shelf.db", "names no file; use 'sqlite:///relative.db'"),
        ("sqlite:///shelf.db?mode=ro", "unknown parameter 'mode'"),
        ("sqlite:///shelf.db?synchronous=off", "'full' or 'normal', found 'off'"),
        ("sqlite:///shelf.db?timeout=soon", "timeout must be .* found 'soon'"),
        ("sqlite:///shelf.db?timeout=-1", "timeout must be .* found '-1'"),
        ("sqlite:///shelf.db?timeout=nan", "timeout must be .* found 'nan'"),
    ],
)
def test_a_url_that_means_nothing_is_refused(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        open_storage(url)


@pytest.mark.parametrize("query,level", [("", 2), ("?synchronous=normal", 1)])
def test_a_commit_is_as_safe_as_the_url_says(path: Path, query: str, level: int) -> None:
    storage = SQLiteStorage(f"sqlite:///{path}{query}")
    transaction = storage.begin()
    execute = transaction.connection.execute
    assert execute("PRAGMA synchronous").fetchone() == (level,)
    assert execute("PRAGMA journal_mode").fetchone() == ("wal",)
    transaction.rollback()
    storage.close()


# ------------------------------------------------------------------- tables


def test_a_newer_release_s_tables_are_refused(storage: SQLiteStorage, path: Path) -> None:
    storage.create()
    storage.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE happened_schema SET version = 7")
    connection.close()
    storage = SQLiteStorage(storage.url)
    for use in (storage.create, storage.problems, lambda: storage.read("book-b1")):
        with pytest.raises(StorageError, match=r"have version 7, .* knows version 1"):
            use()
    storage.close()


def test_what_is_missing_is_told_and_made_line_by_line(storage: SQLiteStorage, path: Path) -> None:
    assert storage.problems() == [f"the file {path} is missing"]
    assert not path.exists()
    assert storage.create() == ["tables made, version 1"]
    other = SQLiteStorage(storage.url)
    other._file.note([Collection("book", ("isbn",), "Book", ("title",))])
    assert other.problems() == [
        "the index happened_index:book:title is missing",
        "the index happened_unique:book:isbn is missing",
    ]
    assert len(other.create()) == 2
    assert other.problems() == []
    other.prepare([Collection("book")])
    save(other, "book", document("b1", data=b'{"isbn":1}'), document("b2", data=b'{"isbn":1}'))
    other.close()


def test_who_names_the_tables_waits_for_another_that_does(path: Path) -> None:
    storage = SQLiteStorage(f"sqlite:///{path}?timeout=30")
    storage.create()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE happened_schema SET domain = 'shop'")
    with ThreadPoolExecutor(1) as pool:
        preparing = pool.submit(storage.prepare, [], "library")
        with pytest.raises(TimeoutError):
            preparing.result(0.3)
        other.execute("COMMIT")
        with pytest.raises(StorageError, match="domain 'shop', and this is domain 'library'"):
            preparing.result(30)
    assert other.execute("SELECT domain FROM happened_schema").fetchall() == [("shop",)]
    other.close()
    storage.close()


def test_a_query_for_a_unique_field_uses_its_index(storage: SQLiteStorage) -> None:
    storage.prepare([Collection("book", ("isbn",), "Book", ("pages",))])
    transaction = storage.begin()
    for condition, index in [
        (Filter(("isbn",), "exact", "978", "text"), "happened_unique:book:isbn"),
        (Filter(("pages",), "exact", 7, "number"), "happened_index:book:pages"),
    ]:
        query = selection("book", Criteria((condition,)), None)
        plan = transaction.connection.execute(
            f"EXPLAIN QUERY PLAN {query.rows}", query.parameters
        ).fetchall()
        assert index in str(plan)
    transaction.rollback()


def test_the_unread_messages_of_a_partition_are_found_by_an_index(storage: SQLiteStorage) -> None:
    transaction = storage.begin()
    for sql, parameters in [(_UNREAD, ("[]", "Stock")), (_WAITING, ("Stock", "Stock"))]:
        plan = str(
            transaction.connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
        )
        assert not re.search(r"SCAN (message|happened_deliveries|place)", plan), plan
    transaction.rollback()


def test_text_with_nul_is_refused(storage: SQLiteStorage) -> None:
    """SQLite's functions for JSON end at it."""
    with pytest.raises(ValidationError, match="NUL"):
        save(storage, "book", document("b1", data=b'{"title":"a\\u0000b"}'))
    save(storage, "book", document("b1", data=b'{"title":"a\\\\u0000b"}'))


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "m\ud800"},
        {"type": "Lent\ud800"},
        {"stream": "book-\ud800"},
        {"correlation_id": "c\ud800"},
        {"causation_id": "c\ud800"},
        {"origin_stream": "book-\ud800"},
    ],
)
def test_a_message_with_a_lone_surrogate_is_refused(
    storage: SQLiteStorage, changed: dict[str, Any]
) -> None:
    made = message("book-b1", 0)
    with pytest.raises(ValidationError, match=r"\\ud800' has a lone surrogate, so it is no") as e:
        append(storage, made._replace(metadata=made.metadata._replace(**changed)))
    assert e.value.title == ("Lent\\ud800" if "type" in changed else made.metadata.type)
    assert isinstance(e.value.__cause__, UnicodeEncodeError)
    append(storage, made)


def test_what_else_has_a_lone_surrogate_is_refused(storage: SQLiteStorage) -> None:
    storage.prepare([Collection("book", (), "Book")])

    def settle() -> None:
        transaction = storage.begin()
        transaction.settle("Log", "m\ud800")
        transaction.commit()

    uses: list[tuple[Callable[[], object], str]] = [
        (lambda: save(storage, "book", document("b\ud800")), "Book"),
        (lambda: append(storage, message("book-b1", 0)._replace(claims=("Log\ud800",))), ""),
        (settle, ""),
        (lambda: load(storage, "book", "b\ud800"), ""),
        (lambda: storage.read("book-\ud800"), ""),
        (lambda: storage.subscribe("Log\ud800"), ""),
    ]
    for use, title in uses:
        with pytest.raises(ValidationError, match="has a lone surrogate") as e:
            use()
        assert e.value.title == title
    assert found(storage, "book") == []
    save(storage, "book", document("b1"))


# ------------------------------------------------------------------- errors


def test_who_waits_too_long_for_another_process_is_told(storage: SQLiteStorage, path: Path) -> None:
    save(storage, "book", document("b1"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(
        StorageError, match=r"another process has been writing for 0.2 seconds"
    ) as e:
        save(storage, "book", document("b2"))
    assert isinstance(e.value.__cause__, sqlite3.OperationalError)
    assert found(storage, "book") == ["b1"], "readers do not wait"
    other.execute("ROLLBACK")
    other.close()
    save(storage, "book", document("b2"))


def test_who_waits_too_long_for_another_transaction_is_told(storage: SQLiteStorage) -> None:
    transaction = storage.begin()
    locking = [transaction.locking]
    transaction.save("book", document("b1"), expected=0)
    locking.append(transaction.locking)
    assert transaction.connection is transaction.connection
    locking.append(transaction.locking)
    assert locking == [False, False, True]
    with pytest.raises(StorageError, match="a transaction of this process"):
        save(storage, "book", document("b2"))
    transaction.commit()
    save(storage, "book", document("b2"))
    assert found(storage, "book") == ["b1", "b2"]


def test_a_file_that_is_no_database_is_told_apart(storage: SQLiteStorage, path: Path) -> None:
    path.write_text("This is a letter, and no database at all. " * 100)
    with pytest.raises(StorageError, match="no SQLite database"):
        storage.read("book-b1")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    storage = SQLiteStorage(f"sqlite:///{tmp_path}/nowhere/shelf.db")
    with pytest.raises(StorageError, match="cannot be opened; check that its folder exists"):
        load(storage, "book", "b1")


def test_a_full_disk_leaves_nothing_half_written(storage: SQLiteStorage) -> None:
    save(storage, "book", document("b1"))
    transaction = storage.begin()
    connection = transaction.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    transaction.save("book", document("b1", 2), expected=1)
    transaction.save("book", document("b2", data=b'"' + b"x" * 100_000 + b'"'), expected=0)
    with pytest.raises(StorageError, match="the disk is full"):
        transaction.commit()
    assert load(storage, "book", "b1") == document("b1")
    connection.execute("PRAGMA max_page_count = 1000000")
    save(storage, "book", document("b2"))
    assert found(storage, "book") == ["b1", "b2"]


# ------------------------------------------------------------------- connections


def test_statements_of_ones_own_are_a_part_of_the_transaction(storage: SQLiteStorage) -> None:
    transaction = storage.begin()
    transaction.save("book", document("b1"), expected=0)
    execute = transaction.connection.execute
    execute("CREATE TABLE mine (n)")
    assert execute("SELECT count(*) FROM happened_documents").fetchone() == (1,)
    transaction.save("book", document("b1", 2), expected=1)
    transaction.append([message("book-b1", 0)])
    execute("INSERT INTO mine VALUES (7)")
    assert [each.version for each in transaction.find("book", Criteria()).items] == [2]
    transaction.commit()
    assert load(storage, "book", "b1") == document("b1", 2)
    transaction = storage.begin()
    transaction.connection.execute("INSERT INTO mine VALUES (8)")
    transaction.rollback()
    transaction = storage.begin()
    assert transaction.connection.execute("SELECT n FROM mine").fetchall() == [(7,)]
    transaction.rollback()


def test_what_was_handed_over_already_can_be_changed_removed_and_added_again(
    storage: SQLiteStorage,
) -> None:
    save(storage, "book", document("b1"))
    transaction = storage.begin()
    transaction.save("book", document("b2"), expected=0)
    transaction.remove("book", "b1", expected=1)
    transaction.connection.execute("SELECT 1")
    transaction.remove("book", "b2", expected=1)
    transaction.save("book", document("b1", 2), expected=0)
    transaction.connection.execute("SELECT 1")
    transaction.commit()
    assert load(storage, "book", "b1") == document("b1", 2)
    save(storage, "book", document("b2"))


def test_a_mark_holds_after_the_connection_was_used(storage: SQLiteStorage) -> None:
    transaction = storage.begin()
    transaction.save("book", document("b1"), expected=0)
    mark = transaction.savepoint(sure=True)
    transaction.connection.execute("CREATE TABLE mine (n)")
    transaction.save("book", document("b2"), expected=0)
    inner = transaction.savepoint(sure=True)
    transaction.connection.execute("INSERT INTO mine VALUES (1)")
    assert transaction.restore(inner)
    assert transaction.connection.execute("SELECT * FROM mine").fetchall() == []
    assert len(transaction.find("book", Criteria())) == 2
    assert transaction.restore(mark)
    transaction.commit()
    assert found(storage, "book") == ["b1"]


class Session:
    """Looks like a session of SQLAlchemy."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.driver = connection

    def connection(self) -> Any:
        class Pooled:
            driver_connection = dbapi_connection = self.driver

        class Connection:
            connection = Pooled()

        return Connection()


@pytest.mark.parametrize("level", ["", None, "IMMEDIATE"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_somebody_else_s_connection_is_joined(
    storage: SQLiteStorage, path: Path, level: Any, wrapped: bool
) -> None:
    save(storage, "book", document("b1"))
    owner = sqlite3.connect(path, isolation_level=level)
    owner.row_factory = sqlite3.Row
    transaction = storage.begin(Session(owner) if wrapped else owner)
    assert transaction.load("book", "b1") == document("b1")
    transaction.save("book", document("b1", 2), expected=1)
    transaction.append([message("book-b1", 0)])
    transaction.commit()
    assert owner.in_transaction
    assert load(storage, "book", "b1") == document("b1")
    owner.execute("COMMIT")
    assert load(storage, "book", "b1") == document("b1", 2)
    owner.execute("BEGIN")
    owner.execute("CREATE TABLE mine (n)")
    transaction = storage.begin(owner)
    transaction.save("book", document("b1", 9), expected=8)
    with pytest.raises(ConcurrencyError):
        transaction.commit()
    transaction.rollback()
    other = storage.begin(owner)
    other.save("book", document("b3"), expected=0)
    assert other.connection is owner
    other.rollback()
    owner.commit()
    assert owner.execute("SELECT count(*) FROM mine").fetchone()[0] == 0
    assert found(storage, "book") == ["b1"]
    owner.close()


@pytest.mark.parametrize("ends", ["commit", "rollback"])
@pytest.mark.parametrize("kind", ["connection", "session", "pooled"])
def test_writes_join_a_transaction_of_sqlalchemy(
    storage: SQLiteStorage, path: Path, kind: str, ends: str
) -> None:
    storage.create()
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    given: Any
    if kind == "connection":
        given = engine.connect()
        given.begin()
    else:
        given = orm.Session(engine) if kind == "session" else engine.raw_connection()
    transaction = storage.begin(given)
    transaction.save("book", document("b1"), expected=0)
    transaction.commit()
    assert load(storage, "book", "b1") is None, "the owner has not committed"
    getattr(given, ends)()
    given.close()
    engine.dispose()
    assert found(storage, "book") == (["b1"] if ends == "commit" else [])


def test_a_connection_of_sqlalchemy_without_a_transaction_is_not_joined(
    storage: SQLiteStorage, path: Path
) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with (
        engine.connect() as connection,
        pytest.raises(ConfigurationError, match="begin a transaction first"),
    ):
        storage.begin(connection)
    engine.dispose()


def test_what_cannot_be_joined_is_refused(storage: SQLiteStorage, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "other.db")
    memory = sqlite3.connect(":memory:")
    for wrong in (other, memory, "shelf.db", object(), Session("nothing")):  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError):
            storage.begin(wrong)
    other.close()
    memory.close()
    with pytest.raises(StorageError):
        storage.begin(memory)


def test_connections_are_used_again(storage: SQLiteStorage) -> None:
    for _ in range(5):
        save(storage, "book", document(str(_)))
        found(storage, "book")
    assert len(storage._file._free) == 1


def names(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def test_factories_that_a_handler_sets_last_as_long_as_its_transaction(
    storage: SQLiteStorage,
) -> None:
    save(storage, "book", document("b1"))
    transaction = storage.begin()
    connection = transaction.connection
    connection.row_factory = names
    assert connection.execute("SELECT 1 AS n").fetchone() == {"n": 1}
    assert transaction.load("book", "b1") == document("b1")
    connection.text_factory = bytes
    transaction.commit()
    transaction = storage.begin()
    assert transaction.connection is connection
    assert connection.execute("SELECT 'text'").fetchone() == ("text",)
    transaction.rollback()
    assert found(storage, "book") == ["b1"]


class Interrupted(sqlite3.Connection):
    """A connection that Ctrl-C meets once, right after a certain statement."""

    after = ""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        cursor = super().execute(sql, parameters)
        if sql == self.after:
            self.after = ""
            raise KeyboardInterrupt
        return cursor


def interrupted(path: object, after: str) -> Interrupted:
    connection = sqlite3.connect(
        str(path), isolation_level=None, check_same_thread=False, factory=Interrupted
    )
    connection.after = after
    return connection


def stored_by(storage: SQLiteStorage, path: Path) -> list[str]:
    """What is stored, once others and this storage could write."""
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.close()
    free = storage._file._free
    assert len({id(each) for each in free}) == len(free)
    assert not any(each.in_transaction for each in free)
    save(storage, "book", document("last"))
    return found(storage, "book")


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "COMMIT"])
def test_after_an_interrupt_everybody_can_write(
    storage: SQLiteStorage, path: Path, statement: str
) -> None:
    storage.create()
    storage._file._free.append(interrupted(path, statement))
    with pytest.raises(KeyboardInterrupt):
        save(storage, "book", document("b1"))
    storage._file._free.append(interrupted(path, statement))
    with pytest.raises(KeyboardInterrupt):
        storage.subscribe("Log")
    is_stored = statement == "COMMIT"
    assert stored_by(storage, path) == [*(["b1"] if is_stored else []), "last"]
    assert bool(storage.checkpoints()) == is_stored


@pytest.mark.parametrize("method", ["commit", "give", "tell"])
def test_after_an_interrupt_of_a_commit_each_connection_is_free_once(
    storage: SQLiteStorage, path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.create()
    original, calls = getattr(storage._file, method), count()

    def once(*arguments: Any) -> None:
        original(*arguments)
        if not next(calls):
            raise KeyboardInterrupt

    transaction = storage.begin()
    transaction.save("book", document("b1"), expected=0)
    monkeypatch.setattr(storage._file, method, once)
    with pytest.raises(KeyboardInterrupt):
        transaction.commit()
    transaction.rollback()
    assert stored_by(storage, path) == ["b1", "last"]


def can_claim(storage: SQLiteStorage) -> bool:
    transaction = storage.begin()
    try:
        return transaction.claim("Log", ["book"], datetime.now(UTC)) is not None
    finally:
        transaction.rollback()


@pytest.mark.parametrize("statement", ["BEGIN EXCLUSIVE", "ROLLBACK", "search"])
def test_after_an_interrupt_of_a_claim_other_processes_can_claim(
    storage: SQLiteStorage, path: Path, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(storage, message("book-b1", 0))
    storage.subscribe("Log")
    partitions = storage._file.partitions
    partitions._connections.append(interrupted(f"{path}-server", statement))
    work, searches = SQLiteTransaction._work, count()

    def search(self: SQLiteTransaction, *arguments: Any) -> Any:
        if partitions.locked and statement == "search" and not next(searches):
            raise KeyboardInterrupt
        return work(self, *arguments)

    monkeypatch.setattr(SQLiteTransaction, "_work", search)
    with pytest.raises(KeyboardInterrupt):
        can_claim(storage)
    other = SQLiteStorage(storage.url)
    assert can_claim(other)
    assert can_claim(storage)
    assert can_claim(other)
    other.close()


# ------------------------------------------------------------------- claims


def neighbour(category: str, stream: str) -> str:
    """A stream of a category in the partition of another stream."""
    names = (f"{category}-{n}" for n in count())
    return next(name for name in names if partition(name) == partition(stream))


@pytest.fixture
def interrupt_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have something done once, right after a claim has read something with a certain statement."""

    def arrange(statement: str, parameter: str, do: Callable[[], None]) -> None:
        rows, todo = SQLiteTransaction._rows, [do]

        def interrupted(self: SQLiteTransaction, sql: str, parameters: Any = ()) -> list[Any]:
            found = rows(self, sql, parameters)
            claims = self._file.partitions.locked
            if claims and sql.startswith(statement) and parameters[0] == parameter and todo:
                todo.pop()()
            return found

        monkeypatch.setattr(SQLiteTransaction, "_rows", interrupted)

    return arrange


def test_what_is_retried_during_a_claim_still_holds_up_what_waits_behind_it(
    storage: SQLiteStorage, interrupt_reading: Callable[..., None]
) -> None:
    first, second = message("book-b1", 0), message("book-b1", 1)
    append(storage, first, second)
    storage.subscribe("Log")
    dead = delivery_of("Log", first.metadata, "held")._replace(state="dead")
    aside = storage.begin()
    aside.defer(dead)
    aside.defer(delivery_of("Log", second.metadata, "held"))
    aside.commit()

    def retry() -> None:
        other = storage.begin()
        other.settle("Log", first.metadata.id)
        other.defer(dead._replace(state="retrying"))
        other.commit()

    interrupt_reading(_WAITING, "Log", retry)
    transaction = storage.begin()
    claim = transaction.claim("Log", ["book"], datetime.now(UTC))
    assert claim is not None
    assert not claim.due
    assert claim.blocked == {"book-b1"}
    transaction.rollback()
    transaction = storage.begin()
    claim = transaction.claim("Log", ["book"], datetime.now(UTC))
    assert claim is not None
    assert [each.position for each in claim.due] == [0, 1]
    transaction.rollback()


def test_what_is_committed_while_several_categories_are_read_is_not_skipped(
    storage: SQLiteStorage, interrupt_reading: Callable[..., None]
) -> None:
    pen = neighbour("pen", "book-b1")
    append(storage, message(pen, 0))
    storage.subscribe("Log")
    interrupt_reading(
        MESSAGES, "book", lambda: append(storage, message("book-b1", 0), message(pen, 1))
    )
    read: list[tuple[str | None, int | None]] = []
    for _ in range(2):
        transaction = storage.begin()
        claim = transaction.claim("Log", ["book", "pen"], datetime.now(UTC), limit=10)
        assert claim is not None
        read += [(each.metadata.stream, each.metadata.position) for each in claim.messages]
        end = (claim.messages[-1].metadata.global_position or 0) + 1
        transaction.advance(claim.checkpoint._replace(position=end))
        transaction.commit()
    assert read == [(pen, 0), ("book-b1", 0), (pen, 1)]


def test_who_waits_to_hold_partitions_gets_them_from_a_process_that_never_pauses(
    storage: SQLiteStorage,
) -> None:
    append(storage, message("book-1", 0), message("book-2", 0))
    assert partition("book-1") != partition("book-2")
    for each in ("Log", "Rebuild"):
        storage.subscribe(each)
    waiting = open_storage(f"{storage.url.partition('?')[0]}?timeout=10")
    rebuild = waiting.begin()
    held: list[Checkpoint] = []
    thread = threading.Thread(target=lambda: held.extend(rebuild.hold("Rebuild")), daemon=True)
    busy = storage.begin()
    assert busy.claim("Log", ["book"], datetime.now(UTC)) is not None
    thread.start()
    while thread.is_alive():  # as long as it gets one, it lets none go before it has the next
        following = storage.begin()
        following.claim("Log", ["book"], datetime.now(UTC))
        busy.rollback()
        busy = following
    busy.rollback()
    assert len(held) == PARTITIONS
    assert not can_claim(storage)
    rebuild.rollback()
    waiting.close()


def test_who_waits_too_long_to_hold_partitions_is_told_for_whom(storage: SQLiteStorage) -> None:
    append(storage, message("book-b1", 0))
    storage.subscribe("Log")
    busy, other = storage.begin(), SQLiteStorage(storage.url)
    assert busy.claim("Log", ["book"], datetime.now(UTC)) is not None
    for waiting, text in [
        (storage, "this process has been handling messages of Log for 0.2 seconds"),
        (other, "another process has been handling messages for 0.2 seconds"),
    ]:
        transaction = waiting.begin()
        with pytest.raises(StorageError, match=f"{text}.*; wait longer with .timeout= in the URL"):
            transaction.hold("Log")
        transaction.rollback()
    busy.rollback()
    assert can_claim(storage)
    other.close()


# ------------------------------------------------------------------- processes


def run(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    )


CLAIMER = """
import sys, datetime
from happened.storage import open_storage
storage = open_storage(sys.argv[1])
transaction = storage.begin()
claim = transaction.claim("Stock", None, datetime.datetime.now(datetime.timezone.utc))
print("claimed" if claim else "nothing", flush=True)
sys.stdin.read()
"""


def test_a_claim_keeps_other_processes_away_and_ends_with_its_process(
    storage: SQLiteStorage,
) -> None:
    storage.subscribe("Stock")
    append(storage, message("book-b1", 0), message("shelf-s1", 0))
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIMER, storage.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "claimed\n"
    transaction = storage.begin()
    assert transaction.claim("Stock", None, datetime.now(UTC)) is None
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert transaction.claim("Stock", None, datetime.now(UTC)) is not None
    transaction.rollback()


COUNTER = """
import sys
from happened import ConcurrencyError
from happened.storage import Document, open_storage
storage = open_storage(sys.argv[1])
for _ in range(50):
    while True:
        transaction = storage.begin()
        before = transaction.load("counter", "c1")
        after = before._replace(version=before.version + 1, data=b"%d" % (int(before.data) + 1))
        transaction.save("counter", after, expected=before.version)
        try:
            transaction.commit()
            break
        except ConcurrencyError:
            transaction.rollback()
"""


def test_of_four_processes_none_overwrites_another(path: Path) -> None:
    url = f"sqlite:///{path}?synchronous=normal&timeout=60"
    storage = open_storage(url)
    save(storage, "counter", document("c1", data=b"0"))
    processes = [run(COUNTER, url) for _ in range(4)]
    for each in processes:
        assert each.wait(120) == 0
        each.communicate()
    assert load(storage, "counter", "c1") == document("c1", 201, b"200")
    storage.close()


def test_four_processes_make_the_tables_at_once(path: Path) -> None:
    program = "import sys; from happened.storage import open_storage; "
    program += "print(open_storage(sys.argv[1]).create())"
    processes = [run(program, f"sqlite:///{path}") for _ in range(4)]
    outputs = [each.communicate(timeout=60)[0] for each in processes]
    assert [each.returncode for each in processes] == [0] * 4
    assert sorted(outputs) == ["['tables made, version 1']\n", *["[]\n"] * 3]


@pytest.mark.parametrize("point", ["before the writes", "after the writes", "done"])
def test_a_process_that_dies_leaves_all_or_nothing(path: Path, point: str) -> None:
    program = (
        "import sys; from tests.storages import *; "
        "from happened.storage import open_storage; "
        "from happened.testing.storage_contract.actions import *; "
        "storage = open_storage(sys.argv[1]); transaction = storage.begin(); "
        "transaction.save('book', document('b1'), expected=0); "
        "transaction.append([message('book-b1', 0)]); transaction.commit()"
    )
    url = f"sqlite:///{path}"
    open_storage(url).create()
    process = subprocess.run(
        [sys.executable, "-c", program, url],
        env={**os.environ, "FAULT_POINT": f"commit: {point}"},
        check=False,
    )
    assert process.returncode == -9
    storage = open_storage(url)
    expected = 1 if point == "done" else 0
    assert len(found(storage, "book")) == len(storage.read("book-b1")) == expected
    storage.close()


def test_a_process_that_was_forked_opens_connections_of_its_own(storage: SQLiteStorage) -> None:
    save(storage, "book", document("b1"))
    before = storage._file._free[0]
    child = os.fork()
    if not child:
        status = 1
        try:
            assert load(storage, "book", "b1") is not None
            assert storage._file._free[0] is not before
            save(storage, "book", document("b2"))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    save(storage, "book", document("b3"))
    assert found(storage, "book") == ["b1", "b2", "b3"]


def test_a_commit_of_another_process_ends_the_waiting(storage: SQLiteStorage, path: Path) -> None:
    storage.create()
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(storage.wait(60)), daemon=True)
    thread.start()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (n)")
    for n in range(200):
        with other:
            other.execute("INSERT INTO mine VALUES (?)", (n,))
        thread.join(0.05)
        if results:
            break
    other.close()
    assert results == [True]


def test_a_document_is_text_that_any_program_can_read(storage: SQLiteStorage, path: Path) -> None:
    save(storage, "book", Document("b1", 1, 0, '{"title":"Émile"}'.encode()))
    with sqlite3.connect(path) as other:
        (title,) = other.execute("SELECT json_extract(data, '$.title') FROM happened_documents")
    other.close()
    assert title == ("Émile",)


@pytest.mark.parametrize(
    "column,value,left",
    [
        ("data", b"\xff", b"\xff"),
        ("headers", "[1]", b""),
        ("headers", "{", b""),
        ("headers", b"\xff", b""),
        ("claims", "5", b""),
        ("timestamp", "yesterday", b""),
        ("timestamp", "2026-01-01T00:00:00", b""),
    ],
)
def test_a_damaged_row_is_no_obstacle_and_the_rest_can_be_read(
    storage: SQLiteStorage, path: Path, column: str, value: object, left: bytes
) -> None:
    append(storage, message("book-b1", 0), message("book-b1", 1))
    with sqlite3.connect(path) as other:
        other.execute(
            f"UPDATE happened_messages SET {column} = CAST(? AS TEXT) WHERE position = 0", (value,)
        )
    other.close()
    assert [each.data for each in storage.read("book-b1")] == [left, b"{}"]
    storage.subscribe("Stock")
    assert storage.backlog("Stock", None).messages == 2
    assert [each.messages for each in storage.streams()] == [2]


def test_a_process_that_was_forked_lets_go_of_the_partitions_that_it_claimed(
    storage: SQLiteStorage,
) -> None:
    append(storage, message("book-b1", 0))
    storage.subscribe("Log")

    def is_claimed() -> bool:
        transaction = storage.begin()
        claim = transaction.claim("Log", ["book"], datetime.now(UTC))
        transaction.rollback()
        return claim is not None

    assert is_claimed()
    (heard, tell), (wait, let_go) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(tell, b"y" if is_claimed() else b"n")
            os.read(wait, 1)
        finally:
            os._exit(0)
    assert os.read(heard, 1) == b"y"
    try:
        assert is_claimed()
    finally:
        os.write(let_go, b".")
        os.waitpid(child, 0)
        for each in (heard, tell, wait, let_go):
            os.close(each)
