"""What PostgreSQL reads for an answer, in blocks: it must not grow with what lies around it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import psycopg
import pytest

from happened.adapters.postgres import PostgresStorage
from happened.storage import Checkpoint
from happened.streams import PARTITIONS, partition
from happened.testing.storage_contract.actions import append, message

MANY = 2000
FEW = 60  # blocks; the messages of these tests fill several hundred

ALONE = next(f"book-{n}" for n in range(99) if partition(f"book-{n}") == 3)
CROWDED = next(f"book-{n}" for n in range(99) if partition(f"book-{n}") == 9)
OTHER = next(f"noise-{n}" for n in range(99) if partition(f"noise-{n}") == 3)


class Measured:
    """A storage with two crowded streams and one with a single message, the last of all."""

    def __init__(self, url: str) -> None:
        self.storage = PostgresStorage(url)
        self.storage.create()
        self.storage.subscribe("Stock")
        for stream in (CROWDED, OTHER):
            append(self.storage, *(message(stream, place) for place in range(MANY)))
        append(self.storage, message(ALONE, 0))
        self.storage.number()
        server, _, query = url.partition("?")
        self.asked: list[tuple[str, Any]] = []
        read = self.storage._connections.read

        def note(sql: str, parameters: Any = None) -> Any:
            self.asked.append((sql, parameters))
            return read(sql, parameters)

        self.storage._connections.read = note  # type: ignore[method-assign]
        self.connection = psycopg.connect(server, autocommit=True)
        self.connection.execute(f"SET search_path TO {parse_qs(query)['schema'][0]}")

    def blocks(self, sql: str, parameters: Any) -> int:
        """How many blocks a statement reads, those of its functions included.

        What a new connection has to look up is not it, nor what it looks up again because others
        change the catalogues at that moment: it is the fewest of some times.
        """
        explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"
        self.connection.execute(sql, parameters)
        rows = [self.connection.execute(explained, parameters).fetchone() for _ in range(3)]
        plans = [row[0][0]["Plan"] for row in rows if row is not None]
        return min(int(each["Shared Hit Blocks"] + each["Shared Read Blocks"]) for each in plans)


@pytest.fixture(params=["new", "analyzed"])
def measured(request: pytest.FixtureRequest, url: str) -> Iterator[Measured]:
    found = Measured(url)
    if request.param == "analyzed":  # with figures, the planner decides otherwise
        found.connection.execute("ANALYZE")
    yield found
    found.connection.close()
    found.storage.close()


@pytest.mark.parametrize("categories", [["book"], ["book", "other"], None])
def test_a_claim_does_not_read_other_streams_and_categories(
    measured: Measured, categories: list[str] | None
) -> None:
    if categories is None:  # who takes everything has read the noise
        skipped = Checkpoint("Stock", 3, 2 * MANY)
        transaction = measured.storage.begin()
        transaction.advance(skipped)
        transaction.commit()
    sql = "SELECT (message).stream FROM claim_partition('Stock', %s, %s, %s, 10, NULL)"
    now = datetime.now(UTC)
    given = (categories, now, now)
    streams = [stream for (stream,) in measured.connection.execute(sql, given)]
    assert streams == ([CROWDED] * 10 if categories is None else [ALONE])
    assert measured.blocks(sql, given) < FEW


@pytest.mark.parametrize(
    "stream, position, found",
    [
        (ALONE, 0, [ALONE]),
        (ALONE, 2 * MANY + 1, []),
        (CROWDED, 0, [CROWDED] * 10),
        (CROWDED, MANY, []),
    ],
)
def test_a_claim_of_news_reads_as_little(
    measured: Measured, stream: str, position: int, found: list[str]
) -> None:
    place = partition(stream)
    transaction = measured.storage.begin()
    transaction.advance(Checkpoint("Stock", place, position))
    transaction.commit()
    sql = "SELECT (message).stream FROM claim_news('Stock', 'book', %s::smallint, 10)"
    assert [stream for (stream,) in measured.connection.execute(sql, (place,))] == found
    assert measured.blocks(sql, (place,)) < FEW


def test_the_backlog_is_counted_without_reading_all_messages(measured: Measured) -> None:
    storage = measured.storage
    transaction = storage.begin()
    for number in range(PARTITIONS):
        transaction.advance(Checkpoint("Stock", number, 2 * MANY))
    transaction.commit()
    assert storage.backlog("Stock", ["book"]).messages == 1
    assert storage.backlog("Stock", None).messages == 1
    # What had no number yet stands in an index until a vacuum, and is passed over there.
    connection = measured.connection
    connection.execute("SET enable_seqscan = off")
    passed_over = measured.blocks("SELECT time FROM messages WHERE global_position IS NULL", None)
    for categories in (["book"], None):
        read = measured.blocks("SELECT * FROM backlog('Stock', %s::text[])", (categories,))
        assert read - passed_over < FEW


def test_a_category_is_read_from_a_position_on(measured: Measured) -> None:
    found = measured.storage.read_category("book", MANY - 2, 10)
    places = [each.metadata.global_position for each in found]
    assert places == [MANY - 2, MANY - 1, 2 * MANY]
    assert measured.blocks(*measured.asked[-1]) < FEW


@pytest.mark.parametrize("categories", [["book"], None])
def test_a_claim_looks_first_where_something_was_committed_last(
    url: str, categories: list[str] | None
) -> None:
    storage = PostgresStorage(url)
    storage.create()
    storage.subscribe("Stock")
    storage.wait(5)  # from here on it hears of commits
    append(storage, message(ALONE, 0))
    append(storage, message(CROWDED, 0))
    crowded = partition(CROWDED)
    while storage._news.hint("another", None) != crowded:  # both may come at once, or not
        assert storage.wait(30)
    now = datetime.now(UTC)
    places = []
    for _ in range(3):
        transaction = storage.begin()
        claim = transaction.claim("Stock", categories, now, limit=10)
        if claim is not None:
            places.append(claim.checkpoint.partition)
            position = (claim.messages[-1].metadata.global_position or 0) + 1
            transaction.advance(claim.checkpoint._replace(position=position))
            transaction.commit()
    assert places == [partition(CROWDED), partition(ALONE)]
    append(storage, message(OTHER, 0))
    assert storage.wait(30)
    transaction = storage.begin()
    claim = transaction.claim("Stock", ["book"], now, limit=10)
    assert claim is None, "where the news came from there is nothing for it"
    storage.close()
