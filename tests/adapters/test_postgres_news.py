"""What PostgreSQL tells of a commit, and how a claim looks first where the news came from."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from happened.adapters.postgres import PostgresStorage
from happened.storage import Claim, Delivery, Transaction
from happened.streams import partition
from happened.testing.storage_contract.actions import append, message

NOW = datetime.now(UTC)
ONE = next(f"book-{n}" for n in range(99) if partition(f"book-{n}") == 3)
TWO = next(f"book-{n}" for n in range(99) if partition(f"book-{n}") == 9)
BESIDE = next(f"shelf-{n}" for n in range(99) if partition(f"shelf-{n}") == 9)


@pytest.fixture
def storage(url: str) -> Iterator[PostgresStorage]:
    """A storage that hears of commits, with a subscription that has something to read."""
    opened = PostgresStorage(url)
    opened.subscribe("Stock")
    while opened.wait(0.3):
        pass
    append(opened, message(ONE, 0))
    yield opened
    opened.close()


def hear(storage: PostgresStorage, stream: str) -> None:
    """Wait until it has heard of the last commit, which was in a stream."""
    known = (partition(stream), stream.partition("-")[0])
    while storage._news._place != known:
        assert storage.wait(30)


def claimed(
    storage: PostgresStorage, categories: Sequence[str] | None = ("book",)
) -> tuple[Transaction, Claim | None]:
    transaction = storage.begin()
    return transaction, transaction.claim("Stock", categories, NOW, limit=10)


def advance(transaction: Transaction, claim: Claim) -> None:
    """Commit that what was claimed is handled."""
    position = (claim.messages[-1].metadata.global_position or 0) + 1
    transaction.advance(claim.checkpoint._replace(position=position))
    transaction.commit()


def test_the_partition_of_the_news_is_claimed_in_the_short_way(
    storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(storage, message(TWO, 0))
    append(storage, message(TWO, 1))
    hear(storage, TWO)
    monkeypatch.setattr(storage._tables, "claiming", None)
    transaction, claim = claimed(storage)
    assert claim is not None
    assert (claim.checkpoint.partition, claim.checkpoint.position) == (9, 0)
    assert claim.due == []
    assert claim.blocked == frozenset()
    assert list(claim.messages) == storage.read(TWO)
    transaction.advance(claim.checkpoint._replace(position=2))
    transaction.commit()


@pytest.mark.parametrize("categories", [None, ("book", "shelf"), ("shelf", "book")])
def test_who_reads_more_than_one_category_gets_them_in_order(
    storage: PostgresStorage, categories: Sequence[str] | None
) -> None:
    told = [message(BESIDE, 0), message(TWO, 0), message(BESIDE, 1)]
    for each in told:
        append(storage, each)
    hear(storage, BESIDE)
    transaction, claim = claimed(storage, categories)
    assert claim is not None
    assert [each.metadata.id for each in claim.messages] == [each.metadata.id for each in told]
    transaction.rollback()


def test_news_of_another_category_lead_nowhere(storage: PostgresStorage) -> None:
    append(storage, message(BESIDE, 0))
    hear(storage, BESIDE)
    transaction, claim = claimed(storage)
    assert claim is not None
    assert claim.checkpoint.partition == partition(ONE)
    transaction.rollback()


def test_where_somebody_else_is_at_it_the_rest_is_looked_through(storage: PostgresStorage) -> None:
    append(storage, message(TWO, 0))
    hear(storage, TWO)
    first, claim = claimed(storage)
    assert claim is not None
    assert claim.checkpoint.partition == partition(TWO)
    storage._news._told.clear()  # as another server, which has heard the same
    second, claim = claimed(storage)
    assert claim is not None
    assert claim.checkpoint.partition == partition(ONE)
    storage._news._told.clear()
    _, claim = claimed(storage)
    assert claim is None
    second.rollback()
    first.rollback()


def test_what_waits_in_the_partition_comes_along(storage: PostgresStorage) -> None:
    failed = message(TWO, 0)
    append(storage, failed)
    aside = storage.begin()
    dead = Delivery("Stock.reduce", "Stock", failed.metadata.id, TWO, 0, "dead", 6, NOW)
    aside.defer(dead)
    aside.commit()
    append(storage, message(TWO, 1))
    hear(storage, TWO)
    transaction, claim = claimed(storage)
    assert claim is not None
    assert claim.checkpoint.partition == partition(TWO)
    assert claim.blocked == {TWO}
    transaction.rollback()


def test_what_was_read_meanwhile_is_not_claimed_again(storage: PostgresStorage) -> None:
    append(storage, message(TWO, 0))
    hear(storage, TWO)
    for expected in (TWO, ONE, None):
        storage._news._told.clear()
        transaction, claim = claimed(storage)
        if claim is None:
            assert expected is None
            continue
        ((metadata, *_),) = claim.messages
        assert metadata.stream == expected
        advance(transaction, claim)


@pytest.mark.parametrize(
    "payload", ["", "7", "x book", "² book", "99999 book", "9 ", "9", "9 'book"]
)
def test_whatever_is_told_everything_is_found(
    storage: PostgresStorage, url: str, payload: str
) -> None:
    """Others may use the channel; an older release tells less."""
    with psycopg.connect(url.partition("?")[0], autocommit=True) as connection:
        told: Any = (storage._tables.channel, payload)
        connection.execute("SELECT pg_notify(%s, %s)", told)
    assert storage.wait(30)
    transaction, claim = claimed(storage)
    assert claim is not None
    assert claim.checkpoint.partition == partition(ONE)
    transaction.rollback()


@pytest.mark.parametrize("name", ["x" * 5_000, "ü" * 5_000, "заметки"], ids=["x", "ü", "short"])
def test_a_category_that_cannot_be_told_is_read_all_the_same(
    storage: PostgresStorage, name: str
) -> None:
    """It is too long, or would have to be encoded."""
    heard = storage._news._wakes
    append(storage, message(f"{name}-1", 0))
    while storage._news._wakes == heard:
        assert storage.wait(30)
    transaction, claim = claimed(storage, (name,))
    assert claim is not None
    assert len(claim.messages) == 1
    transaction.rollback()


PAUSE = "PERFORM pg_advisory_xact_lock(424242);"
BETWEEN = {  # where it stands before or between its looks at messages and at what waits for them
    "claim_news": "        RETURN QUERY\n",
    "claim_partition": "    has_messages := FOUND AND at_most > 0;\n",
}


@pytest.mark.parametrize("function", BETWEEN)
def test_a_message_is_never_seen_without_what_its_stream_waits_for(
    storage: PostgresStorage, url: str, function: str
) -> None:
    """One writer handles synchronously, and is at it; another one does not, and writes on."""
    writer = PostgresStorage(url)
    transaction, claim = claimed(storage)
    while claim is not None:  # what was there before is read
        advance(transaction, claim)
        transaction, claim = claimed(storage)
    append(storage, message(TWO, 0))
    hear(storage, TWO)
    if function == "claim_partition":
        storage._news._place = None
    with psycopg.connect(url.partition("?")[0], autocommit=True) as connection:
        there = BETWEEN[function]
        pause = f"{PAUSE}\n{there}" if function == "claim_news" else f"{there}{PAUSE}\n"
        name: Any = f"{storage._schema}.{function}"
        row = connection.execute("SELECT pg_get_functiondef(%s::regproc)", (name,)).fetchone()
        assert row is not None
        assert row[0].count(there) == 1
        connection.execute(row[0].replace(there, pause))
        connection.execute("SELECT pg_advisory_lock(424242)")
        with ThreadPoolExecutor() as pool:
            claiming = pool.submit(claimed, storage)
            waits = "SELECT count(*) FROM pg_locks WHERE objid = 424242 AND NOT granted"
            while connection.execute(waits).fetchone() == (0,):
                time.sleep(0.01)
            pending = message(TWO, 1)._replace(claims=("Stock.reduce",))
            append(writer, pending)
            append(writer, message(TWO, 2))
            connection.execute("SELECT pg_advisory_unlock(424242)")
            transaction, claim = claiming.result(30)
    assert claim is not None
    assert claim.checkpoint.partition == partition(TWO)
    unclaimed = [each for each in claim.messages if not each.claims]
    later = [each for each in unclaimed if (each.metadata.position or 0) > 1]
    assert claim.blocked == {TWO} or not later
    transaction.rollback()
    writer.close()
