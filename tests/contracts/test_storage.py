"""What every storage must do. These functions know the port alone."""

import itertools
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import FrameType
from typing import Any

import pytest

from happened import ConcurrencyError, StorageError, ValidationError
from happened.query import Criteria, Filter, Sort
from happened.storage import Collection, Document, Storage, Transaction
from tests.storages import append, document, found, load, message, save

# ------------------------------------------------------------------- documents


def test_a_committed_document_is_loaded_as_it_was_saved(storage: Storage) -> None:
    saved = Document("b1", 1, 3, '{"title":"Émile 🙂"}'.encode())
    save(storage, "book", saved)
    assert load(storage, "book", "b1") == saved
    assert load(storage, "book", "b2") is None
    assert load(storage, "shelf", "b1") is None


def test_nothing_is_seen_by_others_before_the_commit(storage: Storage) -> None:
    transaction = storage.begin()
    transaction.save("book", document("b1"), expected=0)
    transaction.append([message("book-b1", 0)])
    assert load(storage, "book", "b1") is None
    assert found(storage, "book") == []
    assert storage.read("book-b1") == []
    transaction.commit()
    assert found(storage, "book") == ["b1"]
    assert len(storage.read("book-b1")) == 1


def test_a_transaction_reads_its_own_writes(storage: Storage) -> None:
    save(storage, "book", document("b1", data=b'{"n":1}'), document("b2", data=b'{"n":2}'))
    transaction = storage.begin()
    transaction.save("book", document("b1", 2, b'{"n":9}'), expected=1)
    transaction.remove("book", "b2", expected=1)
    transaction.save("book", document("b3", data=b'{"n":9}'), expected=0)
    transaction.save("shelf", document("s1", data=b'{"n":9}'), expected=0)
    loaded = transaction.load("book", "b1")
    assert loaded is not None
    assert loaded.data == b'{"n":9}'
    assert transaction.load("book", "b2") is None
    nines = Criteria(filters=(Filter(("n",), "exact", 9, "number"),))
    page = transaction.find("book", nines)
    assert ([each.id for each in page.items], page.total) == (["b1", "b3"], 2)
    transaction.rollback()


def test_a_rollback_leaves_nothing_behind(storage: Storage) -> None:
    storage.prepare([Collection("book", ("isbn",))])
    save(storage, "book", document("b1", data=b'{"isbn":"1"}'))
    transaction = storage.begin()
    transaction.save("book", document("b1", 2, b'{"isbn":"2"}'), expected=1)
    transaction.save("book", document("b2", data=b'{"isbn":"1"}'), expected=0)
    transaction.append([message("book-b1", 0)])
    transaction.rollback()
    transaction.rollback()
    assert load(storage, "book", "b1") == document("b1", data=b'{"isbn":"1"}')
    assert found(storage, "book") == ["b1"]
    assert storage.read_category(None) == []
    save(storage, "book", document("b2", data=b'{"isbn":"2"}'))
    with pytest.raises(ValidationError):
        save(storage, "book", document("b3", data=b'{"isbn":"1"}'))


def test_a_rollback_after_the_commit_undoes_nothing(storage: Storage) -> None:
    transaction = storage.begin()
    transaction.save("book", document("b1"), expected=0)
    transaction.commit()
    transaction.rollback()
    assert found(storage, "book") == ["b1"]


def test_a_removed_document_is_gone_and_its_stream_stays(storage: Storage) -> None:
    save(storage, "book", document("b1"))
    append(storage, message("book-b1", 0))
    transaction = storage.begin()
    transaction.remove("book", "b1", expected=1)
    transaction.commit()
    assert load(storage, "book", "b1") is None
    assert found(storage, "book") == []
    assert len(storage.read("book-b1")) == 1


def test_the_identity_of_what_was_removed_is_not_used_again(storage: Storage) -> None:
    save(storage, "book", document("b1"), document("b2"))
    transaction = storage.begin()
    transaction.remove("book", "b1", expected=1)
    transaction.commit()
    with pytest.raises(ValidationError, match="'b1' was removed"):
        save(storage, "book", document("b1"))
    assert found(storage, "book") == ["b2"]


