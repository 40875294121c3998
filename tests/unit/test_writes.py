"""What a transaction keeps until its commit, and forgets again."""

from happened.storage import Document
from happened.writes import Writes


def test_a_mark_can_be_restored_more_than_once() -> None:
    writes = Writes()
    mark = writes.savepoint()
    for _ in range(2):
        writes.save("book", Document("b1", 1, 0, b"{}"), expected=0)
        assert writes.restore(mark)
        assert not writes.documents
