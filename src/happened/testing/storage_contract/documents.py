"""Layer 6. The contract of storages: documents and their versions."""

from collections.abc import Callable

import pytest

from happened.errors import ConcurrencyError, ValidationError
from happened.query import Criteria, Filter
from happened.storage import Collection, Document, Storage, Transaction
from happened.testing.storage_contract.actions import (
    append,
    document,
    found,
    load,
    message,
    prepare,
    save,
)


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


def test_true_and_false_are_no_numbers(storage: Storage) -> None:
    """As in JSON, and unlike in Python, where ``False == 0``."""
    prepare(storage, [Collection("book", ("mark",))])
    save(storage, "book", document("b0", data=b'{"mark":0}'))
    save(storage, "book", document("b1", data=b'{"mark":false}'))
    for wanted, id in ((0, "b0"), (False, "b1")):
        fits = Criteria(filters=(Filter(("mark",), "exact", wanted, "other"),))
        assert found(storage, "book", fits) == [id]


def test_a_rollback_leaves_nothing_behind(storage: Storage) -> None:
    prepare(storage, [Collection("book", ("isbn",))])
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


def test_a_collection_may_let_identities_be_used_again(storage: Storage) -> None:
    prepare(storage, [Collection("view", reusable=True)])
    save(storage, "view", document("b1"), document("b2"))
    for _ in range(2):
        transaction = storage.begin()
        transaction.remove("view", "b1", expected=1)
        transaction.commit()
        assert load(storage, "view", "b1") is None
        save(storage, "view", document("b1"))
    assert found(storage, "view") == ["b2", "b1"]


def test_what_a_transaction_adds_and_removes_was_never_there(storage: Storage) -> None:
    transaction = storage.begin()
    transaction.save("book", document("b1"), expected=0)
    transaction.remove("book", "b1", expected=1)
    transaction.commit()
    assert found(storage, "book") == []
    save(storage, "book", document("b1"))


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


@pytest.mark.parametrize("data", [rb'{"t":"a\u0000b"}', rb'{"\u0000":1}', rb'{"t":"\\\u0000"}'])
def test_text_with_nul_is_refused(storage: Storage, data: bytes) -> None:
    """Not every database can hold it, so none does."""
    transaction = storage.begin()
    transaction.save("book", document("b1"), expected=0)
    transaction.save("book", document("b2", data=data), expected=0)
    transaction.append([message("book-b2", 0)])
    with pytest.raises(ValidationError, match=r"NUL.* leave it out"):
        transaction.commit()
    assert found(storage, "book") == []
    assert storage.read("book-b2") == []
    save(storage, "book", document("b1", data=data.replace(b"\\u0000", b"\\\\u0000")))
    assert found(storage, "book") == ["b1"]