def test_what_a_transaction_adds_and_removes_was_never_there(storage: Storage) -> None:
    transaction = storage.begin()
    transaction.save("book", document("b1"), expected=0)
    transaction.remove("book", "b1", expected=1)
    transaction.commit()
    assert found(storage, "book") == []
    save(storage, "book", document("b1"))


# ------------------------------------------------------------------- versions


def saving(category: str, saved: Document, expected: int) -> Callable[[Storage], None]:
    def run(storage: Storage) -> None:
        transaction = storage.begin()
        try:
            transaction.save(category, saved, expected=expected)
            transaction.append([message(f"{category}-{saved.id}", 0)])
            transaction.commit()
        finally:
            transaction.rollback()

    return run


@pytest.mark.parametrize("expected,found_version", [(0, 2), (1, 2), (3, 2)])
def test_a_save_over_another_version_is_refused(
    storage: Storage, expected: int, found_version: int
) -> None:
    save(storage, "book", document("b1"))
    save(storage, "book", document("b1", 2))
    with pytest.raises(ConcurrencyError) as caught:
        saving("book", document("b1", expected + 1, b"[]"), expected)(storage)
    error = caught.value
    assert (error.stream, error.expected, error.found) == ("book-b1", expected, found_version)
    assert load(storage, "book", "b1") == document("b1", 2)
    assert storage.read_category(None) == []


def test_a_save_of_a_document_that_was_removed_meanwhile_is_refused(storage: Storage) -> None:
    with pytest.raises(ConcurrencyError) as caught:
        saving("book", document("b1", 2), 1)(storage)
    assert (caught.value.expected, caught.value.found) == (1, 0)
    assert load(storage, "book", "b1") is None


def test_a_removal_of_another_version_is_refused(storage: Storage) -> None:
    save(storage, "book", document("b1"))
    save(storage, "book", document("b1", 2))
    with pytest.raises(ConcurrencyError):
        remove_first_version(storage)
    assert load(storage, "book", "b1") == document("b1", 2)


def remove_first_version(storage: Storage) -> None:
    transaction = storage.begin()
    try:
        transaction.remove("book", "b1", expected=1)
        transaction.commit()
    finally:
        transaction.rollback()


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_writers_the_one_that_commits_first_wins(storage: Storage, first: int) -> None:
    """In a storage that locks what is written, the second one may learn it when it saves."""
    save(storage, "book", document("b1"))
    writers = [storage.begin(), storage.begin()]
    versions = [writer.load("book", "b1") for writer in writers]
    assert versions == [document("b1"), document("b1")]
    winner, loser = writers[first], writers[1 - first]
    winner.save("book", document("b1", 2, b'{"by":"winner"}'), expected=1)
    winner.commit()
    with pytest.raises(ConcurrencyError):
        overwrite(loser)
    loser.rollback()
    assert load(storage, "book", "b1") == document("b1", 2, b'{"by":"winner"}')


def overwrite(transaction: Transaction) -> None:
    transaction.save("book", document("b1", 2, b'{"by":"loser"}'), expected=1)
    transaction.commit()


def test_the_version_that_a_transaction_wrote_is_the_next_one_to_expect(storage: Storage) -> None:
    transaction = storage.begin()
    transaction.save("book", document("b1", 1), expected=0)
    transaction.save("book", document("b1", 2), expected=1)
    transaction.commit()
    assert load(storage, "book", "b1") == document("b1", 2)
    with pytest.raises(ConcurrencyError):
        save_twice(storage)
    assert load(storage, "book", "b1") == document("b1", 2)


def save_twice(storage: Storage) -> None:
    transaction = storage.begin()
    try:
        transaction.save("book", document("b1", 3), expected=2)
        transaction.save("book", document("b1", 3, b"[]"), expected=2)
        transaction.commit()
    finally:
        transaction.rollback()


