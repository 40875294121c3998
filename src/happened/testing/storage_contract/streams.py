"""Layer 6. The contract of storages: streams, categories and queries."""

from typing import Any

import pytest

from happened.errors import ConcurrencyError, StorageError, ValidationError
from happened.query import Criteria, Filter, Sort
from happened.storage import Storage
from happened.testing.storage_contract.actions import append, document, found, message, save


def test_messages_have_dense_global_positions_and_keep_them(storage: Storage) -> None:
    """Streams are in order; of two that were written at once, either may come first."""
    first, second, third = storage.begin(), storage.begin(), storage.begin()
    first.append([message("book-b1", 0, b'"b1 0"'), message("shelf-s1", 0, b'"s1 0"')])
    second.append([message("book-b2", 0, b'"b2 0"')])
    third.append([message("book-b9", 0)])
    second.commit()
    third.rollback()
    first.commit()
    read = storage.read_category(None)
    assert sorted(each.data for each in read) == [b'"b1 0"', b'"b2 0"', b'"s1 0"']
    append(storage, message("book-b1", 1, b'"b1 1"'))
    again = storage.read_category(None)
    assert again[:3] == read
    assert [each.data for each in again[3:]] == [b'"b1 1"']
    assert [each.metadata.global_position for each in again] == [0, 1, 2, 3]


def test_a_stream_is_read_from_a_position_and_so_far(storage: Storage) -> None:
    append(storage, message("book-b2", 0))
    append(storage, *(message("book-b1", place, b"%d" % place) for place in range(5)))
    storage.read_category(None)  # all have their global positions then
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


@pytest.mark.parametrize("number", [-1, -(2**70), 1.5, "2", None, True])
def test_where_to_read_and_how_much_are_whole_numbers(storage: Storage, number: Any) -> None:
    append(storage, *(message("book-b1", place) for place in range(3)))
    for read in (
        lambda: storage.read("book-b1", limit=number),
        lambda: storage.read("book-b1", number),
        lambda: storage.read_category("book", limit=number),
        lambda: storage.read_category("book", number),
        lambda: storage.read_category(None, limit=number),
        lambda: storage.read_category(None, number),
        lambda: storage.streams(limit=number),
    ):
        with pytest.raises(ValidationError, match=r"(start|limit): it must be a whole number"):
            read()


def test_more_than_there_is_may_be_asked_for(storage: Storage) -> None:
    append(storage, *(message("book-b1", place) for place in range(3)))
    for many in (2**31, 2**63, 2**70):
        assert len(storage.read("book-b1", 1, many)) == 2
        assert len(storage.read_category("book", 1, many)) == 2
        assert len(storage.read_category(None, 1, many)) == 2
        assert len(storage.streams(limit=many)) == 1
        assert storage.read("book-b1", many) == []
        assert storage.read_category("book", many) == []
        assert storage.read_category(None, many) == []


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
    storage.read_category(None)
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


def test_it_says_where_it_is(storage: Storage, storage_url: str) -> None:
    assert storage.url == storage_url


def test_a_closed_storage_begins_nothing(storage: Storage) -> None:
    storage.close()
    storage.close()
    with pytest.raises(StorageError) as caught:
        storage.begin()
    assert caught.value.storage == storage.url
    assert "closed" in str(caught.value)
