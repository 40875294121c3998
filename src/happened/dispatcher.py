"""Layer 1. The dispatcher: calls the handlers of an event in this process, without any domain."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from happened.errors import ConfigurationError
from happened.handlers import Handler, handler, handlers_in
from happened.messages import Event
from happened.tracing import current_trace, leave

__all__ = ["Dispatcher", "raise_failures"]

_F = TypeVar("_F", bound=Callable[..., Any])


class Dispatcher:
    """Calls the handlers of events, one after another, in the order of their registration.

    A handler is called for the events of the classes that it was registered for and of their
    subclasses. Each handler is called even if one before it failed. While handlers run, events
    made by them inherit the event's correlation id and name it as their cause.

    Example:
        >>> from happened import Dispatcher, Event
        >>> class InviteSent(Event):
        ...     invite_id: int
        >>> dispatcher = Dispatcher()
        >>> @dispatcher.on(InviteSent)
        ... def welcome(event: InviteSent) -> None:
        ...     print("welcome,", event.invite_id)
        >>> dispatcher.dispatch_sync(InviteSent(invite_id=7))
        welcome, 7
    """

    def __init__(self) -> None:
        self._handlers: list[Handler] = []
        self._found: dict[type, tuple[tuple[Callable[[Any], Any], bool], ...]] = {}

    def on(self, *events: type[Event]) -> Callable[[_F], _F]:
        """Register a function, plain or ``async``, or a callable object as a handler.

        Args:
            *events: the classes of the events to handle; `Event` for all.

        Returns:
            The decorator; it returns the function unchanged.

        Raises:
            ConfigurationError: no event class is given, or something that is none; or the function
                yields.

        Example:
            >>> from happened import Dispatcher, Event
            >>> dispatcher = Dispatcher()
            >>> @dispatcher.on(Event)
            ... def log(event: Event) -> None:
            ...     print(event.event_type)
        """
        if not events or not all(isinstance(event, type) for event in events):
            raise ConfigurationError(
                "name the events that the function handles, as @dispatcher.on(InviteSent)"
            )

        def register(function: _F) -> _F:
            self._add(handler(function, events))
            return function

        return register

    def register(self, owner: object) -> None:
        """Register every method of an object that is marked with `handle`.

        Args:
            owner: the object; all events are handled by this one object.

        Raises:
            ConfigurationError: it has no such method, one names its event by a string or yields,
                or it is a class.

        Example:
            >>> from happened import Dispatcher, Event, handle
            >>> class Log:
            ...     @handle(Event)
            ...     def write(self, event: Event) -> None: ...
            >>> Dispatcher().register(Log())
        """
        if isinstance(owner, type):
            raise ConfigurationError(
                f"{owner.__name__} is a class; register an object of it, as "
                f"dispatcher.register({owner.__name__}())"
            )
        found = list(handlers_in(owner))
        if not found:
            name = type(owner).__name__
            raise ConfigurationError(
                f"{name} has no handlers; mark its methods with @handle(SomeEvent)"
            )
        for each in found:
            self._add(each)

    def _add(self, added: Handler) -> None:
        if added.is_generator:
            raise ConfigurationError(
                f"{added.name} yields, so a call would run nothing of it; do the work and return"
            )
        if added.mismatch:
            raise ConfigurationError(
                f"{added.name} is called with the event alone, but {added.mismatch}"
            )
        for accepted in added.accepts:
            if isinstance(accepted, str) or not issubclass(accepted, Event):
                raise ConfigurationError(
                    f"{added.name}: a dispatcher calls handlers of events; {accepted!r} is not a "
                    "subclass of Event"
                )
        self._handlers.append(added)
        self._found = {}  # not cleared: a thread in `_find` may be about to write into the old one

    def _find(self, event: Event) -> tuple[tuple[Callable[[Any], Any], bool], ...]:
        kind = type(event)
        if not isinstance(event, Event):
            raise ConfigurationError(f"{event!r} is not an event; dispatch a subclass of Event")
        cache = self._found
        found = tuple(
            (each.call, each.is_async)
            for each in self._handlers
            if any(issubclass(kind, accepted) for accepted in each.accepts)  # type: ignore[arg-type]
        )
        cache[kind] = found
        return found

    async def dispatch(self, event: Event) -> None:
        """Call the handlers of an event in turn; ``async`` ones are awaited.

        A plain handler is called on the event loop, which waits for it.

        Args:
            event: the event; that it has no handlers is no mistake.

        Raises:
            ConfigurationError: it is not an event.
            ExceptionGroup: several handlers failed. If one failed, its own exception is raised.
                Either comes after every handler was called.

        Example:
            >>> import asyncio
            >>> from happened import Dispatcher, Event
            >>> dispatcher = Dispatcher()
            >>> @dispatcher.on(Event)
            ... async def log(event: Event) -> None:
            ...     print(event.event_type)
            >>> class InviteSent(Event): ...
            >>> asyncio.run(dispatcher.dispatch(InviteSent()))
            InviteSent.v1
        """
        calls = self._found.get(type(event))
        if calls is None:
            calls = self._find(event)
        failures: list[Exception] = []
        token = current_trace.set(event._metadata)
        try:
            for call, is_async in calls:
                try:
                    answer = call(event)
                    if is_async or (answer is not None and inspect.isawaitable(answer)):
                        await answer
                except Exception as error:  # noqa: BLE001 - raised when all were called
                    failures.append(error)
        finally:
            leave(current_trace, token)  # a coroutine may be closed in another context
        if failures:
            raise_failures(failures, _summary(failures, event))

    def dispatch_sync(self, event: Event) -> None:
        """Call the handlers of an event in turn, where there is no event loop.

        Args:
            event: the event; that it has no handlers is no mistake.

        Raises:
            ConfigurationError: it is not an event, or one of its handlers is ``async``.
            ExceptionGroup: several handlers failed. If one failed, its own exception is raised.
                Either comes after every handler was called.

        Example:
            >>> from happened import Dispatcher, Event
            >>> class InviteSent(Event): ...
            >>> Dispatcher().dispatch_sync(InviteSent())
        """
        calls = self._found.get(type(event))
        if calls is None:
            calls = self._find(event)
        failures: list[Exception] = []
        token = current_trace.set(event._metadata)
        try:
            for call, is_async in calls:
                try:
                    if is_async:
                        raise self._needs_await(call)
                    answer = call(event)
                    if answer is not None and inspect.isawaitable(answer):
                        if inspect.iscoroutine(answer):
                            answer.close()
                        raise self._needs_await(call)
                except Exception as error:  # noqa: BLE001 - raised when all were called
                    failures.append(error)
        finally:
            current_trace.reset(token)
        if failures:
            raise_failures(failures, _summary(failures, event))

    def _needs_await(self, call: Callable[[Any], Any]) -> ConfigurationError:
        name = next(each.name for each in self._handlers if each.call is call)
        return ConfigurationError(f"{name} is async; await dispatcher.dispatch(event) instead")


def raise_failures(failures: list[Exception], summary: str) -> None:
    """Raise what handlers raised: one as it is, several as a group.

    Args:
        failures: the exceptions, in the order in which they were raised. The list is emptied: an
            error that knows a frame that knows the error would stay in memory.
        summary: the text of the group.

    Raises:
        ExceptionGroup: there are several.

    Example:
        >>> from happened.dispatcher import raise_failures
        >>> raise_failures([], "nothing failed")
    """
    try:
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise ExceptionGroup(summary, failures)
    finally:
        failures.clear()


def _summary(failures: Sequence[Exception], event: Event) -> str:
    return f"{len(failures)} handlers of {type(event).__name__} failed"
