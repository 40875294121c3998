"""Layer 3. The unit of work: one transaction, what was seen in it, and what was raised."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from happened.errors import ConcurrencyError, HappenedError, NotFoundError
from happened.messages import Command, Event
from happened.model import Aggregate
from happened.query import Criteria, Page
from happened.storage import Document, Storage, StoredMessage, Transaction

__all__ = ["UnitOfWork", "current_unit_of_work"]

_A = TypeVar("_A", bound=Aggregate)
_Key = tuple[type[Aggregate], str]
_new_tuple = tuple.__new__  # what a named tuple's own constructor calls


# Most units of work have none of these, so nothing is made for them; nobody changes these.
_NOTHING_SENT: list[Command] = []
_NOTHING_REMOVED: set[_Key] = set()


class UnitOfWork:
    """One transaction: the aggregates that were got, added and removed in it.

    An aggregate that is got twice is one object. Nothing is permanent before the commit, and
    then all is: the state of what was added, and the events that it raised.

    Args:
        storage: where it reads and writes.
        claims: says which handlers are called right after the commit of an event, by their names;
            none by default.
        transaction: one to be a part of, which somebody else commits; by default one of its own.
        instead: the categories whose documents are in another one, with that one's name; what is
            in none of them can only be read. By default everything is in its own category.

    Attributes:
        storage: where it reads and writes.
        transaction: its transaction.
        finished: whether it was committed or rolled back, and takes nothing any more.
        spoiled: whether a block inside it failed, so that it may not be committed.
        refused: whether a command was not processed in it, because of what its transaction locks.
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
        *("_changed", "_claims", "_instead", "_removed", "_seen", "_sent", "_written"),
        *("finished", "persisted", "refused", "spoiled", "storage", "transaction"),
    )

    def __init__(
        self,
        storage: Storage,
        claims: Callable[[Event], tuple[str, ...]] | None = None,
        *,
        transaction: Transaction | None = None,
        instead: Mapping[str, str] | None = None,
    ) -> None:
        self.storage = storage
        self.finished = self.spoiled = self.refused = False
        self.persisted: list[tuple[Aggregate, list[Event]]] = []
        self.transaction = storage.begin() if transaction is None else transaction
        self._claims = claims
        self._instead = instead
        self._sent = _NOTHING_SENT
        self._seen: dict[_Key, Aggregate] = {}
        self._changed: dict[_Key, Aggregate] = {}
        self._removed = _NOTHING_REMOVED
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
        category = kind._category if self._instead is None else self._placed(kind)
        document = self.transaction.load(category, id)
        return None if document is None else self._see(kind, document)

    def find(self, kind: type[_A], criteria: Criteria) -> Page[_A]:
        """Return the aggregates that fit, those of this unit of work included.

        Args:
            kind: the class of the aggregates.
            criteria: which, in which order, how many.
        """
        self._write()
        category = kind._category if self._instead is None else self._placed(kind)
        found = self.transaction.find(category, criteria)
        return Page([self._see(kind, document) for document in found.items], found.total)

    def add(self, aggregate: Aggregate) -> None:
        """Persist an aggregate, as it is at the commit, with the events that it raised.

        Args:
            aggregate: a new one, or one that was got and changed.

        Raises:
            ConcurrencyError: another object with this identity was added, removed or changed.
        """
        if self.finished or self._instead is not None:
            self._refuse(aggregate)
        key = (type(aggregate), aggregate.identity)
        seen = self._seen.get(key)
        if seen is not aggregate and seen is not None:
            self._refuse_two(key, aggregate, seen)
        self._seen[key] = self._changed[key] = aggregate
        if self._removed:
            self._removed.discard(key)

    def remove(self, aggregate: Aggregate) -> None:
        """Remove an aggregate at the commit; the events that it raised are persisted.

        Args:
            aggregate: one that is stored. If this unit of work added it, it is forgotten.

        Raises:
            ConcurrencyError: another object with this identity was added, removed or changed.
            NotFoundError: it was never stored.
        """
        if self.finished or self._instead is not None:
            self._refuse(aggregate)
        key = (type(aggregate), aggregate.identity)
        seen = self._seen.get(key)
        if seen is not aggregate:
            if seen is not None:
                self._refuse_two(key, aggregate, seen)
            elif not aggregate._version:
                raise NotFoundError(key[0], {aggregate._identity_field: key[1]})
        self._seen[key] = self._changed[key] = aggregate
        self._removed = self._removed or set()
        self._removed.add(key)

    def send(self, command: Command) -> None:
        """Store a command at the commit, for its handler to handle later.

        Args:
            command: one that has its stream and its position.

        Raises:
            HappenedError: this unit of work has ended.
        """
        if self.finished:
            raise HappenedError("this unit of work has ended; open another one")
        self._sent = self._sent or []
        self._sent.append(command)

    @property
    def connection(self) -> Any:
        """The driver's connection, for statements of your own in this transaction.

        What was added so far has been written when this returns. Commit and roll back through
        the unit of work, never through the connection.

        Raises:
            StorageError: the storage has no connections, or cannot be reached.
            HappenedError: a projection is being rebuilt, which is kept in documents alone.
        """
        if self._instead is not None:
            raise HappenedError(
                f"{', '.join(self._instead)} cannot be rebuilt beside itself: its handlers write "
                "through the connection; empty your table, and use `happened replay`"
            )
        self._write()
        return self.transaction.connection

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
        self.flush()
        self.transaction.commit()
        return self.committed()

    def flush(self) -> None:
        """Write all of it into the transaction; nothing is permanent yet.

        Raises:
            ValidationError: an aggregate holds what does not fit.
            HappenedError: as for `commit`.
        """
        if self.spoiled:
            raise HappenedError(
                "a block inside this unit of work failed, so nothing of it is stored; "
                "let its exception through"
            )
        if len(self._seen) > len(self._changed):
            self._refuse_forgotten()
        self._write()
        claims = self._claims
        messages: list[StoredMessage] = []
        removed = self._removed
        for key, aggregate in self._changed.items():
            standing = aggregate._standing
            if removed and not standing.version and key in removed:
                continue
            if standing.pending or (aggregate._associations and aggregate._is_changing()):
                raise HappenedError(
                    f"{aggregate._stream} is in the middle of an atomic_change, so its invariants "
                    "are not checked yet; add it after the block"
                )
            for event in standing.events:
                claimed = claims(event) if claims is not None else ()
                stored = (event._metadata, event.to_json(), claimed)
                messages.append(_new_tuple(StoredMessage, stored))
        for command in self._sent:
            messages.append(StoredMessage(command._metadata, command.to_json()))
        if messages:
            self.transaction.append(messages)

    def committed(self) -> list[Event]:
        """Take note that the transaction was committed.

        Returns:
            The events that were persisted.
        """
        self.finished = True
        raised: list[Event] = []
        removed = self._removed
        for key, aggregate in self._changed.items():
            standing = aggregate._standing
            if removed and not standing.version and key in removed:
                continue
            events = standing.persisted()
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
        self.transaction.rollback()

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
        written, removed = self._written, self._removed
        for key, aggregate in self._changed.items():
            standing = aggregate._standing
            expected = standing.version
            document = None
            if not removed or key not in removed:
                position = standing.next_position + len(standing.events)
                data = aggregate._to_document()
                document = _new_tuple(Document, (key[1], expected + 1, position, data))
            if written and key in written:
                before = written[key]
                if before == document:
                    continue
                expected = before.version if before else 0
            category = key[0]._category if self._instead is None else self._placed(key[0])
            if document is not None:
                self.transaction.save(category, document, expected=expected)
            elif expected:
                self.transaction.remove(category, key[1], expected=expected)
            written[key] = document

    def _refuse_two(self, key: _Key, aggregate: Aggregate, seen: Aggregate) -> None:
        """Of two objects with one identity, one would be lost if both hold changes."""
        changed = key in self._changed
        if changed or seen._events:
            raise ConcurrencyError(
                aggregate._stream, expected=aggregate._version, found=seen._version + changed
            )

    def _placed(self, kind: type[Aggregate]) -> str:
        """The category in which the documents of a class are, while one is rebuilt."""
        category = kind._category
        return category if self._instead is None else self._instead.get(category, category)

    def _refuse(self, aggregate: Aggregate) -> None:
        """Refuse to change anything after the end, or what is not to be rebuilt."""
        if self.finished:
            raise HappenedError("this unit of work has ended; open another one")
        if self._instead is not None and aggregate._category not in self._instead:
            raise HappenedError(
                f"{aggregate._stream} cannot be changed while {', '.join(self._instead)} is "
                "rebuilt; a handler of a projection changes that projection alone"
            )

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
