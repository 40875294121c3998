"""Layer 6. What the contract of storages does again and again, in a call."""

from collections.abc import Sequence

from happened.messages import Event
from happened.metadata import Metadata
from happened.query import Criteria
from happened.storage import Collection, Document, Storage, StoredMessage

ALL = Criteria()


def document(id: str, version: int = 1, data: bytes = b"{}", next_position: int = 0) -> Document:
    return Document(id, version, next_position, data)


def message(stream: str, position: int, data: bytes = b"{}") -> StoredMessage:
    metadata: Metadata = Event()._metadata
    return StoredMessage(metadata._replace(stream=stream, position=position), data)


def prepare(storage: Storage, collections: Sequence[Collection], domain: str | None = None) -> None:
    """Make a storage ready; one on a server has to be told to."""
    storage.prepare(collections, domain)
    storage.create()


def save(storage: Storage, category: str, *documents: Document) -> None:
    """Save documents in one transaction, each over the version before its own."""
    transaction = storage.begin()
    for each in documents:
        transaction.save(category, each, expected=each.version - 1)
    transaction.commit()


def append(storage: Storage, *messages: StoredMessage) -> None:
    transaction = storage.begin()
    transaction.append(messages)
    transaction.commit()


def load(storage: Storage, category: str, id: str) -> Document | None:
    transaction = storage.begin()
    found = transaction.load(category, id)
    transaction.rollback()
    return found


def found(storage: Storage, category: str, criteria: Criteria = ALL) -> list[str]:
    transaction = storage.begin()
    page = transaction.find(category, criteria)
    transaction.rollback()
    return [each.id for each in page.items]
