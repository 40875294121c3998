"""Layer 1. Tracing: which message is being handled now, and so what a new message is part of."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import NamedTuple, TypeVar

from happened.errors import ConfigurationError
from happened.metadata import Metadata

__all__ = ["Trace", "current_trace", "leave", "trace"]

_T = TypeVar("_T")


class Trace(NamedTuple):
    """What a message made now inherits.

    Attributes:
        id: the id of the message that is being handled, which becomes the causation id;
            ``None`` where a chain was entered from outside.
        correlation_id: the id of the chain.
        origin_stream: the stream of the message that started the chain, where it has one.

    Example:
        >>> from happened.tracing import Trace
        >>> Trace("m2", "m1", "order-7").correlation_id
        'm1'
    """

    id: str | None
    correlation_id: str
    origin_stream: str | None


# While a message is handled, its metadata stand here: they hold all that a trace holds.
current_trace: ContextVar[Trace | Metadata | None] = ContextVar(
    "happened.current_trace", default=None
)


@contextmanager
def trace(
    correlation_id: str, causation_id: str | None = None, origin_stream: str | None = None
) -> Generator[Trace, None, None]:
    """Make the messages of a block part of a chain that began elsewhere.

    Args:
        correlation_id: the id of the chain, such as the id of a web request.
        causation_id: the id of the message that led here; none by default.
        origin_stream: the stream of the message that started the chain; by default each message
            that is made in the block has its own, and hands it on to those that it leads to.

    Yields:
        The trace that messages made in the block inherit.

    Raises:
        ConfigurationError: an id is not text, or is empty.

    Example:
        >>> from happened import Event, trace
        >>> class BookLent(Event):
        ...     book_id: str
        >>> with trace("request-17"):
        ...     event = BookLent(book_id="b1")
        >>> event.correlation_id, event.causation_id
        ('request-17', None)
    """
    for name, value in (("correlation_id", correlation_id), ("causation_id", causation_id)):
        if not (isinstance(value, str) and value) and (name, value) != ("causation_id", None):
            raise ConfigurationError(
                f"trace: {name}={value!r}; it takes text that is not empty, such as a request's id"
            )
    inherited = Trace(causation_id, correlation_id, origin_stream)
    token = current_trace.set(inherited)
    try:
        yield inherited
    finally:
        leave(current_trace, token)


def leave(variable: ContextVar[_T], token: Token[_T]) -> None:
    """Give a context variable its former value back, if this is still the context that was entered.

    A block whose two ends run in different contexts, such as a generator that a framework closes
    in another thread, has nothing to give back at its end: that context never had the new value.

    Args:
        variable: the variable.
        token: what setting it returned.

    Example:
        >>> from contextvars import ContextVar
        >>> from happened.tracing import leave
        >>> color = ContextVar("color", default="red")
        >>> leave(color, color.set("blue"))
        >>> color.get()
        'red'
    """
    try:  # noqa: SIM105 - a block costs nothing, `suppress` half a microsecond a message
        variable.reset(token)
    except ValueError:
        pass
