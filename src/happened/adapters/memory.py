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

_Writes = dict[tuple[str, str], tuple[Document | None, int]]
"""Category and id to what is written, ``None`` where it is removed, and the version before."""


class _Table:
    """The documents of one category. Whoever uses it holds the lock of the storage."""

    __slots__ = ("parsed", "removed", "rows", "title", "unique")

    def __init__(self) -> None:
        self.title = ""
        self.removed: set[str] = set()
        self.rows: dict[str, Document] = {}
        self.parsed: dict[str, dict[str, Any]] = {}
        self.unique: dict[str, dict[Any, str]] = {}

    def data(self, document: Document) -> dict[str, Any]:
        """The document as plain data, which nobody changes; what is stored is parsed once."""
        if self.rows.get(document.id) is not document:
            return _parsed(document)
        found = self.parsed.get(document.id)
        if found is None:
            found = self.parsed[document.id] = _parsed(document)
        return found

    def put(self, id: str, document: Document | None) -> None:
        self.parsed.pop(id, None)
        if document is None:
            if self.rows.pop(id, None) is not None:
                self.removed.add(id)
        else:
            self.rows[id] = document

    def release(self, id: str) -> None:
        """Free the unique values of a document."""
        before = self.rows.get(id)
        for field, taken in self.unique.items():
            taken.pop(self.value(before, field), None)

    def value(self, document: Document | None, field: str) -> Any:
        """What must be unique: the value of a field, as something that can be a key."""
        value = None if document is None else self.data(document).get(field)
        return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


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
                table.title = collection.title
                for field in collection.unique:
                    if field not in table.unique:
                        taken = {table.value(row, field): row.id for row in table.rows.values()}
                        taken.pop(None, None)
                        table.unique[field] = taken

    def begin(self) -> "MemoryTransaction":
        """See `Storage`."""
        if self._closed:
            raise StorageError(self.url, "the storage is closed; open it again")
        return MemoryTransaction(self)

    def read(self, stream: str, start: int = 0, limit: int = 1000) -> list[StoredMessage]:
        """See `Storage`."""
        with self._lock:
            places = self._streams.get(stream, [])
            return [self._numbered(place) for place in places[start : start + limit]]

    def read_category(
        self, category: str | None, start: int = 0, limit: int = 1000
    ) -> list[StoredMessage]:
        """See `Storage`."""
        with self._lock:
            if category is None:
                end = min(start + limit, len(self._messages))
                return [self._numbered(place) for place in range(start, end)]
            places = self._categories.get(category, [])
            first = bisect_left(places, start)
            return [self._numbered(place) for place in places[first : first + limit]]

    def close(self) -> None:
        """See `Storage`."""
        self._closed = True

    def _numbered(self, place: int) -> StoredMessage:
        message = self._messages[place]
        return StoredMessage(message.metadata._replace(global_position=place), message.data)

    def _apply(self, writes: _Writes, messages: list[StoredMessage]) -> None:
        """Check everything, then write everything: the lock makes both one step."""
        with self._lock:
            has_unique = False
            for (category, id), (_, expected) in writes.items():
                table = self._tables[category]
                stored = table.rows.get(id)
                found = 0 if stored is None else stored.version
                if found != expected:
                    name = stream_name(category, id)
                    raise ConcurrencyError(name, expected=expected, found=found)
                if not found and id in table.removed:
                    text = f"{id!r} was removed, and its stream stays; an identity is used once"
                    raise ValidationError({"id": [text]}, table.title or category)
                has_unique = has_unique or bool(table.unique)
            claims = self._claims(writes) if has_unique else {}
            if messages:
                self._check_positions(messages)
            if has_unique:
                for category, id in writes:
                    self._tables[category].release(id)
                for (category, field, value), id in claims.items():
                    self._tables[category].unique[field][value] = id
            for (category, id), (document, _) in writes.items():
                self._tables[category].put(id, document)
            for message in messages:
                place = len(self._messages)
                name = message.metadata.stream or ""
                self._messages.append(message)
                self._streams[name].append(place)
                self._categories[category_of(name)].append(place)

    def _claims(self, writes: _Writes) -> dict[tuple[str, str, Any], str]:
        """Who has which unique value after these writes; that two have one is refused."""
        claims: dict[tuple[str, str, Any], str] = {}
        for (category, id), (document, _) in writes.items():
            table = self._tables[category]
            for field, taken in table.unique.items():
                value = table.value(document, field)
                if value is None:
                    continue
                holder = taken.get(value)
                if holder is None or (category, holder) in writes:
                    holder = id
                if claims.setdefault((category, field, value), holder) != id:
                    raise ValidationError(
                        {field: [f"it must be unique, and {value!r} is stored already"]},
                        table.title or category,
                    )
        return claims

    def _check_positions(self, messages: list[StoredMessage]) -> None:
        """Each message is the next one of its stream."""
        ends: dict[str | None, int] = {}
        for metadata, _ in messages:
            name = metadata.stream
            end = ends.get(name)
            if end is None:
                end = len(self._streams.get(name or "", ()))
            if metadata.position != end:
                expected = metadata.position or 0
                raise ConcurrencyError(name or "", expected=expected, found=end)
            ends[name] = end + 1


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

    __slots__ = ("_messages", "_storage", "_writes")

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self._writes: _Writes = {}
        self._messages: list[StoredMessage] = []

    def load(self, category: str, id: str) -> Document | None:
        """See `Transaction`."""
        written = self._writes.get((category, id))
        if written is not None:
            return written[0]
        with self._storage._lock:
            return self._storage._tables[category].rows.get(id)

    def find(self, category: str, criteria: Criteria) -> Page[Document]:
        """See `Transaction`."""
        table = self._storage._tables[category]
        with self._storage._lock:
            rows = {id: (row, table.data(row)) for id, row in table.rows.items()}
        for (kind, id), (document, _) in self._writes.items():
            if kind == category and document is not None:
                rows[id] = (document, _parsed(document))
            elif kind == category:
                rows.pop(id, None)
        found = [
            (row, data)
            for row, data in rows.values()
            if all(condition.matches(data) for condition in criteria.filters)
        ]
        if criteria.sorts:
            order = ranked([data for _, data in found], criteria.sorts)
            found = [found[index] for index in order]
        end = None if criteria.limit is None else criteria.offset + criteria.limit
        return Page([row for row, _ in found[criteria.offset : end]], len(found))

    def save(self, category: str, document: Document, *, expected: int) -> None:
        """See `Transaction`."""
        self._write((category, document.id), document, expected)

    def remove(self, category: str, id: str, *, expected: int) -> None:
        """See `Transaction`."""
        self._write((category, id), None, expected)

    def _write(self, key: tuple[str, str], document: Document | None, expected: int) -> None:
        written = self._writes.get(key)
        if written is not None:
            before, first = written
            found = before.version if before else 0
            if found != expected:
                raise ConcurrencyError(stream_name(*key), expected=expected, found=found)
            expected = first
        self._writes[key] = (document, expected)

    def append(self, messages: Sequence[StoredMessage]) -> None:
        """See `Transaction`."""
        self._messages.extend(messages)

    def commit(self) -> None:
        """See `Transaction`."""
        self._storage._apply(self._writes, self._messages)
        self.rollback()

    def rollback(self) -> None:
        """See `Transaction`."""
        self._writes, self._messages = {}, []


def _parsed(document: Document) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(document.data)
    return data
