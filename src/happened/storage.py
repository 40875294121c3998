"""Layer 3. The port for storages: what a database must do, and where its adapter is found."""

# pyright: reportReturnType=false
# The methods of a protocol have no bodies.

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, cast

from happened.errors import ConfigurationError
from happened.metadata import Metadata
from happened.query import Criteria, Page

__all__ = [
    "Collection",
    "Document",
    "Storage",
    "StoredMessage",
    "Transaction",
    "open_storage",
    "storage_problem",
]


@dataclass(frozen=True, slots=True)
class Collection:
    """What a storage must know of the aggregates of one class before the first is stored.

    Attributes:
        category: their stream category, ``"order"``.
        unique: the fields that may not have the same value twice.
        title: the name of their class, for errors; the category by default.

    Example:
        >>> from happened.storage import Collection
        >>> Collection("order").unique
        ()
    """

    category: str
    unique: tuple[str, ...] = ()
    title: str = ""


class Document(NamedTuple):
    """One aggregate as it is stored.

    Attributes:
        id: its identity.
        version: how many times it was persisted, from 1.
        next_position: the position of the next event in its stream, from 0.
        data: its state as JSON, encoded in UTF-8.

    Example:
        >>> from happened.storage import Document
        >>> Document("b1", 1, 0, b'{"id":"b1"}').version
        1
    """

    id: str
    version: int
    next_position: int
    data: bytes


class StoredMessage(NamedTuple):
    """One message as it is stored.

    Attributes:
        metadata: its metadata; the global position is there once it was read from a storage.
        data: its fields as JSON, encoded in UTF-8.

    Example:
        >>> from happened import Event
        >>> from happened.storage import StoredMessage
        >>> event = Event()
        >>> StoredMessage(event._metadata, event.to_json()).data
        b'{}'
    """

    metadata: Metadata
    data: bytes


class Transaction(Protocol):
    """All that one unit of work reads and writes; it sees its own writes.

    Example:
        >>> from happened.storage import Document, open_storage
        >>> storage = open_storage("memory://")
        >>> transaction = storage.begin()
        >>> transaction.save("book", Document("b1", 1, 0, b"{}"), expected=0)
        >>> transaction.commit()
        >>> storage.begin().load("book", "b1").version
        1
    """

    def load(self, category: str, id: str) -> Document | None:
        """Return a document, or ``None``.

        Args:
            category: the stream category of the aggregate.
            id: its identity.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def find(self, category: str, criteria: Criteria) -> Page[Document]:
        """Return the documents that fit, and how many there are in all.

        Args:
            category: the stream category of the aggregates.
            criteria: which, in which order, how many.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def save(self, category: str, document: Document, *, expected: int) -> None:
        """Write a document.

        Args:
            category: the stream category of the aggregate.
            document: its new state and version.
            expected: the version it has in the storage, 0 if it is not there. What this
                transaction wrote counts.

        Raises:
            ConcurrencyError: it has another version; a storage may raise this at `commit`.
            ValidationError: a unique field has a value that is stored already, or the document
                was removed before, since an identity is used once; likewise.
            StorageError: the storage cannot be reached.
        """

    def remove(self, category: str, id: str, *, expected: int) -> None:
        """Remove a document; its stream stays.

        Args:
            category: the stream category of the aggregate.
            id: its identity.
            expected: the version it has in the storage. What this transaction wrote counts.

        Raises:
            ConcurrencyError: it has another version; a storage may raise this at `commit`.
            StorageError: the storage cannot be reached.
        """

    def append(self, messages: Sequence[StoredMessage]) -> None:
        """Append messages to their streams, in this order.

        Args:
            messages: with stream and position in their metadata. The first of a stream stands
                at position 0, and each one right behind the one before it.

        Raises:
            ConcurrencyError: a position is not the next one of its stream; a storage may raise
                this at `commit`.
            StorageError: the storage cannot be reached.
        """

    def commit(self) -> None:
        """Make all writes of this transaction permanent and visible, together.

        Raises:
            ConcurrencyError: a document has another version than expected, or a message is not
                the next one of its stream. Nothing was written.
            ValidationError: a unique field has a value that is stored already. Nothing was written.
            StorageError: the storage cannot be reached.
        """

    def rollback(self) -> None:
        """Forget all writes of this transaction; after a commit or a rollback, do nothing."""


class Storage(Protocol):
    """One database that holds aggregates and messages, so that one transaction covers both.

    Attributes:
        url: where it is, without a password.

    Example:
        >>> from happened.storage import open_storage
        >>> open_storage("memory://").url
        'memory://'
    """

    @property
    def url(self) -> str:
        """Where it is, without a password."""

    def prepare(self, collections: Sequence[Collection]) -> None:
        """Make ready for these collections; to do so again changes nothing.

        Args:
            collections: the aggregates of a domain.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def begin(self) -> Transaction:
        """Begin a transaction.

        Raises:
            StorageError: the storage cannot be reached, or is closed.
        """

    def read(self, stream: str, start: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        """Return the messages of a stream, in order.

        Args:
            stream: the name of the stream, ``"order-7"``.
            start: the position of the first message to return, from 0.
            limit: how many to return at most.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def read_category(
        self, category: str | None, start: int = 0, limit: int = 1000
    ) -> Sequence[StoredMessage]:
        """Return the messages of a stream category, in the order of their global positions.

        Args:
            category: the stream category, ``"order"``; ``None`` for the messages of all.
            start: the smallest global position to return, from 0.
            limit: how many to return at most.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def close(self) -> None:
        """Release what the storage holds; to do so again changes nothing."""


_ADAPTERS: Final = {"memory": "happened.adapters.memory:MemoryStorage"}


def storage_problem(url: str) -> str | None:
    """Return what is wrong with the URL of a storage, or ``None``; nothing is opened.

    Args:
        url: where the storage is.

    Example:
        >>> from happened.storage import storage_problem
        >>> storage_problem("memory:")
        "no adapter for it; there is one for 'memory://'"
    """
    scheme, mark, _ = url.partition("://")
    if mark and scheme in _ADAPTERS:
        return None
    known = ", ".join(f"'{name}://'" for name in sorted(_ADAPTERS))
    return f"no adapter for it; there is one for {known}"


def open_storage(url: str) -> Storage:
    """Open a storage.

    Args:
        url: where it is; the part before ``://`` says which adapter to use. Known: ``memory``.

    Returns:
        The storage; for ``memory://`` a new and empty one.

    Raises:
        ConfigurationError: there is no adapter for it.

    Example:
        >>> from happened.storage import open_storage
        >>> open_storage("memory://").url
        'memory://'
    """
    problem = storage_problem(url)
    if problem:
        raise ConfigurationError(f"storage {url!r}: {problem}")
    module, _, name = _ADAPTERS[url.partition("://")[0]].partition(":")
    return cast("Storage", getattr(importlib.import_module(module), name)(url))
