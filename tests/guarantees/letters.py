"""What somebody does about a dead letter, as ``happened dead-letters`` does it."""

from datetime import UTC, datetime

from happened.storage import Delivery, Storage


def retry(storage: Storage, dead: Delivery) -> None:
    transaction = storage.begin()
    transaction.settle(dead.handler, dead.message_id)
    transaction.defer(dead._replace(state="retrying", attempts=0, due=datetime.now(UTC)))
    transaction.commit()


def discard(storage: Storage, dead: Delivery) -> None:
    transaction = storage.begin()
    transaction.settle(dead.handler, dead.message_id)
    transaction.commit()
