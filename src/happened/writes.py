"""Layer 3. Writes: what a transaction is to write, kept until its commit."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from happened.errors import ConcurrencyError
from happened.metadata import Metadata
from happened.storage import (
    Checkpoint,
    Claim,
    Delivery,
    DeliveryState,
    Document,
    StoredMessage,
)
from happened.streams import stream as stream_name

__all__ = ["DocumentWrites", "Writes", "delivery_of", "due_of", "pending_of"]

DocumentWrites = dict[tuple[str, str], tuple[Document | None, int]]
"""Category and id to what is written, ``None`` where it is removed, and the version before."""


# Most transactions write none of these, so nothing is made for them; nobody changes these.
_NO_CHECKPOINTS: dict[tuple[str, int], Checkpoint] = {}
_NO_DEFERRED: list[Delivery] = []
_NO_SETTLED: list[tuple[str, str]] = []


class Writes:
    """What a transaction is to write. The transactions of the adapters derive from it.

    Attributes:
        documents: what is written for each document.
        messages: what is appended, in order.
        checkpoints: how far partitions are read, by subscription and partition.
        deferred: what waits for handlers.
        settled: handler and message id of what waits no longer.

    Example:
        >>> from happened.storage import Document
        >>> from happened.writes import Writes
        >>> writes = Writes()
        >>> writes.save("book", Document("b1", 1, 0, b"{}"), expected=0)
        >>> list(writes.documents)
        [('book', 'b1')]
    """

    __slots__ = ("checkpoints", "deferred", "documents", "messages", "settled")

    def __init__(self) -> None:
        self.documents: DocumentWrites = {}
        self.messages: list[StoredMessage] = []
        self.checkpoints, self.deferred, self.settled = _NO_CHECKPOINTS, _NO_DEFERRED, _NO_SETTLED

    def clear(self) -> None:
        """Forget all of it."""
        self.documents = {}
        self.messages = []
        self.checkpoints, self.deferred, self.settled = _NO_CHECKPOINTS, _NO_DEFERRED, _NO_SETTLED

    def __bool__(self) -> bool:
        return bool(
            self.documents or self.messages or self.checkpoints or self.deferred or self.settled
        )

    def save(self, category: str, document: Document, *, expected: int) -> None:
        """See `Transaction`.

        Raises:
            ConcurrencyError: what this transaction wrote has another version.
        """
        key = (category, document.id)
        if key in self.documents:
            expected = self._again(key, expected)
        self.documents[key] = (document, expected)

    def remove(self, category: str, id: str, *, expected: int) -> None:
        """See `Transaction`.

        Raises:
            ConcurrencyError: what this transaction wrote has another version.
        """
        key = (category, id)
        if key in self.documents:
            expected = self._again(key, expected)
        self.documents[key] = (None, expected)

    def _again(self, key: tuple[str, str], expected: int) -> int:
        """The version that a document had before this transaction wrote it."""
        before, first = self.documents[key]
        found = before.version if before else 0
        if found != expected:
            raise ConcurrencyError(stream_name(*key), expected=expected, found=found)
        return first

    def append(self, messages: Sequence[StoredMessage]) -> None:
        """See `Transaction`."""
        self.messages.extend(messages)

    def advance(self, checkpoint: Checkpoint) -> None:
        """See `Transaction`."""
        key = (checkpoint.subscription, checkpoint.partition)
        self.checkpoints = {**self.checkpoints, key: checkpoint}

    def defer(self, delivery: Delivery) -> None:
        """See `Transaction`."""
        self.deferred = self.deferred or []
        self.deferred.append(delivery)

    def settle(self, handler: str, message_id: str) -> None:
        """See `Transaction`."""
        self.settled = self.settled or []
        self.settled.append((handler, message_id))

    def savepoint(self, *, sure: bool = False) -> object:
        """See `Transaction`."""
        return (
            dict(self.documents),
            (self.messages, len(self.messages)),
            self.checkpoints,
            (self.deferred, len(self.deferred)),
            (self.settled, len(self.settled)),
        )

    def restore(self, savepoint: object) -> bool:
        """See `Transaction`."""
        marks: Any = savepoint
        documents, *lists = marks
        self.documents = dict(documents)  # the mark may be needed again
        # What was handed to the database since is in the lists of before: `clear` makes new ones.
        (self.messages, sent), self.checkpoints, (self.deferred, put), (self.settled, done) = lists
        del self.messages[sent:], self.deferred[put:], self.settled[done:]
        return True

    def check_positions(self, end_of: Callable[[str], int]) -> None:
        """Refuse messages that are not the next ones of their streams.

        Args:
            end_of: returns the position of the next message of a stream.

        Raises:
            ConcurrencyError: a message stands at another position.
        """
        ends: dict[str, int] = {}
        for metadata, *_ in self.messages:
            name = metadata.stream or ""
            end = ends.get(name)
            if end is None:
                end = end_of(name)
            if metadata.position != end:
                raise ConcurrencyError(name, expected=metadata.position or 0, found=end)
            ends[name] = end + 1


def pending_of(messages: Sequence[StoredMessage]) -> Iterator[Delivery]:
    """Yield a pending delivery for each claim of messages that are committed now.

    Args:
        messages: what is appended.

    Example:
        >>> from happened.writes import pending_of
        >>> list(pending_of([]))
        []
    """
    for metadata, _, claims in messages:
        for handler in claims:
            yield delivery_of(handler, metadata, "pending")


def delivery_of(handler: str, metadata: Metadata, state: DeliveryState) -> Delivery:
    """Return the delivery of a message to a handler, due now and never tried.

    Args:
        handler: the name of the handler; what stands before its first ``.`` is the subscription's.
        metadata: the metadata of the message, which has its place in a stream.
        state: why it waits.

    Example:
        >>> from happened import Event
        >>> from happened.writes import delivery_of
        >>> delivery_of("Stock.reduce", Event()._metadata, "held").subscription
        'Stock'
    """
    id, place, stream = metadata.id, metadata.position or 0, metadata.stream or ""
    return Delivery(
        handler, handler.partition(".")[0], id, stream, place, state, 0, datetime.now(UTC)
    )


def due_of(
    checkpoint: Checkpoint, waiting: Sequence[Delivery], now: datetime, pending_by: datetime
) -> Claim:
    """Return what may be tried now of all that waits in a partition.

    Args:
        checkpoint: how far the partition is read.
        waiting: its deliveries, in any order.
        now: what retries are due by.
        pending_by: what pending deliveries are due by.

    Example:
        >>> from datetime import UTC, datetime
        >>> from happened.storage import Checkpoint
        >>> from happened.writes import due_of
        >>> now = datetime.now(UTC)
        >>> due_of(Checkpoint("Stock", 0, 17), [], now, now).due
        []
    """
    first: dict[str, int] = {}
    closed: dict[str, int] = {}  # streams that wait from a position on
    due = []
    for delivery in sorted(waiting, key=lambda each: (each.stream, each.position)):
        name, place, state = delivery.stream, delivery.position, delivery.state
        is_due = state == "held" or (
            state != "dead" and delivery.due <= (pending_by if state == "pending" else now)
        )
        if delivery.blocks:
            behind = first.setdefault(name, place) != place
            if closed.get(name, place) < place:
                continue
            if not is_due or (behind and state != "held"):
                closed.setdefault(name, place)
                continue
        if is_due:
            due.append(delivery)
    return Claim(checkpoint, due, frozenset(first))
