"""Nothing skipped: who reads a category from position to position sees every message of it."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from happened import ConcurrencyError
from happened.storage import Storage
from tests.storages import document, message

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
                self.pause.wait(chance.random() / 500)
                if chance.random() < 0.8:
                    transaction.commit()
                    self.committed.append(data)
            except ConcurrencyError:
                pass
            finally:
                transaction.rollback()

    def read(self) -> list[tuple[int | None, str | None, int | None, bytes]]:
        seen: list[tuple[int | None, str | None, int | None, bytes]] = []
        start = 0
        while True:
            last = self.done.is_set()
            batch = self.storage.read_category("book", start=start, limit=7)
            for metadata, data in batch:
                seen.append((metadata.global_position, metadata.stream, metadata.position, data))
                start = (metadata.global_position or 0) + 1
            if last and not batch:
                return seen


def test_a_reader_sees_what_eight_writers_commit_once_and_in_order(storage: Storage) -> None:
    load = Load(storage)
    with ThreadPoolExecutor(WRITERS + 2) as pool:
        readers = [pool.submit(load.read) for _ in range(2)]
        try:
            for each in [pool.submit(load.write, writer) for writer in range(WRITERS)]:
                each.result(60)
        finally:
            load.done.set()
        first, second = (each.result(60) for each in readers)
    assert first == second
    assert sorted(data for *_, data in first) == sorted(load.committed)
    assert [place for place, *_ in first] == list(range(len(load.committed)))
    for stream in {name for _, name, *_ in first}:
        positions = [position for _, name, position, _ in first if name == stream]
        assert positions == list(range(len(positions)))
    assert WRITERS * TURNS / 4 < len(load.committed) < WRITERS * TURNS
