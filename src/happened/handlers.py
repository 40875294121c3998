"""Layer 1. Handlers: which function or method takes which messages."""

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from happened.errors import ConfigurationError
from happened.messages import Message

__all__ = [
    "Handler",
    "MessageRef",
    "handle",
    "handler",
    "handlers_in",
    "method_named",
    "name_of",
    "signature_of",
]

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
        is_generator: whether it yields, so that a call runs nothing of it.
        mismatch: why a call with the message alone would fail, or nothing.

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
    is_generator: bool = False
    mismatch: str = ""


def handle(*messages: MessageRef, name: str | None = None) -> Callable[[_F], _F]:
    """Mark a method as the handler of messages of these classes.

    Args:
        *messages: at least one event or command class; inside a domain, its name will do.
        name: what a domain keeps its claims and its dead letters under, after the name of the
            class; by default the name of the method. A method that is renamed is given its old
            name here.

    Returns:
        The decorator; it returns the method unchanged.

    Raises:
        ConfigurationError: there is no class, or something is neither a message class nor a name;
            or `name` is not one word, or the method has another one already.

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
    if not (name is None or (isinstance(name, str) and name.isidentifier())):
        raise ConfigurationError(f"@handle: name={name!r}; the name of a method is one word")

    def mark(function: _F) -> _F:
        more = (each for each in _marked(function) if each not in accepts)
        kept = _name_of(function)
        if None not in (name, kept) and name != kept:
            raise ConfigurationError(f"@handle: name={name!r}; the method has the name {kept!r}")
        function._handles = (*accepts, *more)  # type: ignore[attr-defined]
        function._handles_as = name or kept  # type: ignore[attr-defined]
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
    name = _qualified(function)
    return Handler(name, _checked(messages, name), function, *_ways(function), _refusal(function))


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
    for name, kept, accepts in _methods(cls):
        function = inspect.getattr_static(cls, name)
        if owner is cls and not isinstance(function, staticmethod | classmethod):
            call = _on_new(cls, function)
        else:
            call = getattr(owner, name)
        ways = _ways(getattr(cls, name))
        yield Handler(f"{cls.__name__}.{kept}", accepts, call, *ways, _mismatch(owner, name))


def method_named(cls: type, name: str) -> Any:
    """Return the method of a class that is a handler of this name, or ``None``.

    Args:
        cls: the class.
        name: the name of the method, or the one that `handle` was given.

    Example:
        >>> from happened import Event, handle
        >>> from happened.handlers import method_named
        >>> class Desk:
        ...     @handle(Event, name="note")
        ...     def write_down(self, event): ...
        >>> method_named(Desk, "note") is Desk.write_down
        True
    """
    found = (method for method, kept, _ in _methods(cls) if kept == name)
    return inspect.getattr_static(cls, next(found, ""), None)


def name_of(function: Callable[..., Any]) -> str:
    """Return what a domain calls a function, a callable object or a class, unless it was named.

    Args:
        function: any of these; of a partial call, the function in it counts.

    Example:
        >>> from functools import partial
        >>> from happened.handlers import name_of
        >>> def print_slip(printer, event): ...
        >>> name_of(partial(print_slip, "laser"))
        'print_slip'
    """
    return _qualified(function).rpartition(".")[2]


def _qualified(function: Callable[..., Any]) -> str:
    named = function.func if isinstance(function, partial) else function
    name: str = getattr(named, "__qualname__", type(named).__qualname__)
    return name.rpartition("<locals>.")[2]


def _methods(cls: type) -> Iterator[tuple[str, str, tuple[MessageRef, ...]]]:
    """Each marked method, the name that it is kept under, and what it handles."""
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base))
    for name in names:
        accepts, kept = _accepted(cls, name)
        if accepts:
            yield name, kept or name, accepts


def _marked(function: object) -> tuple[MessageRef, ...]:
    inner = getattr(function, "__func__", None)  # of a static method or a class method
    found: tuple[MessageRef, ...] = getattr(function, "_handles", getattr(inner, "_handles", ()))
    return found


def _name_of(function: object) -> str | None:
    inner = getattr(function, "__func__", None)
    found: str | None = getattr(function, "_handles_as", getattr(inner, "_handles_as", None))
    return found


def _accepted(cls: type, name: str) -> tuple[tuple[MessageRef, ...], str | None]:
    """What a method handles, and its kept name.

    A method that overrides it handles the same, under the same name; ``None`` handles nothing.
    """
    for base in cls.__mro__:
        if name in vars(base):
            member = vars(base)[name]
            if member is None or _marked(member):
                return _marked(member), _name_of(member)
    return (), None


def signature_of(call: Callable[..., Any], *, follow_wrapped: bool = True) -> inspect.Signature:
    """Return how something is called, even if its annotations name what exists for types alone.

    Args:
        call: a function, a class, or another object that can be called.
        follow_wrapped: whether it counts what a decorator says that it wraps.

    Raises:
        TypeError: it cannot be called.
        ValueError: nothing says how it is called.

    Example:
        >>> from happened.handlers import signature_of
        >>> def print_slip(event: "BookLent") -> None: ...
        >>> list(signature_of(print_slip).parameters)
        ['event']
    """
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415 - new in Python 3.14

        known = annotationlib.Format.FORWARDREF  # else what is imported for types alone fails
        return inspect.signature(call, follow_wrapped=follow_wrapped, annotation_format=known)
    return inspect.signature(call, follow_wrapped=follow_wrapped)


def _ways(function: Callable[..., Any]) -> tuple[bool, bool]:
    """Whether a function or a callable object is ``async``, and whether it yields."""
    if isinstance(function, partial):
        return _ways(function.func)
    called = function if inspect.isroutine(function) else type(function).__call__
    yields = inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)
    return inspect.iscoroutinefunction(called), yields


def _refusal(call: Callable[..., Any], *before: object) -> str:
    """Why a call with one message would fail, or nothing."""
    try:
        signature = signature_of(call, follow_wrapped=False)
    except (TypeError, ValueError):  # not written in Python
        return ""
    try:
        signature.bind(*before, None)
    except TypeError as error:
        return f"it takes {signature}: {error}"
    return ""


def _mismatch(owner: type | object, name: str) -> str:
    """The same for a method of a class, or of an object."""
    method = getattr(owner, name)
    static = inspect.getattr_static(owner, name)
    alone = not isinstance(owner, type) or isinstance(static, staticmethod | classmethod)
    return _refusal(method) if alone else _refusal(method, None)


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
