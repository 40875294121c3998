"""Layer 3. The unit of work: one transaction, what was seen in it, and what was raised."""

from contextvars import ContextVar
from typing import TypeVar

from happened.errors import ConcurrencyError, HappenedError, NotFoundError
from happened.messages import Event
from happened.model import Aggregate
from happened.query import Criteria, Page
from happened.storage import Document, Storage, StoredMessage

__all__ = ["UnitOfWork", "current_unit_of_work"]

_A = TypeVar("_A", bound=Aggregate)
_Key = tuple[type[Aggregate], str]


class UnitOfWork:
    """One transaction: the aggregates that were got, added and removed in it.

    An aggregate that is got twice is one object. Nothing is permanent before the commit, and
    then all is: the state of what was added, and the events that it raised.

    Args:
        storage: where it reads and writes.

    Attributes:
        storage: where it reads and writes.
        finished: whether it was committed or rolled back, and takes nothing any more.
        spoiled: whether a block inside it failed, so that it may not be committed.
        persisted: after the commit, each aggregate with the events that it raised.

    Example:
        >>> from happened import Aggregate, Domain
        >>> shelf = Domain("shelf")
        >>> @shelf.aggregate
        ... class Book(Aggregate):
        ...     title: str
        >>> shelf.init(traverse=False)
        >>> books = shelf.repository_for(Book)
        >>> with shelf.unit_of_work():
        ...     books.add(Book(id="b1", title="Emma"))
        ...     books.add(Book(id="b2", title="Persuasion"))
        >>> books.query.count()
        2
    """

    __slots__ = (
        *("_changed", "_removed", "_seen", "_transaction", "_written"),
        *("finished", "persisted", "spoiled", "storage"),
    )

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.finished = self.spoiled = False
        self.persisted: list[tuple[Aggregate, list[Event]]] = []
        self._transaction = storage.begin()
        self._seen: dict[_Key, Aggregate] = {}
        self._changed: dict[_Key, Aggregate] = {}
        self._removed: set[_Key] = set()
        self._written: dict[_Key, Document | None] = {}

    def get(self, kind: type[_A], id: str) -> _A | None:
        """Return the aggregate with this identity, or ``None``.

        Args:
            kind: the class of the aggregate.
            id: its identity.
        """
        key = (kind, id)
        if key in self._removed:
            return None
        seen = self._seen.get(key)
        if seen is not None:
            return seen  # type: ignore[return-value]
        document = self._transaction.load(kind._category, id)
        return None if document is None else self._see(kind, document)

    def find(self, kind: type[_A], criteria: Criteria) -> Page[_A]:
        """Return the aggregates that fit, those of this unit of work included.

        Args:
            kind: the class of the aggregates.
            criteria: which, in which order, how many.
        """
        self._write()
        found = self._transaction.find(kind._category, criteria)
        return Page([self._see(kind, document) for document in found.items], found.total)

    def add(self, aggregate: Aggregate) -> None:
        """Persist an aggregate, as it is at the commit, with the events that it raised.

        Args:
            aggregate: a new one, or one that was got and changed.

        Raises:
            ConcurrencyError: another object with this identity was added, removed or changed.
        """
        if self.finished:
            self._refuse_finished()
        key = (type(aggregate), aggregate.identity)
        seen = self._seen.get(key)
        if seen is not aggregate and seen is not None:
            self._refuse_two(key, aggregate, seen)
        self._seen[key] = self._changed[key] = aggregate
        self._removed.discard(key)

    def remove(self, aggregate: Aggregate) -> None:
        """Remove an aggregate at the commit; the events that it raised are persisted.

        Args:
            aggregate: one that is stored. If this unit of work added it, it is forgotten.

        Raises:
            ConcurrencyError: another object with this identity was added, removed or changed.
            NotFoundError: it was never stored.
        """
        if self.finished:
            self._refuse_finished()
        key = (type(aggregate), aggregate.identity)
        seen = self._seen.get(key)
        if seen is not aggregate:
            if seen is not None:
                self._refuse_two(key, aggregate, seen)
            elif not aggregate._version:
                raise NotFoundError(key[0], {aggregate._identity_field: key[1]})
        self._seen[key] = self._changed[key] = aggregate
        self._removed.add(key)

    def commit(self) -> list[Event]:
        """Make all of it permanent; once it is finished, change nothing.

        Returns:
            The events that were persisted: those of the aggregate that was added or removed
            first, then of the next. None after a rollback.

        Raises:
            ConcurrencyError: another writer changed one of the aggregates; nothing was written.
            ValidationError: an aggregate holds what does not fit, or a value that must be unique
                is stored already; nothing was written.
            HappenedError: an aggregate raised events, but was not added; it is in the middle of an
                `atomic_change`; or a block inside this unit of work failed.
        """
        if self.finished:
            return [event for _, events in self.persisted for event in events]
        if self.spoiled:
            raise HappenedError(
                "a block inside this unit of work failed, so nothing of it is stored; "
                "let its exception through"
            )
        if len(self._seen) > len(self._changed):
            self._refuse_forgotten()
        self._write()
        changed: list[Aggregate] = []
        messages: list[StoredMessage] = []
        for key, aggregate in self._changed.items():
            if not aggregate._version and key in self._removed:
                continue
            if aggregate._is_changing():
                raise HappenedError(
                    f"{aggregate._stream} is in the middle of an atomic_change, so its invariants "
                    "are not checked yet; add it after the block"
                )
            changed.append(aggregate)
            for event in aggregate._events:
                messages.append(StoredMessage(event._metadata, event.to_json()))
        if messages:
            self._transaction.append(messages)
        self._transaction.commit()
        self.finished = True
        raised: list[Event] = []
        for aggregate in changed:
            events = aggregate._persisted()
            self.persisted.append((aggregate, events))
            raised += events
        return raised

    def removed(self, aggregate: Aggregate) -> bool:
        """Return whether an aggregate was removed in this unit of work.

        Args:
            aggregate: one that was added or removed in it.
        """
        return (type(aggregate), aggregate.identity) in self._removed

    def rollback(self) -> None:
        """Forget all of it; after a commit, do nothing."""
        self.finished = True
        self._transaction.rollback()

    def _see(self, kind: type[_A], document: Document) -> _A:
        key = (kind, document.id)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = kind._from_document(
                document.data, document.version, document.next_position
            )
        return seen  # type: ignore[return-value]

    def _write(self) -> None:
        """Write what was added and removed so far, so that queries take it into account."""
        written = self._written
        for key, aggregate in self._changed.items():
            expected = aggregate._version
            document = None
            if key not in self._removed:
                position = aggregate._next_position + len(aggregate._events)
                document = Document(key[1], expected + 1, position, aggregate._to_document())
            if key in written:
                before = written[key]
                if before == document:
                    continue
                expected = before.version if before else 0
            if document is not None:
                self._transaction.save(aggregate._category, document, expected=expected)
            elif expected:
                self._transaction.remove(aggregate._category, key[1], expected=expected)
            written[key] = document

    def _refuse_two(self, key: _Key, aggregate: Aggregate, seen: Aggregate) -> None:
        """Of two objects with one identity, one would be lost if both hold changes."""
        changed = key in self._changed
        if changed or seen._events:
            raise ConcurrencyError(
                aggregate._stream, expected=aggregate._version, found=seen._version + changed
            )

    def _refuse_finished(self) -> None:
        raise HappenedError("this unit of work has ended; open another one")

    def _refuse_forgotten(self) -> None:
        for key, aggregate in self._seen.items():
            if aggregate._events and key not in self._changed:
                raise HappenedError(
                    f"{aggregate._stream} raised {type(aggregate._events[0]).__name__} but was not "
                    f"added; call repository_for({key[0].__name__}).add(...) to persist both"
                )


current_unit_of_work: ContextVar[UnitOfWork | None] = ContextVar(
    "happened.current_unit_of_work", default=None
)