def test_a_conflict_in_one_document_keeps_all_others_out(storage: Storage) -> None:
    save(storage, "book", document("b2"))
    with pytest.raises(ConcurrencyError):
        save(storage, "book", document("b1"), document("b2"), document("b3"))
    assert found(storage, "book") == ["b2"]


# ------------------------------------------------------------------- unique fields


def isbn(id: str, value: str, version: int = 1) -> Document:
    return document(id, version, f'{{"isbn":{value}}}'.encode())


@pytest.fixture
def books(storage: Storage) -> Storage:
    """A storage with two books whose ISBN is unique."""
    storage.prepare([Collection("book", ("isbn",))])
    save(storage, "book", isbn("b1", '"1"'), isbn("b2", '"2"'))
    return storage


def test_a_unique_value_is_stored_once(books: Storage) -> None:
    with pytest.raises(ValidationError) as caught:
        save(books, "book", isbn("b3", '"1"'))
    assert list(caught.value.messages) == ["isbn"]
    assert "'1'" in caught.value.messages["isbn"][0]
    with pytest.raises(ValidationError):
        save(books, "book", isbn("b1", '"2"', 2))
    assert found(books, "book") == ["b1", "b2"]


def test_a_document_may_keep_its_unique_value(books: Storage) -> None:
    save(books, "book", isbn("b1", '"1"', 2))
    assert load(books, "book", "b1") == isbn("b1", '"1"', 2)
    with pytest.raises(ValidationError):
        save(books, "book", isbn("b3", '"1"'))


def test_two_documents_of_one_transaction_cannot_have_the_same_unique_value(
    books: Storage,
) -> None:
    with pytest.raises(ValidationError):
        save(books, "book", isbn("b3", '"3"'), isbn("b4", '"3"'))
    with pytest.raises(ValidationError):
        save(books, "book", isbn("b1", '"2"', 2), isbn("b2", '"2"', 2))
    assert found(books, "book") == ["b1", "b2"]
    save(books, "book", isbn("b3", '"3"'))


def test_unique_values_can_be_swapped_in_one_transaction(books: Storage) -> None:
    save(books, "book", isbn("b1", '"2"', 2), isbn("b2", '"1"', 2))
    for taken in ('"1"', '"2"'):
        with pytest.raises(ValidationError):
            save(books, "book", isbn("b3", taken))
    save(books, "book", isbn("b1", '"3"', 3))
    save(books, "book", isbn("b3", '"2"'))


def test_a_unique_value_passes_on_in_one_transaction_in_either_order(books: Storage) -> None:
    save(books, "book", isbn("b3", '"1"'), isbn("b1", '"4"', 2))
    save(books, "book", isbn("b2", '"5"', 2), isbn("b4", '"2"'))
    for taken in ('"1"', '"2"', '"4"', '"5"'):
        with pytest.raises(ValidationError):
            save(books, "book", isbn("b9", taken))


def test_a_change_and_a_removal_free_unique_values(books: Storage) -> None:
    save(books, "book", isbn("b1", '"9"', 2))
    transaction = books.begin()
    transaction.remove("book", "b2", expected=1)
    transaction.commit()
    save(books, "book", isbn("b3", '"1"'), isbn("b4", '"2"'))


def test_a_removal_and_its_successor_share_a_transaction(books: Storage) -> None:
    transaction = books.begin()
    transaction.remove("book", "b1", expected=1)
    transaction.save("book", isbn("b3", '"1"'), expected=0)
    transaction.commit()
    with pytest.raises(ValidationError):
        save(books, "book", isbn("b4", '"1"'))


def test_any_number_of_documents_have_no_unique_value(books: Storage) -> None:
    save(books, "book", isbn("b3", "null"), isbn("b4", "null"), document("b5"))
    save(books, "book", isbn("b1", "null", 2))
    assert len(found(books, "book")) == 5


@pytest.mark.parametrize("value", ["7", "true", "1.5", '["a", "b"]', '{"a": 1, "b": 2}'])
def test_values_of_any_kind_can_be_unique(books: Storage, value: str) -> None:
    save(books, "book", isbn("b3", value))
    with pytest.raises(ValidationError):
        save(books, "book", isbn("b4", value))


