"""Layer 3. The unit of work: one transaction, what was seen in it, and what was raised."""

from contextvars import ContextVar
from typing import TypeVar

from happened.errors import HappenedError
from happened.messages import Event
from happened.model import Aggregate
from happened.query import Criteria, Page
from happened.storage import Document, Storage, StoredMessage

__all__ = ["UnitOfWork", "current_unit_of_work"]

_A = TypeVar("_A", bound=Aggregate)


class UnitOfWork:
    """One transaction: the aggregates that were got, added and removed in it.

    An aggregate that is got twice is one object. Nothing is permanent before the commit, and
    then all is: the state of what was added, and the events that it raised.

    Args:
        storage: where it reads and writes.

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

    __slots__ = ("_added", "_flushed", "_removed", "_seen", "_transaction", "persisted", "storage")

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.persisted: list[tuple[Aggregate, list[Event]]] = []
        self._transaction = storage.begin()
        self._seen: dict[tuple[type, str], Aggregate] = {}
        self._added: dict[tuple[type, str], Aggregate] = {}
        self._removed: dict[tuple[type, str], Aggregate] = {}
        self._flushed: dict[tuple[type, str], bytes] = {}

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
        self._flush()
        found = self._transaction.find(kind._category, criteria)
        return Page([self._see(kind, document) for document in found.items], found.total)

    def add(self, aggregate: Aggregate) -> None:
        """Persist an aggregate, as it is at the commit, with the events that it raised.

        Args:
            aggregate: a new one, or one that was got and changed.
        """
        key = (type(aggregate), aggregate.identity)
        self._seen[key] = self._added[key] = aggregate
        self._removed.pop(key, None)

    def remove(self, aggregate: Aggregate) -> None:
        """Remove an aggregate at the commit; the events that it raised are persisted.

        Args:
            aggregate: one that is stored.
        """
        key = (type(aggregate), aggregate.identity)
        self._seen.pop(key, None)
        self._added.pop(key, None)
        self._removed[key] = aggregate

    def commit(self) -> list[Event]:
        """Make all of it permanent.

        Returns:
            The events that were raised: those of the first aggregate added, then of the next.

        Raises:
            ConcurrencyError: another writer changed one of the aggregates; nothing was written.
            ValidationError: an aggregate holds what does not fit, or a value that must be unique
                is stored already; nothing was written.
            HappenedError: an aggregate raised events, but was not added.
        """
        for key, aggregate in self._seen.items():
            if aggregate._events and key not in self._added:
                raise HappenedError(
                    f"{aggregate._stream} raised {type(aggregate._events[0]).__name__} but was not "
                    f"added; call repository_for({key[0].__name__}).add(...) to persist both"
                )
        transaction = self._transaction
        self._flush()
        changed = [*self._added.values()]
        for aggregate in self._removed.values():
            if aggregate._version:
                transaction.remove(
                    aggregate._category, aggregate.identity, expected=aggregate._version
                )
                changed.append(aggregate)
        for aggregate in changed:
            if aggregate._events:
                transaction.append(
                    [StoredMessage(event._metadata, event.to_json()) for event in aggregate._events]
                )
        transaction.commit()
        raised: list[Event] = []
        for aggregate in changed:
            events = aggregate._persisted()
            self.persisted.append((aggregate, events))
            raised += events
        return raised

    def rollback(self) -> None:
        """Forget all of it; after a commit, do nothing."""
        self._transaction.rollback()

    def _see(self, kind: type[_A], document: Document) -> _A:
        key = (kind, document.id)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = kind._from_document(
                document.data, document.version, document.next_position
            )
        return seen  # type: ignore[return-value]

    def _flush(self) -> None:
        """Write what was added so far, so that queries find it."""
        for key, aggregate in self._added.items():
            data = aggregate._to_document()
            flushed = self._flushed.get(key)
            if data == flushed:
                continue
            before = aggregate._version
            document = Document(
                key[1], before + 1, aggregate._next_position + len(aggregate._events), data
            )
            expected = before if flushed is None else before + 1
            self._transaction.save(aggregate._category, document, expected=expected)
            self._flushed[key] = data


current_unit_of_work: ContextVar[UnitOfWork | None] = ContextVar(
    "happened.current_unit_of_work", default=None
)
