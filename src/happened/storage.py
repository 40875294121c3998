"""Layer 3. The port for storages: what a database must do, and where its adapter is found."""

# pyright: reportReturnType=false
# The methods of a protocol have no bodies.

import importlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, cast

from happened.errors import ConfigurationError, StorageError, ValidationError
from happened.metadata import Metadata
from happened.query import Criteria, Page

__all__ = [
    "Backlog",
    "Checkpoint",
    "Claim",
    "Collection",
    "Delivery",
    "DeliveryState",
    "Document",
    "Storage",
    "StoredMessage",
    "StreamSummary",
    "Transaction",
    "another_domain",
    "no_nul",
    "no_text",
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
        indexed: the fields that queries look at often; a storage may keep an index of each.
        reusable: whether an identity that was removed may be used again.

    Example:
        >>> from happened.storage import Collection
        >>> Collection("order").unique
        ()
    """

    category: str
    unique: tuple[str, ...] = ()
    title: str = ""
    indexed: tuple[str, ...] = ()
    reusable: bool = False


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
        metadata: its metadata; the global position is there once it was read from a storage
            that has numbered it.
        data: its fields as JSON, encoded in UTF-8.
        claims: the names of the handlers that whoever commits it calls right after the commit;
            subscriptions leave the message to them.

    Example:
        >>> from happened import Event
        >>> from happened.storage import StoredMessage
        >>> event = Event()
        >>> StoredMessage(event._metadata, event.to_json()).data
        b'{}'
    """

    metadata: Metadata
    data: bytes
    claims: tuple[str, ...] = ()


DeliveryState = Literal["pending", "retrying", "held", "dead"]
"""Why a message still waits for a handler, see `Delivery`."""


class Delivery(NamedTuple):
    """One message that one handler has still to handle, outside of the order of positions.

    Attributes:
        handler: the name of the handler, ``"Stock.reduce"``.
        subscription: the name of the subscription that it belongs to, ``"Stock"``.
        message_id: the id of the message.
        stream: the stream of the message.
        position: its place in its stream, from 0.
        state: ``"pending"``: whoever committed the message was to call the handler at once;
            ``"retrying"``: the handler failed, and is called again when it is due;
            ``"held"``: it waits for an earlier message of its stream;
            ``"dead"``: a dead letter, the handler failed too often.
        attempts: how often the handler was called and failed.
        due: from when on it may be tried, an aware moment in UTC; for ``"pending"``, when it was
            committed.
        error: the last failure in a line, ``"KeyError: 'boom'"``.
        traceback: its traceback.
        blocks: whether later messages of its stream wait for it.

    Example:
        >>> from datetime import UTC, datetime
        >>> from happened.storage import Delivery
        >>> due = datetime(2026, 12, 24, tzinfo=UTC)
        >>> Delivery("Stock.reduce", "Stock", "m1", "order-7", 0, "held", 0, due).error
        ''
    """

    handler: str
    subscription: str
    message_id: str
    stream: str
    position: int
    state: DeliveryState
    attempts: int
    due: datetime
    error: str = ""
    traceback: str = ""
    blocks: bool = True


class Checkpoint(NamedTuple):
    """How far a subscription has read one partition.

    Attributes:
        subscription: its name, ``"Stock"``.
        partition: the partition, see `happened.streams.partition`.
        position: the global position of the next message to read, from 0.

    Example:
        >>> from happened.storage import Checkpoint
        >>> Checkpoint("Stock", 0, 17).position
        17
    """

    subscription: str
    partition: int
    position: int


class Claim(NamedTuple):
    """A partition of a subscription that one transaction holds until its end.

    Attributes:
        checkpoint: how far it was read.
        due: the deliveries that may be tried now, in the order of their streams' positions. Of
            those that block their stream, the first message's, and what is held right behind it:
            that may be tried once all before it in the stream is done.
        blocked: the streams whose later messages have to wait.
        messages: what comes next in it, as far as that was asked for; nothing while something is
            due.

    Example:
        >>> from happened.storage import Checkpoint, Claim
        >>> Claim(Checkpoint("Stock", 0, 17), [], frozenset({"order-7"})).due
        []
    """

    checkpoint: Checkpoint
    due: list[Delivery]
    blocked: frozenset[str]
    messages: Sequence["StoredMessage"] = ()


class Backlog(NamedTuple):
    """What has been committed and is still to be done.

    Attributes:
        messages: how many.
        since: when the oldest of them was made, an aware moment in UTC; ``None`` if there is none.

    Example:
        >>> from happened.storage import Backlog
        >>> Backlog(0, None).messages
        0
    """

    messages: int
    since: datetime | None


class StreamSummary(NamedTuple):
    """What a storage tells of one stream.

    Attributes:
        stream: its name, ``"order-7"``.
        messages: how many it has.
        last: when the last of them was made, an aware moment in UTC.

    Example:
        >>> from datetime import UTC, datetime
        >>> from happened.storage import StreamSummary
        >>> StreamSummary("order-7", 2, datetime(2026, 12, 24, tzinfo=UTC)).messages
        2
    """

    stream: str
    messages: int
    last: datetime


class Transaction(Protocol):
    """All that one unit of work reads and writes; it sees its own writes.

    What it writes is kept until the commit, or until a query or the connection itself is asked for,
    so that it holds no locks while the caller does other things.

    Example:
        >>> from happened.storage import Document, open_storage
        >>> storage = open_storage("memory://")
        >>> transaction = storage.begin()
        >>> transaction.save("book", Document("b1", 1, 0, b"{}"), expected=0)
        >>> transaction.commit()
        >>> storage.begin().load("book", "b1").version
        1
    """

    @property
    def connection(self) -> Any:
        """The driver's connection, inside this transaction, for statements of the caller's own.

        Raises:
            StorageError: the storage cannot be reached, or has no connections.
        """

    @property
    def locking(self) -> bool:
        """Whether it holds locks in the database that another transaction may have to wait for."""

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
                was removed before, since an identity is used once unless the collection says that
                it is reusable; likewise.
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

        A durable storage also notes a ``"pending"`` delivery for each of their claims.

        Args:
            messages: with stream and position in their metadata. The first of a stream stands
                at position 0, and each one right behind the one before it.

        Raises:
            ConcurrencyError: a position is not the next one of its stream; a storage may raise
                this at `commit`.
            StorageError: the storage cannot be reached.
        """

    def claim(
        self,
        subscription: str,
        categories: Sequence[str] | None,
        now: datetime,
        grace: float = 0.0,
        limit: int = 0,
    ) -> Claim | None:
        """Take a partition in which there is something to do, for this transaction alone.

        Nobody else gets it until this transaction has ended, or the process that began it has.

        Args:
            subscription: the name of a subscription that is known, see `Storage.subscribe`.
            categories: the stream categories that it reads; ``None`` for all.
            now: what is due by this moment counts as to be done.
            grace: how long a pending delivery is left to whoever committed its message, in
                seconds; not at all by default.
            limit: how many of its next messages to return with it at most; none by default.

        Returns:
            The partition that is read the least far; ``None`` if there is nothing to do, or others
            are at it.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def read_partition(
        self, claim: Claim, categories: Sequence[str] | None, limit: int
    ) -> Sequence[StoredMessage]:
        """Return the next messages of a partition that this transaction has claimed.

        Args:
            claim: the partition, and how far it was read.
            categories: the stream categories to read; ``None`` for all.
            limit: how many to return at most.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def find_message(self, stream: str, position: int) -> StoredMessage | None:
        """Return the message at a position of a stream, or ``None``.

        It may have no global position yet. A transaction that holds a connection reads it there,
        and needs no second one.

        Args:
            stream: the name of the stream, ``"order-7"``.
            position: its place in the stream, from 0.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def advance(self, checkpoint: Checkpoint) -> None:
        """Note how far a partition that this transaction has claimed is read.

        Args:
            checkpoint: its new state.

        Raises:
            ConcurrencyError: at the commit: somebody else has read it meanwhile.
        """

    def defer(self, delivery: Delivery) -> None:
        """Note that a message waits for a handler; another note of the same two is replaced.

        Args:
            delivery: the message, the handler, and why it waits.
        """

    def settle(self, handler: str, message_id: str) -> None:
        """Note that a message waits for a handler no longer.

        Args:
            handler: the name of the handler.
            message_id: the id of the message.

        Raises:
            ConcurrencyError: at the commit: it did not wait; somebody else was faster, and nothing
                is written.
        """

    def savepoint(self, *, sure: bool = False) -> object:
        """Return a mark of what was written so far, for `restore`.

        Args:
            sure: whether `restore` must be possible whatever comes after the mark, which may cost
                a call of the database; by default it is only while all writes are kept here.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def restore(self, savepoint: object) -> bool:
        """Forget what was written after a mark.

        Args:
            savepoint: what `savepoint` returned.

        Returns:
            Whether that was possible. If not, the whole transaction must be rolled back.
        """

    def flush(self) -> None:
        """Hand what was written so far to the database, so that a conflict shows now.

        Raises:
            ConcurrencyError: as for `commit`.
            ValidationError: as for `commit`.
            StorageError: the storage cannot be reached.
        """

    def hold(self, subscription: str) -> Sequence[Checkpoint]:
        """Wait for all partitions of a subscription, and keep them until the end.

        Args:
            subscription: its name; one that is not known has none.

        Raises:
            StorageError: the storage cannot be reached, or somebody held one for too long.
        """

    def exclude_writers(self) -> None:
        """Wait until nobody is appending messages, and let nobody append any until the end.

        All messages that were committed before have their global position then.

        Raises:
            StorageError: the storage cannot be reached, or somebody was at it for too long.
        """

    def replace(self, category: str, by: str | None) -> None:
        """Put the documents of one category in the place of those of another.

        Args:
            category: the one whose documents are given up.
            by: the one whose documents take their place, and which is empty then; ``None`` for
                nothing.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def commit(self) -> None:
        """Make all writes of this transaction permanent and visible, together.

        If it was begun on a connection of the caller's own, the writes are made there, and
        become permanent when the caller commits.

        Raises:
            ConcurrencyError: a document has another version than expected, a message is not
                the next one of its stream, or a delivery was settled already. Nothing was written.
            ValidationError: a unique field has a value that is stored already. Nothing was written.
            StorageError: the storage cannot be reached.
        """

    def rollback(self) -> None:
        """Forget all writes of this transaction; after a commit or a rollback, do nothing."""


class Storage(Protocol):
    """One database that holds aggregates, messages and checkpoints: one transaction covers all.

    One that is durable belongs to one domain: it keeps the name of the first that uses it, and
    refuses one of another name, see `another_domain`.

    Attributes:
        url: where it is, without a password.
        durable: whether what it holds outlives the process.

    Example:
        >>> from happened.storage import open_storage
        >>> open_storage("memory://").url
        'memory://'
    """

    @property
    def url(self) -> str:
        """Where it is, without a password."""

    @property
    def durable(self) -> bool:
        """Whether what it holds outlives the process."""

    def prepare(self, collections: Sequence[Collection], domain: str | None = None) -> None:
        """Make ready for these collections; to do so again changes nothing.

        A storage on a server only takes note of them, and is not reached; see `create`. From then
        on, whatever reads or writes raises `StorageError` where the tables are another domain's.

        Args:
            collections: the aggregates of a domain.
            domain: its name, which the tables take if they have none yet; by default none is noted
                or compared.

        Raises:
            StorageError: the storage cannot be reached, a newer release made its tables, or they
                are those of another domain.
            ValidationError: a field that is to be unique has the same value twice already.
        """

    def create(self) -> Sequence[str]:
        """Create what is missing, or bring it up to date: tables, and indexes of the collections.

        Returns:
            What was done, a line each; nothing where all was there.

        Raises:
            StorageError: the storage cannot be reached, a newer release made its tables, or they
                are those of another domain.
            ValidationError: a field that is to be unique has the same value twice already.
        """

    def problems(self) -> Sequence[str]:
        """Return what is missing or out of date, a line each; nothing where all is there.

        Raises:
            StorageError: the storage cannot be reached, or its tables are those of another domain.
        """

    def begin(self, connection: Any = None) -> Transaction:
        """Begin a transaction.

        Args:
            connection: an open connection of the caller's own, the driver's or SQLAlchemy's, to
                read and write through; by default one of the storage's.

        Raises:
            StorageError: the storage cannot be reached, or is closed.
            ConfigurationError: the connection is none that this storage can use.
        """

    def read(self, stream: str, start: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        """Return the messages of a stream, in order.

        Args:
            stream: the name of the stream, ``"order-7"``.
            start: the position of the first message to return, from 0.
            limit: how many to return at most.

        Raises:
            StorageError: the storage cannot be reached.
            ValidationError: a number is no whole number, or less than 0.
        """

    def read_category(
        self, category: str | None, start: int = 0, limit: int = 1000
    ) -> Sequence[StoredMessage]:
        """Return the messages of a stream category, in the order of their global positions.

        What was committed before the call has its global position.

        Args:
            category: the stream category, ``"order"``; ``None`` for the messages of all.
            start: the smallest global position to return, from 0.
            limit: how many to return at most.

        Raises:
            StorageError: the storage cannot be reached.
            ValidationError: a number is no whole number, or less than 0.
        """

    def find_message(self, stream: str, position: int) -> StoredMessage | None:
        """Return the message at a position of a stream, with its global position, or ``None``.

        Args:
            stream: the name of the stream, ``"order-7"``.
            position: its place in the stream, from 0.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def find_message_by_id(self, id: str) -> StoredMessage | None:
        """Return a message of which nothing but the id is known, or ``None``.

        A storage need not keep an index of ids, which each commit would have to write: it may look
        through all messages, the newest first.

        Args:
            id: its id.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def streams(
        self, category: str | None = None, after: str = "", limit: int = 1000
    ) -> Sequence[StreamSummary]:
        """Return which streams there are, by their names.

        Args:
            category: only those of this stream category; all by default.
            after: only those whose names come after this one; all by default.
            limit: how many to return at most.

        Raises:
            StorageError: the storage cannot be reached.
            ValidationError: a number is no whole number, or less than 0.
        """

    def number(self) -> int:
        """Give global positions to what was committed and has none.

        Returns:
            How many messages got one; 0 where somebody else is at it, and where each message has
            one from its commit on.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def unnumbered(self) -> Backlog:
        """Return how many committed messages have no global position yet.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def subscribe(self, subscription: str, *, from_now: bool = False) -> None:
        """Make the checkpoints of a subscription; those that are there stay as they are.

        Args:
            subscription: its name.
            from_now: whether it begins behind the last message; by default at the first.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def unsubscribe(self, subscription: str) -> None:
        """Forget the checkpoints of a subscription, and what waits for it.

        Args:
            subscription: its name; one that is not known is no mistake.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def checkpoints(self, subscription: str | None = None) -> Sequence[Checkpoint]:
        """Return checkpoints, by subscription and partition.

        Args:
            subscription: only those of this one; all by default.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def backlog(self, subscription: str, categories: Sequence[str] | None) -> Backlog:
        """Return how many messages a subscription has not read yet.

        Args:
            subscription: its name.
            categories: the stream categories that it reads; ``None`` for all.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def deliveries(
        self,
        *,
        subscription: str | None = None,
        state: DeliveryState | None = None,
        message_id: str | None = None,
        limit: int = 1000,
    ) -> Sequence[Delivery]:
        """Return what waits for handlers, the earliest due first.

        Args:
            subscription: only those of this one; all by default.
            state: only those in this state; all by default.
            message_id: only those of this message; all by default.
            limit: how many to return at most.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def waiting(self, subscription: str | None = None) -> Counter[DeliveryState]:
        """Return how many deliveries there are, by state.

        Args:
            subscription: only those of this one; all by default.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def wait(self, timeout: float) -> bool:
        """Wait until messages are committed that wait for a subscription.

        Args:
            timeout: how long at most, in seconds.

        Returns:
            Whether any were committed; in doubt, true.

        Raises:
            StorageError: the storage cannot be reached.
        """

    def wake(self) -> None:
        """Let every `wait` in this process return at once."""

    def close(self) -> None:
        """Release what the storage holds; to do so again changes nothing."""


def another_domain(url: str, *, found: str, expected: str, place: str) -> StorageError:
    """Return what it means that tables are those of a domain of another name.

    Args:
        url: where they are, without a password.
        found: the name of the domain whose they are.
        expected: the name of the one that would use them.
        place: what to give each domain, ``"a file of its own"``.

    Example:
        >>> from happened.storage import another_domain
        >>> error = another_domain("sqlite:///a.db", found="a", expected="b", place="a file")
        >>> str(error).partition("; ")[0]
        "sqlite:///a.db: its tables belong to domain 'a', and this is domain 'b'"
    """
    return StorageError(
        url,
        f"its tables belong to domain {found!r}, and this is domain {expected!r}; give each "
        f"domain {place}, or name this one {found!r} again",
    )


def no_text(error: UnicodeEncodeError, title: str = "") -> ValidationError:
    r"""Return what it means that a text cannot be encoded.

    Args:
        error: what was raised.
        title: the class that the text belongs to, if that is known.

    Example:
        >>> from happened.storage import no_text
        >>> try:
        ...     "b\ud800".encode()
        ... except UnicodeEncodeError as error:
        ...     print(no_text(error, "Book"))
        Book is not valid: _entity: 'b\ud800' has a lone surrogate, so it is no text; leave it out
    """
    found = repr(error.object[max(0, error.start - 20) : error.start + 20])
    problem = f"{found} has a lone surrogate, so it is no text; leave it out"
    return ValidationError({"_entity": [problem]}, title.encode(errors="backslashreplace").decode())


def no_nul(data: bytes, title: str) -> None:
    r"""Refuse a document with the character NUL: not every database can hold it in text.

    What one storage refuses, all do, so that a program that was tested on one runs on another.

    Args:
        data: the document.
        title: its class.

    Raises:
        ValidationError: it has that character.

    Example:
        >>> from happened.storage import no_nul
        >>> no_nul(b'{"title": "Emma"}', "Book")
    """
    if b"\\u0000" in data and _NUL.search(data):
        problem = "text with the character NUL (\\u0000) cannot be stored; leave it out"
        raise ValidationError({"_entity": [problem]}, title)


_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ADAPTERS: Final = {
    "memory": "happened.adapters.memory:MemoryStorage",
    "postgresql": "happened.adapters.postgres:PostgresStorage",
    "sqlite": "happened.adapters.sqlite:SQLiteStorage",
}
_EXTRAS: Final = {"postgresql": ("psycopg", "postgres")}
"""Who needs a driver: the module that is missing without it, and the extra that brings it."""


def storage_problem(url: str) -> str | None:
    """Return what is wrong with the URL of a storage, or ``None``; nothing is opened.

    Args:
        url: where the storage is.

    Example:
        >>> from happened.storage import storage_problem
        >>> storage_problem("memory:")
        "no adapter for it; there is one for 'memory://', 'postgresql://', 'sqlite://'"
    """
    scheme, mark, _ = url.partition("://")
    if mark and scheme in _ADAPTERS:
        return None
    known = ", ".join(f"'{name}://'" for name in sorted(_ADAPTERS))
    return f"no adapter for it; there is one for {known}"


def open_storage(url: str) -> Storage:
    """Open a storage.

    Args:
        url: where it is; the part before ``://`` says which adapter to use: ``memory://``;
            ``sqlite:///relative.db`` or ``sqlite:////absolute.db``;
            ``postgresql://user@host/database?schema=happened``.

    Returns:
        The storage; for ``memory://`` a new and empty one.

    Raises:
        ConfigurationError: there is no adapter for it, or its driver is missing.

    Example:
        >>> from happened.storage import open_storage
        >>> open_storage("memory://").url
        'memory://'
    """
    problem = storage_problem(url)
    scheme, mark, _ = url.partition("://")
    if problem:
        shown = f"{scheme}://..." if mark else url  # what follows may have a password
        raise ConfigurationError(f"storage {shown!r}: {problem}")
    module, _, name = _ADAPTERS[scheme].partition(":")
    driver, extra = _EXTRAS.get(scheme, ("", ""))
    try:
        adapter = getattr(importlib.import_module(module), name)
    except ImportError as error:
        if not driver or (error.name or driver).partition(".")[0] != driver:
            raise
        raise ConfigurationError(
            f"storage '{scheme}://': its driver is missing; pip install 'happened[{extra}]'"
        ) from error
    return cast("Storage", adapter(url))