def test_a_unique_value_concerns_its_category_alone(books: Storage) -> None:
    books.prepare([Collection("magazine", ("isbn",))])
    save(books, "magazine", isbn("m1", '"1"'), isbn("b1", '"2"'))


def test_to_prepare_again_changes_nothing(books: Storage) -> None:
    books.prepare([Collection("book", ("isbn",))])
    with pytest.raises(ValidationError):
        save(books, "book", isbn("b3", '"1"'))


def test_what_was_stored_before_it_was_unique_counts(storage: Storage) -> None:
    save(storage, "book", isbn("b1", '"1"'), isbn("b2", "null"))
    storage.prepare([Collection("book", ("isbn",))])
    with pytest.raises(ValidationError):
        save(storage, "book", isbn("b3", '"1"'))
    save(storage, "book", isbn("b3", "null"))


# ------------------------------------------------------------------- streams


def test_messages_have_dense_global_positions_in_the_order_of_their_commits(
    storage: Storage,
) -> None:
    first, second, third = storage.begin(), storage.begin(), storage.begin()
    first.append([message("book-b1", 0, b'"b1 0"'), message("shelf-s1", 0, b'"s1 0"')])
    second.append([message("book-b2", 0, b'"b2 0"')])
    third.append([message("book-b9", 0)])
    second.commit()
    third.rollback()
    first.commit()
    append(storage, message("book-b1", 1, b'"b1 1"'))
    read = storage.read_category(None)
    assert [each.data for each in read] == [b'"b2 0"', b'"b1 0"', b'"s1 0"', b'"b1 1"']
    assert [each.metadata.global_position for each in read] == [0, 1, 2, 3]


def test_a_stream_is_read_from_a_position_and_so_far(storage: Storage) -> None:
    append(storage, message("book-b2", 0))
    append(storage, *(message("book-b1", place, b"%d" % place) for place in range(5)))
    assert [each.metadata.position for each in storage.read("book-b1")] == [0, 1, 2, 3, 4]
    part = storage.read("book-b1", start=1, limit=3)
    assert [(each.data, each.metadata.global_position) for each in part] == [
        (b"1", 2),
        (b"2", 3),
        (b"3", 4),
    ]
    assert storage.read("book-b1", start=5) == []
    assert storage.read("book-b1", limit=0) == []
    assert storage.read("book-b") == []


def test_a_category_is_read_from_a_global_position_and_so_far(storage: Storage) -> None:
    for place in range(4):
        append(storage, message("book-b1", place), message(f"shelf-s{place}", 0))

    def places(category: str | None, **options: int) -> list[int | None]:
        read = storage.read_category(category, **options)
        return [each.metadata.global_position for each in read]

    assert places("book") == [0, 2, 4, 6]
    assert places("book", start=1, limit=2) == [2, 4]
    assert places("shelf", start=7) == [7]
    assert places(None, start=3, limit=3) == [3, 4, 5]
    assert places("book", start=7) == places(None, start=8) == places("nothing") == []
    assert places("book", limit=0) == places(None, limit=0) == []


def test_metadata_come_back_whole(storage: Storage) -> None:
    saved = message("book-b1", 0)
    headers = {"shop": "Rome", "seats": [1, 2]}
    metadata = saved.metadata._replace(
        correlation_id="c", causation_id="d", origin_stream="order-1", headers=headers
    )
    append(storage, saved._replace(metadata=metadata))
    (read,) = storage.read("book-b1")
    assert read.metadata == metadata._replace(global_position=0)
    assert storage.read_category("book") == storage.read_category(None) == [read]


@pytest.mark.parametrize("positions", [[1], [0, 0], [0, 2], [2]])
def test_a_position_that_is_not_the_next_one_is_refused(
    storage: Storage, positions: list[int]
) -> None:
    append(storage, message("book-b2", 0))
    with pytest.raises(ConcurrencyError) as caught:
        append(storage, *(message("book-b1", position) for position in positions))
    assert caught.value.stream == "book-b1"
    assert storage.read("book-b1") == []
    append(storage, message("book-b1", 0), message("book-b1", 1))
    with pytest.raises(ConcurrencyError) as caught:
        append(storage, message("book-b1", 1))
    assert (caught.value.expected, caught.value.found) == (1, 2)


