"""Layer 6. Storage in dictionaries: the default, gone when the process ends."""

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from happened.adapters.memory_table import MemoryTable, parsed
from happened.errors import ConcurrencyError, ConfigurationError, StorageError, ValidationError
from happened.query import Criteria, Page, not_negative, ranked, span
from happened.storage import (
    Backlog,
    Checkpoint,
    Claim,
    Collection,
    Delivery,
    DeliveryState,
    Document,
    StoredMessage,
    StreamSummary,
    no_nul,
)
from happened.streams import PARTITIONS, partition
from happened.streams import category as category_of
from happened.streams import stream as stream_name
from happened.writes import DocumentWrites, Writes, due_of

__all__ = ["MemoryStorage"]


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

    durable = False

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self._closed = False
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._tables: defaultdict[str, MemoryTable] = defaultdict(MemoryTable)
        self._messages: list[StoredMessage] = []
        self._streams: defaultdict[str, list[int]] = defaultdict(list)
        self._categories: defaultdict[str, list[int]] = defaultdict(list)
        # Only those who look for it fill these, see `_index`.
        self._indexed = 0
        self._ids: dict[str, int] = {}
        self._partitions: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        self._checkpoints: dict[tuple[str, int], Checkpoint] = {}
        self._deliveries: dict[tuple[str, str], Delivery] = {}
        self._held: dict[tuple[str, int], MemoryTransaction] = {}

    # ------------------------------------------------------------------- documents, messages

    def prepare(self, collections: Sequence[Collection], domain: str | None = None) -> None:
        """See `Storage`."""
        with self._lock:
            for collection in collections:
                table = self._tables[collection.category]
                table.title, table.reusable = collection.title, collection.reusable
                for field in collection.unique:
                    if field not in table.unique:
                        table.make_unique(field)

    def create(self) -> list[str]:
        """See `Storage`."""
        return []

    def problems(self) -> list[str]:
        """See `Storage`."""
        return []

    def begin(self, connection: Any = None) -> "MemoryTransaction":
        """See `Storage`."""
        if self._closed:
            raise StorageError(self.url, "the storage is closed; init() opens it again")
        if connection is not None:
            raise ConfigurationError(
                f"{self.url} has no connections to join, found {connection!r}; "
                "use a storage in SQLite or PostgreSQL"
            )
        return MemoryTransaction(self)

    def read(self, stream: str, start: int = 0, limit: int = 1000) -> list[StoredMessage]:
        """See `Storage`."""
        start, limit = span(start, limit, "read")
        with self._lock:
            places = self._streams.get(stream, [])
            return [self._numbered(place) for place in places[start : start + limit]]

    def read_category(
        self, category: str | None, start: int = 0, limit: int = 1000
    ) -> list[StoredMessage]:
        """See `Storage`."""
        start, limit = span(start, limit, "read_category")
        with self._lock:
            if category is None:
                end = min(start + limit, len(self._messages))
                return [self._numbered(place) for place in range(start, end)]
            places = self._categories.get(category, [])
            first = bisect_left(places, start)
            return [self._numbered(place) for place in places[first : first + limit]]

    def find_message(self, stream: str, position: int) -> StoredMessage | None:
        """See `Storage`."""
        with self._lock:
            places = self._streams.get(stream, ())
            return self._numbered(places[position]) if 0 <= position < len(places) else None

    def find_message_by_id(self, id: str) -> StoredMessage | None:
        """See `Storage`."""
        with self._lock:
            self._index()
            place = self._ids.get(id)
            return None if place is None else self._numbered(place)

    def streams(
        self, category: str | None = None, after: str = "", limit: int = 1000
    ) -> list[StreamSummary]:
        """See `Storage`."""
        limit = not_negative("limit", limit, "streams")
        with self._lock:
            names = sorted(
                name
                for name in self._streams
                if name > after and category in (None, category_of(name))
            )
            return [
                StreamSummary(name, len(places), self._messages[places[-1]].metadata.timestamp)
                for name in names[:limit]
                for places in [self._streams[name]]
            ]

    def number(self) -> int:
        """See `Storage`."""
        return 0

    def unnumbered(self) -> Backlog:
        """See `Storage`."""
        return Backlog(0, None)

    # ------------------------------------------------------------------- subscriptions

    def subscribe(self, subscription: str, *, from_now: bool = False) -> None:
        """See `Storage`."""
        with self._lock:
            start = len(self._messages) if from_now else 0
            for number in range(PARTITIONS):
                checkpoint = Checkpoint(subscription, number, start)
                self._checkpoints.setdefault((subscription, number), checkpoint)

    def unsubscribe(self, subscription: str) -> None:
        """See `Storage`."""
        with self._lock:
            for number in range(PARTITIONS):
                self._checkpoints.pop((subscription, number), None)
            for delivery in self.deliveries(subscription=subscription, limit=len(self._deliveries)):
                del self._deliveries[delivery.handler, delivery.message_id]

    def checkpoints(self, subscription: str | None = None) -> list[Checkpoint]:
        """See `Storage`."""
        with self._lock:
            found = sorted(self._checkpoints.values())
            return [each for each in found if subscription in (None, each.subscription)]

    def backlog(self, subscription: str, categories: Sequence[str] | None) -> Backlog:
        """See `Storage`."""
        with self._lock:
            self._index()
            pairs = product(self._among(categories), self.checkpoints(subscription))
            places = [place for pair in pairs for place in self._after(*pair)]
            since = self._messages[min(places)].metadata.timestamp if places else None
            return Backlog(len(places), since)

    def deliveries(
        self,
        *,
        subscription: str | None = None,
        state: DeliveryState | None = None,
        message_id: str | None = None,
        limit: int = 1000,
    ) -> list[Delivery]:
        """See `Storage`."""
        with self._lock:
            found = [
                each
                for each in self._deliveries.values()
                if subscription in (None, each.subscription)
                and state in (None, each.state)
                and message_id in (None, each.message_id)
            ]
        return sorted(found, key=lambda each: (each.due, each.stream, each.position))[:limit]

    def waiting(self, subscription: str | None = None) -> Counter[DeliveryState]:
        """See `Storage`."""
        with self._lock:
            found = list(self._deliveries.values())
        return Counter(each.state for each in found if subscription in (None, each.subscription))

    def wait(self, timeout: float) -> bool:
        """See `Storage`."""
        with self._changed:
            return self._changed.wait(timeout)

    def wake(self) -> None:
        """See `Storage`."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """See `Storage`."""
        self._closed = True

    # ------------------------------------------------------------------- for transactions

    def _numbered(self, place: int) -> StoredMessage:
        metadata, data, claims = self._messages[place]
        return StoredMessage(metadata._replace(global_position=place), data, claims)

    def _among(self, categories: Sequence[str] | None) -> list[str]:
        return list(self._categories if categories is None else categories)

    def _after(self, category: str, checkpoint: Checkpoint) -> list[int]:
        """The places of what a partition holds behind a checkpoint."""
        places = self._partitions.get((category, checkpoint.partition), [])
        return places[bisect_left(places, checkpoint.position) :]

    def _index(self) -> None:
        """Take note of messages that came since the last time."""
        for place in range(self._indexed, len(self._messages)):
            metadata = self._messages[place].metadata
            name = metadata.stream or ""
            self._ids[metadata.id] = place
            self._partitions[category_of(name), partition(name)].append(place)
        self._indexed = len(self._messages)

    def _apply(self, writes: Writes) -> None:
        """Check everything, then write everything: the lock makes both one step."""
        with self._lock:
            claims = self._checked(writes)
            for (category, id), (document, _) in writes.documents.items():
                table = self._tables[category]
                if table.unique:
                    table.release(id)
                table.put(id, document)
            for (category, field, value), id in claims.items():
                self._tables[category].unique[field][value] = id
            for message in writes.messages:
                place = len(self._messages)
                name = message.metadata.stream or ""
                self._messages.append(message)
                self._streams[name].append(place)
                self._categories[category_of(name)].append(place)
            if writes.checkpoints or writes.settled or writes.deferred:
                self._note(writes)
            if writes.messages and self._checkpoints:
                self._changed.notify_all()

    def _note(self, writes: Writes) -> None:
        self._checkpoints |= writes.checkpoints
        for key in writes.settled:
            del self._deliveries[key]
        for delivery in writes.deferred:
            self._deliveries[delivery.handler, delivery.message_id] = delivery
        self._changed.notify_all()

    def _checked(self, writes: Writes) -> dict[tuple[str, str, Any], str]:
        """Refuse what cannot be written; return who has which unique value after it."""
        has_unique = self._check(writes.documents)
        if writes.messages:
            writes.check_positions(self._end_of)
        for key in writes.settled:
            if key not in self._deliveries:
                raise ConcurrencyError(key[0], expected=1, found=0)
        return self._claims(writes.documents) if has_unique else {}

    def _end_of(self, stream: str) -> int:
        return len(self._streams.get(stream, ()))

    def _check(self, writes: DocumentWrites) -> bool:
        """Refuse what others have changed; return whether any value must be unique."""
        has_unique = False
        for (category, id), (document, expected) in writes.items():
            table = self._tables[category]
            if document is not None:
                no_nul(document.data, table.title or category)
            stored = table.rows.get(id)
            found = 0 if stored is None else stored.version
            if found != expected:
                name = stream_name(category, id)
                raise ConcurrencyError(name, expected=expected, found=found)
            if not found and id in table.removed:
                text = f"{id!r} was removed, and its stream stays; an identity is used once"
                raise ValidationError({"id": [text]}, table.title or category)
            has_unique = has_unique or bool(table.unique)
        return has_unique

    def _claims(self, writes: DocumentWrites) -> dict[tuple[str, str, Any], str]:
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
                    text = f"it must be unique, and {table.shown(value)} is stored already"
                    raise ValidationError({field: [text]}, table.title or category)
        return claims

    def _take(
        self,
        taker: "MemoryTransaction",
        subscription: str,
        categories: Sequence[str] | None,
        now: datetime,
        pending_by: datetime,
    ) -> Claim | None:
        """Give a transaction the partition that is the furthest behind, and has work."""
        with self._lock:
            self._index()
            waiting: defaultdict[int, list[Delivery]] = defaultdict(list)
            for delivery in self._deliveries.values():
                if delivery.subscription == subscription:
                    waiting[partition(delivery.stream)].append(delivery)
            for checkpoint in sorted(
                self.checkpoints(subscription), key=lambda each: each.position
            ):
                key = (subscription, checkpoint.partition)
                if key in self._held:
                    continue
                claim = due_of(checkpoint, waiting[checkpoint.partition], now, pending_by)
                unread = any(self._after(each, checkpoint) for each in self._among(categories))
                if claim.due or unread:
                    self._held[key] = taker
                    return claim
        return None

    def _release(self, taker: "MemoryTransaction") -> None:
        with self._lock:
            for key in [key for key, holder in self._held.items() if holder is taker]:
                del self._held[key]
            self._changed.notify_all()


class MemoryTransaction(Writes):
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

    __slots__ = ("_excluding", "_has_claims", "_replaced", "_storage")

    def __init__(self, storage: MemoryStorage) -> None:
        Writes.__init__(self)  # `super` takes longer
        self._storage = storage
        self._excluding = self._has_claims = False
        self._replaced: tuple[tuple[str, str | None], ...] = ()

    @property
    def connection(self) -> Any:
        """See `Transaction`.

        Raises:
            StorageError: always.
        """
        raise StorageError(
            self._storage.url, "it has no connection; use a storage in SQLite or PostgreSQL"
        )

    @property
    def locking(self) -> bool:
        """See `Transaction`."""
        return False

    def load(self, category: str, id: str) -> Document | None:
        """See `Transaction`."""
        written = self.documents.get((category, id))
        if written is not None:
            return written[0]
        with self._storage._lock:
            return self._storage._tables[category].rows.get(id)

    def find(self, category: str, criteria: Criteria) -> Page[Document]:
        """See `Transaction`."""
        table = self._storage._tables[category]
        with self._storage._lock:
            rows = {id: (row, table.data(row)) for id, row in table.rows.items()}
        for (kind, id), (document, _) in self.documents.items():
            if kind == category and document is not None:
                rows[id] = (document, parsed(document))
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

    def claim(
        self,
        subscription: str,
        categories: Sequence[str] | None,
        now: datetime,
        grace: float = 0.0,
        limit: int = 0,
    ) -> Claim | None:
        """See `Transaction`."""
        pending_by = now - timedelta(seconds=grace)
        claim = self._storage._take(self, subscription, categories, now, pending_by)
        self._has_claims = self._has_claims or claim is not None
        if claim is None or claim.due or not limit:
            return claim
        return claim._replace(messages=self.read_partition(claim, categories, limit))

    def read_partition(
        self, claim: Claim, categories: Sequence[str] | None, limit: int
    ) -> list[StoredMessage]:
        """See `Transaction`."""
        storage = self._storage
        with storage._lock:
            storage._index()
            places = sorted(
                place
                for category in storage._among(categories)
                for place in storage._after(category, claim.checkpoint)[:limit]
            )
            return [storage._numbered(place) for place in places[:limit]]

    def find_message(self, stream: str, position: int) -> StoredMessage | None:
        """See `Transaction`."""
        return self._storage.find_message(stream, position)

    def flush(self) -> None:
        """See `Transaction`."""
        with self._storage._lock:
            self._storage._checked(self)

    def hold(self, subscription: str) -> list[Checkpoint]:
        """See `Transaction`."""
        storage = self._storage
        self._has_claims = True
        with storage._changed:
            for checkpoint in storage.checkpoints(subscription):
                key = (subscription, checkpoint.partition)
                while key in storage._held:
                    storage._changed.wait()
                storage._held[key] = self
            return storage.checkpoints(subscription)

    def exclude_writers(self) -> None:
        """See `Transaction`."""
        if not self._excluding:
            self._storage._lock.acquire()
            self._excluding = True

    def replace(self, category: str, by: str | None) -> None:
        """See `Transaction`."""
        self._replaced += ((category, by),)

    def commit(self) -> None:
        """See `Transaction`."""
        self._storage._apply(self)
        if self._replaced:
            self._replace()
        if self._has_claims or self._excluding:
            self.rollback()
        else:
            self.clear()

    def _replace(self) -> None:
        tables = self._storage._tables
        with self._storage._lock:
            for category, by in self._replaced:
                tables[category].take_over(tables.pop(by).rows if by else {})
        self._replaced = ()

    def rollback(self) -> None:
        """See `Transaction`."""
        self.clear()
        if self._has_claims:
            self._has_claims = False
            self._storage._release(self)
        if self._excluding:
            self._excluding = False
            self._storage._lock.release()
