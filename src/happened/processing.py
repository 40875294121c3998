"""Layer 4. Processing: one message, one handler, one unit of work."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from happened.dispatcher import raise_failures
from happened.errors import ConcurrencyError, ConfigurationError
from happened.hooks import Observer, Step
from happened.messages import Command, Event, Message
from happened.registry import Reaction, Registry
from happened.storage import Storage
from happened.streams import stream
from happened.tracing import current_trace
from happened.unit_of_work import UnitOfWork, current_unit_of_work

__all__ = ["Processor"]


class _Run:
    """What was raised and what failed while one call from outside is processed."""

    __slots__ = ("failures", "owner", "raised")

    def __init__(self, owner: "Processor") -> None:
        self.owner = owner
        self.raised: deque[Event] = deque()
        self.failures: list[Exception] = []


_current_run: ContextVar[_Run | None] = ContextVar("happened.current_run", default=None)


class Processor:
    """Calls handlers, each in a unit of work of its own, and dispatches what they raise.

    Events are dispatched breadth first: all handlers of an event are called, in the order of
    their registration, before those of the events that they raise. A handler that fails does not
    stop the others; what it wrote is rolled back, and the caller gets the failure at the end.

    Args:
        registry: says which handlers there are.
        storage: where the units of work read and write.
        observers: are told each step.

    Example:
        >>> from happened import Domain
        >>> from happened.processing import Processor
        >>> isinstance(Domain("shelf").processor, Processor)
        True
    """

    def __init__(self, registry: Registry, storage: Storage, observers: list[Observer]) -> None:
        self._registry = registry
        self._storage = storage
        self._observers = observers

    def process(self, command: Command) -> Any:
        """Call the handler of a command, then the handlers of all that it leads to.

        Args:
            command: a command of this domain.

        Returns:
            What the command's handler returned.

        Raises:
            ConfigurationError: the command has no handler here.
            Exception: what the handler raised.
            ExceptionGroup: several handlers failed, those of events included.
        """
        reaction = self._registry.commands.get(type(command))
        if reaction is None:
            raise ConfigurationError(
                f"domain {self._registry.name!r} has no handler for "
                f"{type(command).__name__}; register the command with @domain.command, and its "
                "handler with @domain.command_handler"
            )
        if command._metadata.stream is None:
            category = reaction.part_of._category if reaction.part_of else "command"
            command._place(stream(f"{category}:command", command._metadata.id), None)
        if self._observers:
            self._tell(Step(kind="received", message=command))
        with self._running() as run:
            return self._call(reaction, command, run)

    def dispatch(self, event: Event) -> None:
        """Call the handlers of an event, then those of all that it leads to.

        Args:
            event: an event of this domain, persisted or not.

        Raises:
            Exception: what a handler raised.
            ExceptionGroup: several handlers failed.
        """
        if self._observers:
            self._tell(Step(kind="received", message=event))
        with self._running() as run:
            run.raised.append(event)

    @contextmanager
    def unit_of_work(self) -> Iterator[UnitOfWork]:
        """Open a unit of work for a block; its events are dispatched after it has committed.

        Inside another one of the same storage, the block is a part of that one.

        Yields:
            The unit of work.
        """
        current = current_unit_of_work.get()
        if current is not None and current.storage is self._storage:
            yield current
            return
        with self._running() as run:
            unit = UnitOfWork(self._storage)
            token = current_unit_of_work.set(unit)
            try:
                yield unit
                run.raised += unit.commit()
            except BaseException:
                unit.rollback()
                raise
            finally:
                current_unit_of_work.reset(token)
            if self._observers:
                self._tell_persisted(unit, None, None)

    @contextmanager
    def _running(self) -> Iterator[_Run]:
        """Collect what is raised; the outermost caller dispatches it and gets the failures."""
        outer = _current_run.get()
        if outer is not None and outer.owner is self:
            yield outer
            return
        run = _Run(self)
        token = _current_run.set(run)
        try:
            try:
                yield run
            except Exception as error:
                run.failures.append(error)
            while run.raised:
                event = run.raised.popleft()
                for reaction in self._registry.handlers_of(event):
                    try:
                        self._call(reaction, event, run)
                    except Exception as error:
                        run.failures.append(error)
        finally:
            _current_run.reset(token)
        raise_failures(run.failures, f"{len(run.failures)} failures; each handler was called")

    def _call(self, reaction: Reaction, message: Message, run: _Run) -> Any:
        """Call a handler, again after a conflict if it asks for that."""
        for left in range(reaction.retries, -1, -1):
            try:
                return self._once(reaction, message, run)
            except ConcurrencyError:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _once(self, reaction: Reaction, message: Message, run: _Run) -> Any:
        handler = reaction.handler
        if self._observers:
            self._tell(Step(kind="handling", message=message, handler=handler.name))
        trace = current_trace.set(message._metadata)
        unit = UnitOfWork(self._storage)
        token = current_unit_of_work.set(unit)
        try:
            result = handler.call(message)
            run.raised += unit.commit()
        except BaseException as error:
            unit.rollback()
            if self._observers:
                self._tell(Step(kind="failed", message=message, handler=handler.name, error=error))
            raise
        finally:
            current_unit_of_work.reset(token)
            current_trace.reset(trace)
        if self._observers:
            self._tell_persisted(unit, message, handler.name)
            self._tell(Step(kind="handled", message=message, handler=handler.name))
        return result

    def _tell(self, step: Step) -> None:
        for observer in self._observers:
            observer(step)

    def _tell_persisted(
        self, unit: UnitOfWork, message: Message | None, handler: str | None
    ) -> None:
        for aggregate, events in unit.persisted:
            self._tell(
                Step(
                    kind="persisted",
                    message=message,
                    handler=handler,
                    stream=aggregate._stream,
                    aggregate=type(aggregate),
                    events=tuple(events),
                )
            )