def test_two_writers_of_one_stream_conflict(storage: Storage) -> None:
    first, second = storage.begin(), storage.begin()
    first.append([message("book-b1", 0)])
    second.append([message("book-b1", 0)])
    first.commit()
    with pytest.raises(ConcurrencyError):
        second.commit()
    second.rollback()
    assert len(storage.read("book-b1")) == 1


# ------------------------------------------------------------------- queries


def test_a_query_gives_a_part_and_the_whole_number(storage: Storage) -> None:
    save(storage, "book", *(document(f"b{n}", data=b'{"n":%d}' % (n % 3)) for n in range(10)))
    by_n = (Sort(("n",), descending=True, kind="number"),)
    transaction = storage.begin()
    page = transaction.find("book", Criteria(sorts=by_n, offset=2, limit=3))
    assert ([each.id for each in page.items], page.total) == (["b8", "b1", "b4"], 10)
    ones = (Filter(("n",), "exact", 1, "number"),)
    page = transaction.find("book", Criteria(filters=ones, limit=0))
    assert (page.items, page.total) == ([], 3)
    page = transaction.find("book", Criteria(offset=99))
    assert (page.items, page.total) == ([], 10)
    transaction.rollback()


def test_without_an_order_the_first_stored_comes_first(storage: Storage) -> None:
    save(storage, "book", document("b2"), document("b1"))
    save(storage, "book", document("b3"))
    save(storage, "book", document("b2", 2))
    assert found(storage, "book") == ["b2", "b1", "b3"]
    transaction = storage.begin()
    transaction.save("book", document("b0"), expected=0)
    transaction.save("book", document("b1", 2), expected=1)
    assert [each.id for each in transaction.find("book", Criteria()).items] == [
        *("b2", "b1", "b3", "b0")
    ]
    transaction.rollback()


def test_a_query_follows_each_change(storage: Storage) -> None:
    """A storage may keep what it parsed; it must not keep it too long."""
    nines = Criteria(filters=(Filter(("n",), "exact", 9, "number"),))
    for version, n in enumerate([9, 1, 9], 1):
        save(storage, "book", document("b1", version, b'{"n":%d}' % n))
        assert found(storage, "book", nines) == (["b1"] if n == 9 else [])
    transaction = storage.begin()
    transaction.save("book", document("b1", 4, b'{"n":1}'), expected=3)
    assert transaction.find("book", nines).total == 0
    transaction.rollback()
    assert found(storage, "book", nines) == ["b1"]


# ------------------------------------------------------------------- threads


def test_of_eight_writers_at_once_none_overwrites_another(storage: Storage) -> None:
    save(storage, "counter", document("c1", data=b"0"))
    barrier = threading.Barrier(8)

    def count() -> int:
        conflicts = 0
        for turn in range(25):
            met = turn > 0
            while True:
                transaction = storage.begin()
                try:
                    before = transaction.load("counter", "c1")
                    assert before is not None
                    if not met:
                        met = True
                        barrier.wait()  # all have read the first version before one commits
                    after = Document(
                        "c1", before.version + 1, before.version, b"%d" % (int(before.data) + 1)
                    )
                    transaction.save("counter", after, expected=before.version)
                    transaction.append([message("counter-c1", before.version - 1)])
                    transaction.commit()
                    break
                except ConcurrencyError:
                    transaction.rollback()
                    conflicts += 1
        return conflicts

    with switching_often(), ThreadPoolExecutor(8) as pool:
        running = [pool.submit(count) for _ in range(8)]
        assert sum(each.result(60) for each in running) >= 7, "each but the first must lose once"
    assert load(storage, "counter", "c1") == Document("c1", 201, 200, b"200")
    read = storage.read_category("counter", limit=300)
    assert [each.metadata.position for each in read] == list(range(200))
    assert [each.metadata.global_position for each in read] == list(range(200))


