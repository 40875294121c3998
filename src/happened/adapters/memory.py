"""Layer 6. Storage in dictionaries: the default, gone when the process ends."""

import json
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from happened.errors import ConcurrencyError, StorageError, ValidationError
from happened.query import Criteria, Page, ranked
from happened.storage import Collection, Document, StoredMessage
from happened.streams import category as category_of
from happened.streams import stream as stream_name

__all__ = ["MemoryStorage"]


class _Table:
    """The documents of one category."""

    def __init__(self) -> None:
        self.rows: dict[str, Document] = {}
        self.parsed: dict[str, dict[str, Any]] = {}
        self.unique: dict[str, dict[Any, str]] = {}

    def data(self, document: Document) -> dict[str, Any]:
        """The document as plain data, parsed once and never changed."""
        if self.rows.get(document.id) is not document:
            return _parsed(document)
        found = self.parsed.get(document.id)
        if found is None:
            found = self.parsed[document.id] = _parsed(document)
        return found

    def put(self, document: Document) -> None:
        for field, taken in self.unique.items():
            self.release(document.id, field)
            value = self.key(document, field)
            if value is not None:
                taken[value] = document.id
        self.rows[document.id] = document
        self.parsed.pop(document.id, None)

    def drop(self, id: str) -> None:
        for field in self.unique:
            self.release(id, field)
        self.rows.pop(id, None)
        self.parsed.pop(id, None)

    def release(self, id: str, field: str) -> None:
        before = self.rows.get(id)
        if before is not None:
            self.unique[field].pop(self.key(before, field), None)

    def key(self, document: Document, field: str) -> Any:
        value = self.data(document).get(field)
        return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


class MemoryStorage:
    """Storage in dictionaries. It holds text, never the objects that were added.

    What an operation costs does not grow with what the storage holds; queries read every
    document of their category.

    Args:
        url: its name, ``"memory://"``.

    Raises:
        StorageError: from `begin` on, once it is closed.

    Example:
        >>> from happened.adapters.memory import MemoryStorage
        >>> MemoryStorage("memory://").read_category(None)
        []
    """

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self._closed = False
        self._lock = threading.Lock()
        self._tables: defaultdict[str, _Table] = defaultdict(_Table)
        self._messages: list[StoredMessage] = []
        self._streams: defaultdict[str, list[int]] = defaultdict(list)
        self._categories: defaultdict[str, list[int]] = defaultdict(list)

    def prepare(self, collections: Sequence[Collection]) -> None:
        """See `Storage`."""
        with self._lock:
            for collection in collections:
                table = self._tables[collection.category]
                for field in collection.unique:
                    if field not in table.unique:
                        table.unique[field] = {
                            table.key(row, field): row.id for row in table.rows.values()
                        }

    def begin(self) -> "MemoryTransaction":
        """See `Storage`."""
        if self._closed:
            raise StorageError(self.url, "the storage is closed; open it again")
        return MemoryTransaction(self)

    def read(self, stream: str, start: int = 0, limit: int = 1000) -> list[StoredMessage]:
        """See `Storage`."""
        places = self._streams.get(stream, [])
        return [self._numbered(place) for place in places[start : start + limit]]

    def read_category(
        self, category: str | None, start: int = 0, limit: int = 1000
    ) -> list[StoredMessage]:
        """See `Storage`."""
        if category is None:
            return [
                self._numbered(place)
                for place in range(start, min(start + limit, len(self._messages)))
            ]
        places = self._categories.get(category, [])
        first = bisect_left(places, start)
        return [self._numbered(place) for place in places[first : first + limit]]

    def close(self) -> None:
        """See `Storage`."""
        self._closed = True

    def _numbered(self, place: int) -> StoredMessage:
        message = self._messages[place]
        return StoredMessage(message.metadata._replace(global_position=place), message.data)

    def _apply(self, transaction: "MemoryTransaction") -> None:
        """Check everything, then write everything: the lock makes both one step."""
        with self._lock:
            for (category, id), (document, expected) in transaction.writes.items():
                table = self._tables[category]
                stored = table.rows.get(id)
                found = stored.version if stored else 0
                if found != expected:
                    raise ConcurrencyError(
                        stream_name(category, id), expected=expected, found=found
                    )
                if document is not None and table.unique:
                    self._check_unique(table, category, document, transaction)
            for (category, id), (document, _) in transaction.writes.items():
                if document is None:
                    self._tables[category].drop(id)
                else:
                    self._tables[category].put(document)
            for message in transaction.messages:
                place = len(self._messages)
                name = message.metadata.stream or ""
                self._messages.append(message)
                self._streams[name].append(place)
                self._categories[category_of(name)].append(place)

    def _check_unique(
        self, table: _Table, category: str, document: Document, transaction: "MemoryTransaction"
    ) -> None:
        for field, taken in table.unique.items():
            value = table.key(document, field)
            holder = taken.get(value)
            others = {id for (kind, id) in transaction.writes if kind == category}
            doubles = [
                id
                for (kind, id), (other, _) in transaction.writes.items()
                if kind == category
                and id != document.id
                and other is not None
                and table.key(other, field) == value
            ]
            if value is not None and (doubles or holder not in (None, document.id, *others)):
                raise ValidationError(
                    {field: [f"it must be unique, and {value!r} is stored already"]}, category
                )


