"""Closed: stored bytes become registered types alone; bad ones are a clear error, never code."""

import pickle
import sys

import pytest

from happened import HappenedError, StorageError, ValidationError
from happened.storage import Document
from tests.guarantees.shop import Shop

pytestmark = pytest.mark.g10


class Harmful:
    """Runs code when somebody unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("import sys; sys.harmed = True",)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff",
        b"null",
        b"[]",
        b'{"id":"bad","stock":"many"}',
        b'{"id":"bad","class":"os.system","stock":1}',
        b'{"id":"bad","__class__":"subprocess.Popen"}',
        pickle.dumps(Harmful()),
    ],
)
def test_bytes_that_are_no_aggregate_are_a_clear_error(shop: Shop, data: bytes) -> None:
    """A storage may refuse to store them, or store them and refuse to make an object of them."""
    transaction = shop.domain.storage.begin()
    transaction.save("inventory", Document("bad", 1, 0, data), expected=0)
    try:
        transaction.commit()
    except (StorageError, ValidationError):
        transaction.rollback()
        assert "bad" not in shop.inventories
    else:
        with pytest.raises(HappenedError, match="Inventory"):
            shop.inventories.get("bad")
    assert not hasattr(sys, "harmed")


def test_what_is_stored_is_data_that_any_program_can_read(shop: Shop) -> None:
    shop.place("o1")
    transaction = shop.domain.storage.begin()
    document = transaction.load("order", "o1")
    transaction.rollback()
    assert document is not None
    assert document.data == b'{"id":"o1","number":null,"placed":1}'
    (stored,) = shop.domain.storage.read("order-o1")
    assert stored.data == b'{"order_id":"o1"}'
    assert stored.metadata.type == "Shop.OrderPlaced.v1"
    assert stored.metadata.type in shop.domain.registry.messages
