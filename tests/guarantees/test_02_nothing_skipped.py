"""Nothing skipped: who reads a category from position to position sees every message of it."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from happened import ConcurrencyError
from happened.storage import Storage, open_storage
from happened.testing.storage_contract.actions import append, document, message
from tests.guarantees.accounts import Figures, Tell, connected, disorder

pytestmark = pytest.mark.g2

WRITERS = 8
TURNS = 40


class Load:
    """Writers that commit in another order than they began in, roll back, and run into each other.

    Half of their writes go to a stream of their own, half to one that all of them share.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.committed: list[bytes] = []
        self.rolled_back = self.refused = 0
        self.pause = threading.Event()
        self.done = threading.Event()

    def write(self, writer: int) -> None:
        chance = random.Random(writer)
        for turn in range(TURNS):
            id = chance.choice([f"own{writer}", "shared"])
            data = b"%d.%d" % (writer, turn)
            transaction = self.storage.begin()
            try:
                before = transaction.load("book", id)
                version = before.version if before else 0
                transaction.save("book", document(id, version + 1), expected=version)
                transaction.append([message(f"book-{id}", version, data)])
                transaction.flush()  # so that the pause lies between the insert and the commit
                self.pause.wait(chance.random() / 500)
                if chance.random() < 0.8:
                    transaction.commit()
                    self.committed.append(data)
                else:
                    self.rolled_back += 1
            except ConcurrencyError:
                self.refused += 1
            finally:
                transaction.rollback()

    def read(self) -> list[tuple[int | None, str | None, int | None, bytes]]:
        seen: list[tuple[int | None, str | None, int | None, bytes]] = []
        start = 0
        while True:
            last = self.done.is_set()
            batch = self.storage.read_category("book", start=start, limit=7)
            for metadata, data, _ in batch:
                seen.append((metadata.global_position, metadata.stream, metadata.position, data))
                start = (metadata.global_position or 0) + 1
            if last and not batch:
                return seen


def test_a_reader_sees_what_eight_writers_commit_once_and_in_order(
    storage: Storage, tell: Tell
) -> None:
    load = Load(storage)
    idle = storage.begin()
    idle.append([message("book-idle", 0)])
    idle.flush()  # and left open: it has drawn the first number, where numbers are drawn
    with ThreadPoolExecutor(WRITERS + 2) as pool:
        readers = [pool.submit(load.read) for _ in range(2)]
        try:
            for each in [pool.submit(load.write, writer) for writer in range(WRITERS)]:
                each.result(60)
        finally:
            load.done.set()
        first, second = (each.result(60) for each in readers)
    idle.rollback()
    lost = len(load.committed) - len({data for *_, data in first})
    doubled = len(first) - len({data for *_, data in first})
    figures = Figures(events=len(load.committed), effects=len(first), lost=lost, doubled=doubled)
    figures.disordered = disorder((name or "", place or 0) for _, name, place, _ in first)
    tell(figures, f"{load.rolled_back} commits rolled back, {load.refused} refused")
    assert first == second
    assert sorted(data for *_, data in first) == sorted(load.committed)
    assert [place for place, *_ in first] == list(range(len(load.committed)))
    for stream in {name for _, name, *_ in first}:
        positions = [position for _, name, position, _ in first if name == stream]
        assert positions == list(range(len(positions)))
    assert WRITERS * TURNS / 4 < len(load.committed) < WRITERS * TURNS
    assert load.rolled_back
    assert load.refused


def test_what_was_left_open_is_seen_once_it_is_committed(storage: Storage) -> None:
    slow = storage.begin()
    slow.append([message("book-slow", 0, b'"slow"')])
    slow.flush()
    append(storage, message("book-quick", 0, b'"quick"'))
    seen = [each.data for each in storage.read_category("book")]
    slow.commit()
    seen += [each.data for each in storage.read_category("book", start=len(seen))]
    assert seen == [b'"quick"', b'"slow"']


def test_a_reader_that_remembers_the_highest_number_would_lose_messages(
    postgres_url: str, tell: Tell
) -> None:
    """The test of the test: numbers that are drawn at the insert are seen in another order."""
    storage = open_storage(postgres_url)
    highest = 0
    naive: list[str] = []
    own: list[bytes] = []
    rounds = 20
    for number in range(rounds):
        slow = storage.begin()
        slow.append([message("book-slow", number, b'"slow"')])
        slow.flush()
        append(storage, message("book-quick", number, b'"quick"'))
        for after in (slow.commit, slow.rollback):
            rows = rows_after(postgres_url, highest)
            naive += [data for _, data in rows]
            highest = max([highest, *(row for row, _ in rows)])
            own += [each.data for each in storage.read_category("book", start=len(own))]
            after()
    own += [each.data for each in storage.read_category("book", start=len(own))]
    storage.close()
    figures = Figures(events=2 * rounds, effects=len(own), lost=2 * rounds - len(own))
    tell(figures, f"a naive reader lost {2 * rounds - len(naive)}")
    assert Counter(own) == {b'"slow"': rounds, b'"quick"': rounds}
    assert Counter(naive) == {'"quick"': rounds}


def rows_after(url: str, highest: int) -> list[tuple[int, str]]:
    """What a naive reader does: all that has a greater number than any that it saw."""
    schema = url.rpartition("schema=")[2]
    with connected(url) as connection:
        found: list[tuple[int, str]] = connection.execute(
            f"SELECT row, data::text FROM {schema}.messages WHERE row > %s ORDER BY row", (highest,)
        ).fetchall()
    return found
