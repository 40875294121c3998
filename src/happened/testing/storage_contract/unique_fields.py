"""Layer 6. The contract of storages: values that are stored once."""

import pytest

from happened.errors import ConcurrencyError, ValidationError
from happened.storage import Collection, Document, Storage
from happened.testing.storage_contract.actions import document, found, load, prepare, save


def isbn(id: str, value: str, version: int = 1) -> Document:
    return document(id, version, f'{{"isbn":{value}}}'.encode())


@pytest.fixture
def books(storage: Storage) -> Storage:
    """A storage with two books whose ISBN is unique."""
    prepare(storage, [Collection("book", ("isbn",))])
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


@pytest.mark.parametrize("id, version", [("b2", 1), ("b3", 0)], ids=["changed", "added"])
def test_who_has_missed_a_document_gets_the_conflict_though_its_value_is_in_the_way(
    books: Storage, id: str, version: int
) -> None:
    """Whoever reads it again may find that no value is there twice."""
    transaction = books.begin()
    transaction.save("book", isbn(id, '"3"', version + 1), expected=version)
    transaction.save("book", isbn("b4", '"4"'), expected=0)
    save(books, "book", isbn("b4", '"3"'))
    with pytest.raises(ConcurrencyError) as caught:
        transaction.commit()
    transaction.rollback()
    assert (caught.value.stream, caught.value.expected, caught.value.found) == ("book-b4", 0, 1)
    assert found(books, "book") == ["b1", "b2", "b4"]


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
    prepare(books, [Collection("magazine", ("isbn",))])
    save(books, "magazine", isbn("m1", '"1"'), isbn("b1", '"2"'))


def test_to_prepare_again_changes_nothing(books: Storage) -> None:
    prepare(books, [Collection("book", ("isbn",))])
    with pytest.raises(ValidationError):
        save(books, "book", isbn("b3", '"1"'))


def test_what_was_stored_before_it_was_unique_counts(storage: Storage) -> None:
    save(storage, "book", isbn("b1", '"1"'), isbn("b2", "null"))
    prepare(storage, [Collection("book", ("isbn",))])
    with pytest.raises(ValidationError):
        save(storage, "book", isbn("b3", '"1"'))
    save(storage, "book", isbn("b3", "null"))
