"""Layer 1. Handlers: which function or method takes which messages."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from happened.errors import ConfigurationError
from happened.messages import Message

__all__ = ["Handler", "MessageRef", "handle", "handler", "handlers_in"]

_F = TypeVar("_F", bound=Callable[..., Any])

MessageRef = type[Message] | str
"""A message class, or its name where the class is not defined yet."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One function or method that handles messages.

    Attributes:
        name: what errors, diagrams and logs call it, ``"Stock.reduce"``.
        accepts: the classes that it handles, their subclasses included.
        call: calls it with a message.
        is_async: whether the call returns an awaitable.

    Example:
        >>> from happened import Event
        >>> from happened.handlers import handler
        >>> class BookLent(Event):
        ...     book_id: str
        >>> def print_slip(event): ...
        >>> handler(print_slip, (BookLent,)).name
        'print_slip'
    """

    name: str
    accepts: tuple[MessageRef, ...]
    call: Callable[[Any], Any]
    is_async: bool


def handle(*messages: MessageRef) -> Callable[[_F], _F]:
    """Mark a method as the handler of messages of these classes.

    Args:
        *messages: at least one event or command class; inside a domain, its name will do.

    Returns:
        The decorator; it returns the method unchanged.

    Raises:
        ConfigurationError: there is no class, or something is neither a message class nor a name.

    Example:
        >>> from happened import Dispatcher, Event, handle
        >>> class BookLent(Event):
        ...     book_id: str
        >>> class Desk:
        ...     @handle(BookLent)
        ...     def print_slip(self, event: BookLent) -> None:
        ...         print("slip for", event.book_id)
        >>> dispatcher = Dispatcher()
        >>> dispatcher.register(Desk())
        >>> dispatcher.dispatch_sync(BookLent(book_id="b1"))
        slip for b1
    """
    accepts = _checked(messages, "@handle")

    def mark(function: _F) -> _F:
        function._handles = accepts  # type: ignore[attr-defined]
        return function

    return mark


def handler(function: Callable[[Any], Any], messages: tuple[MessageRef, ...]) -> Handler:
    """Return the handler that a function or a callable object is.

    Args:
        function: what is called with each message.
        messages: the classes that it handles.

    Raises:
        ConfigurationError: there is no class, or something is neither a message class nor a name.

    Example:
        >>> from happened import Event
        >>> from happened.handlers import handler
        >>> handler(print, (Event,)).is_async
        False
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    name = name.rpartition("<locals>.")[2]
    asks = function if inspect.isroutine(function) else type(function).__call__
    is_async = inspect.iscoroutinefunction(asks)
    return Handler(name, _checked(messages, name), function, is_async)


def handlers_in(owner: type | object) -> Iterator[Handler]:
    """Yield a handler for each marked method, in the order in which they are written.

    Args:
        owner: an object; or a class, of which a new object is made for each message, so that
            no state is carried from one message to the next.

    Yields:
        A handler for each method under `handle`, those of base classes first.

    Example:
        >>> from happened import Event, handle
        >>> from happened.handlers import handlers_in
        >>> class Desk:
        ...     @handle(Event)
        ...     def note(self, event): ...
        >>> [found.name for found in handlers_in(Desk)]
        ['Desk.note']
    """
    cls = owner if isinstance(owner, type) else type(owner)
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base))
    for name in names:
        function = inspect.getattr_static(cls, name)
        accepts = getattr(function, "_handles", None)
        if accepts is None:
            continue
        call = _on_new(cls, function) if owner is cls else getattr(owner, name)
        is_async = inspect.iscoroutinefunction(function)
        yield Handler(f"{cls.__name__}.{name}", accepts, call, is_async)


def _on_new(cls: type, function: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    def call(message: Any) -> Any:
        return function(cls(), message)

    return call


def _checked(messages: tuple[MessageRef, ...], place: str) -> tuple[MessageRef, ...]:
    if not messages:
        raise ConfigurationError(
            f"{place}: name the message class to handle, as @handle(BookAdded)"
        )
    for message in messages:
        if not isinstance(message, str) and not (
            isinstance(message, type) and issubclass(message, Message)
        ):
            raise ConfigurationError(
                f"{place}: {message!r} is not a message class; give a subclass of Event or Command"
            )
    return messages
