"""Layer 6. What the contract of subscriptions does again and again, in a call."""

from datetime import UTC, datetime, timedelta

import pytest

from happened.storage import (
    Claim,
    Delivery,
    Storage,
    StoredMessage,
    Transaction,
)
from happened.streams import partition
from happened.testing.storage_contract.actions import append

NOW = datetime.now(UTC).replace(microsecond=5)
LATER = NOW + timedelta(seconds=60)


def streams_of(number: int, category: str = "book") -> list[str]:
    """The first streams of a category that lie in one partition."""
    names = (f"{category}-b{n}" for n in range(1000))
    return [name for name in names if partition(name) == number]


ONE, TWO = streams_of(3)[0], streams_of(7)[0]


def add(storage: Storage, *messages: StoredMessage) -> None:
    """Append messages, each in a transaction of its own, and number them."""
    for each in messages:
        append(storage, each)
    while storage.number():
        pass


def delivery(stream: str, position: int, message_id: str, **changes: object) -> Delivery:
    made = Delivery("Stock.reduce", "Stock", message_id, stream, position, "retrying", 1, NOW)
    return made._replace(**changes)  # type: ignore[arg-type]


def defer(storage: Storage, *deliveries: Delivery) -> None:
    transaction = storage.begin()
    for each in deliveries:
        transaction.defer(each)
    transaction.commit()


def claim(transaction: Transaction, now: datetime = NOW, grace: float = 0.0) -> Claim | None:
    return transaction.claim("Stock", ["book"], now, grace)


@pytest.fixture
def stock(storage: Storage) -> Storage:
    """A storage with a subscription, ``Stock``."""
    storage.subscribe("Stock")
    return storage