class MemoryTransaction:
    """What one unit of work writes, kept aside until its commit.

    Args:
        storage: where it reads, and writes at the commit.

    Example:
        >>> from happened.adapters.memory import MemoryStorage
        >>> from happened.storage import Document
        >>> storage = MemoryStorage()
        >>> transaction = storage.begin()
        >>> transaction.save("book", Document("b1", 1, 0, b"{}"), expected=0)
        >>> storage.begin().load("book", "b1") is None
        True
    """

    __slots__ = ("messages", "storage", "writes")

    def __init__(self, storage: MemoryStorage) -> None:
        self.storage = storage
        self.writes: dict[tuple[str, str], tuple[Document | None, int]] = {}
        self.messages: list[StoredMessage] = []

    def load(self, category: str, id: str) -> Document | None:
        """See `Transaction`."""
        written = self.writes.get((category, id))
        if written is not None:
            return written[0]
        return self.storage._tables[category].rows.get(id)

    def find(self, category: str, criteria: Criteria) -> Page[Document]:
        """See `Transaction`."""
        table = self.storage._tables[category]
        rows = dict(table.rows)
        for (kind, id), (document, _) in self.writes.items():
            if kind == category:
                if document is None:
                    rows.pop(id, None)
                else:
                    rows[id] = document
        found, data = [], []
        for row in rows.values():
            values = table.data(row)
            if all(condition.matches(values) for condition in criteria.filters):
                found.append(row)
                data.append(values)
        order = ranked(data, criteria.sorts) if criteria.sorts else range(len(found))
        end = None if criteria.limit is None else criteria.offset + criteria.limit
        return Page([found[index] for index in order[criteria.offset : end]], len(found))

    def save(self, category: str, document: Document, *, expected: int) -> None:
        """See `Transaction`."""
        key = (category, document.id)
        written = self.writes.get(key)
        self.writes[key] = (document, expected if written is None else written[1])

    def remove(self, category: str, id: str, *, expected: int) -> None:
        """See `Transaction`."""
        key = (category, id)
        written = self.writes.get(key)
        self.writes[key] = (None, expected if written is None else written[1])

    def append(self, messages: Sequence[StoredMessage]) -> None:
        """See `Transaction`."""
        self.messages.extend(messages)

    def commit(self) -> None:
        """See `Transaction`."""
        self.storage._apply(self)
        self.rollback()

    def rollback(self) -> None:
        """See `Transaction`."""
        self.writes, self.messages = {}, []


def _parsed(document: Document) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(document.data)
    return data