def test_of_two_that_want_one_unique_value_at_once_one_gets_it(storage: Storage) -> None:
    storage.prepare([Collection("book", ("isbn",))])
    barrier = threading.Barrier(4)

    def claim(writer: int) -> int:
        won = 0
        for n in range(20):
            barrier.wait()
            try:
                save(storage, "book", isbn(f"b{n}-{writer}", f'"{n}"'))
                won += 1
            except (ValidationError, ConcurrencyError):
                pass
        return won

    with switching_often(), ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(claim, range(4))) == 20
    assert len(found(storage, "book")) == 20


def test_readers_never_see_half_a_commit(storage: Storage) -> None:
    save(storage, "account", document("a1", data=b"100"), document("a2", data=b"100"))
    sums, lengths = [], []

    def look() -> None:
        transaction = storage.begin()
        page = transaction.find("account", Criteria())
        transaction.rollback()
        sums.append(sum(int(each.data) for each in page.items))
        one_by_one = [load(storage, "account", id) for id in ("a1", "a2")]
        if one_by_one[0] == document("a1", 2, b"50"):
            assert one_by_one[1] == document("a2", 2, b"150")
        lengths.append(len(storage.read_category(None)))
        if storage.read("account-a1"):
            assert len(storage.read_category("audit")) == 1

    transaction = storage.begin()
    transaction.save("account", document("a1", 2, b"50"), expected=1)
    transaction.save("account", document("a2", 2, b"150"), expected=1)
    transaction.append([message("account-a1", 0), message("audit-a1", 0)])
    assert meanwhile(transaction.commit, look)
    assert set(sums) == {200}
    assert set(lengths) <= {0, 2}
    assert found(storage, "account") == ["a1", "a2"]
    assert len(storage.read_category(None)) == 2


def test_a_query_never_takes_an_old_state_for_the_new_one(storage: Storage) -> None:
    """Whenever another changes what a query looks at, the next query must be right."""
    save(storage, "book", document("b1", data=b'{"n":1}'))
    version = 1

    def query() -> list[str]:
        return found(storage, "book", Criteria(filters=(Filter(("n",), "exact", 1, "number"),)))

    def change() -> None:
        nonlocal version
        version += 1
        save(storage, "book", document("b1", version, b'{"n":%d}' % (version % 2)))

    line = 0
    while meanwhile(query, change, at=line):
        assert query() == (["b1"] if version % 2 else []), f"changed at line {line} of the query"
        line += 1
    assert version > 1, "nothing was changed: this proves nothing"


def meanwhile(call: Callable[[], object], other: Callable[[], None], at: int | None = None) -> int:
    """At each line that a call runs, or at one, let another thread do something.

    It is waited for a moment only: perhaps it waits for this thread. Returns how often it ran.
    """
    running: list[Future[None]] = []
    lines = itertools.count()

    def step(frame: FrameType, event: str, arg: Any) -> Any:
        if at is None or next(lines) == at:
            running.append(pool.submit(other))
            wait(running[-1:], timeout=0.003)
        return step

    with ThreadPoolExecutor(1) as pool:
        before = sys.gettrace()
        sys.settrace(step)
        try:
            call()
        finally:
            sys.settrace(before)
        for each in running:
            each.result(10)
    return len(running)


class switching_often:  # noqa: N801  reads as a phrase after `with`
    """Let threads take turns so often that they meet everywhere."""

    def __enter__(self) -> None:
        self.before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)

    def __exit__(self, *_: object) -> None:
        sys.setswitchinterval(self.before)


# ------------------------------------------------------------------- the storage itself


def test_it_says_where_it_is(storage: Storage, storage_url: str) -> None:
    assert storage.url == storage_url


def test_a_closed_storage_begins_nothing(storage: Storage) -> None:
    storage.close()
    storage.close()
    with pytest.raises(StorageError) as caught:
        storage.begin()
    assert caught.value.storage == storage.url
    assert "closed" in str(caught.value)
