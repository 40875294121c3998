"""Layer 1. What is known of a message beside its own fields."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from happened.errors import ImmutableError
from happened.immutable import ImmutableDict

__all__ = ["NO_HEADERS", "Metadata"]

NO_HEADERS: Mapping[str, Any] = ImmutableDict()


class _Fields(NamedTuple):
    id: str
    type: str
    version: int
    timestamp: datetime
    stream: str | None
    position: int | None
    global_position: int | None
    correlation_id: str
    causation_id: str | None
    origin_stream: str | None
    headers: Mapping[str, Any]


class Metadata(_Fields):
    """What is known of a message beside its own fields; read-only.

    Attributes:
        id: the message's identifier, unique; see `new_id`.
        type: the stable name of the message's class, by default ``"<Domain>.<Class>.v<version>"``.
        version: the version of the class, from 1.
        timestamp: when the message was made, an aware moment in UTC.
        stream: the stream that it belongs to, ``"order-<id>"``; ``None`` until it is raised.
        position: its place in its stream, from 0; ``None`` until it is raised.
        global_position: its place among all messages of the storage, from 0; ``None`` until it
            is read from a storage.
        correlation_id: the id shared by all messages of one chain.
        causation_id: the id of the message whose handling made this one; ``None`` for the first.
        origin_stream: the stream of the message that started the chain.
        headers: a mapping of the caller's own.

    Raises:
        ImmutableError: at any attempt to change it.

    Example:
        >>> from happened import Event
        >>> class BookLent(Event):
        ...     book_id: str
        >>> event = BookLent(book_id="b1")
        >>> event._metadata.type, event._metadata.version
        ('BookLent.v1', 1)
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise ImmutableError(Metadata, name, "metadata is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise ImmutableError(Metadata, name, "metadata is immutable")

    def to_dict(self) -> dict[str, Any]:
        """Return the metadata as plain data: the moment as ISO 8601 text, all else as it is.

        Example:
            >>> from happened import Event
            >>> class BookLent(Event):
            ...     book_id: str
            >>> BookLent(book_id="b1", metadata={"shop": "Rome"})._metadata.to_dict()["headers"]
            {'shop': 'Rome'}
        """
        return {
            **self._asdict(),
            "timestamp": self.timestamp.isoformat(),
            "headers": dict(self.headers),
        }
