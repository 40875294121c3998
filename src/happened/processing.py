"""Layer 4. Processing: one message, one handler, one unit of work."""

import threading
from collections import deque
from collections.abc import Coroutine, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from happened.dispatcher import raise_failures
from happened.elements import Reaction
from happened.errors import ConcurrencyError, ConfigurationError
from happened.hooks import Observer, Step
from happened.messages import Command, Event, Message
from happened.registry import Registry
from happened.storage import Storage
from happened.streams import stream
from happened.tracing import current_trace, leave
from happened.unit_of_work import UnitOfWork, current_unit_of_work

__all__ = ["Processor"]


class _Run:
    """What is raised and what fails while one call from outside is processed.

    At its end the events are dispatched, breadth first, and then what failed is raised. It belongs
    to its thread: another one that began with a copy of its context may go on after its end.
    """

    __slots__ = ("commits", "failures", "finished", "processor", "raised", "thread", "token")

    def __init__(self, processor: "Processor") -> None:
        self.processor = processor
        self.thread = threading.get_ident()
        self.finished = False
        self.commits = 0
        self.raised: deque[Event] = deque()
        self.failures: list[Exception] = []

    def __enter__(self) -> "_Run":
        self.token = _current_run.set(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None or isinstance(error, Exception):
                self._dispatch()
        finally:
            self.finished = True
            leave(_current_run, self.token)
        if self.failures:
            self._raise(error)

    def _dispatch(self) -> None:
        raised, processor = self.raised, self.processor
        while raised:
            event = raised.popleft()
            for reaction in processor._registry.handlers_of(event):
                try:
                    processor._call(reaction, event, self)
                except Exception as error:  # noqa: BLE001  a failure must not stop the others
                    error.add_note(
                        f"raised by event handler {reaction.handler.name} for "
                        f"{type(event).__name__}; the event stays recorded"
                    )
                    self.failures.append(error)

    def _raise(self, error: BaseException | None) -> None:
        failures = [error, *self.failures] if isinstance(error, Exception) else self.failures
        self.failures = []
        raise_failures(failures, f"{len(failures)} failures; every other handler has run")


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
                f"domain {self._registry.name!r} has no handler for {command!r}; register its "
                "class with @domain.command, and its handler with @domain.command_handler"
            )
        if command._metadata.stream is None:
            kind: Any = type(command)  # it knows its aggregate since `init`
            category = f"{kind._part_of._category}:command"
            command._place(stream(category, command._metadata.id), None)
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
    def unit_of_work(self) -> Generator[UnitOfWork]:
        """Open a unit of work for a block; its events are dispatched after it has committed.

        Inside another one of the same storage, the block is a part of that one.

        Yields:
            The unit of work.
        """
        current = current_unit_of_work.get()
        if current is not None and current.storage is self._storage and not current.finished:
            try:
                yield current
            except BaseException:
                current.spoiled = True
                raise
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
                leave(current_unit_of_work, token)
            if self._observers:
                self._tell_persisted(unit, None, None)

    def _running(self) -> AbstractContextManager[_Run]:
        """The run of the call that led here, or a new one for a call from outside."""
        run = _current_run.get()
        if (
            run is None
            or run.finished
            or run.processor is not self
            or run.thread != threading.get_ident()
        ):
            return _Run(self)
        return nullcontext(run)

    def _call(self, reaction: Reaction, message: Message, run: _Run) -> Any:
        """Call a handler, again after a conflict if it asks for that."""
        retries, commits = reaction.retries, run.commits
        while True:
            try:
                return self._once(reaction, message, run)
            except ConcurrencyError:
                if retries <= 0 or run.commits != commits:  # what was committed inside stays once
                    raise
                retries -= 1

    def _once(self, reaction: Reaction, message: Message, run: _Run) -> Any:
        handler = reaction.handler
        unit = UnitOfWork(self._storage)
        trace = current_trace.set(message._metadata)
        token = current_unit_of_work.set(unit)
        try:
            if self._observers:
                self._tell(Step(kind="handling", message=message, handler=handler.name))
            result = handler.call(message)
            if isinstance(result, Coroutine):
                result.close()
                raise ConfigurationError(
                    f"{handler.name} returned a coroutine; a domain calls plain functions and "
                    "methods (a Dispatcher awaits async ones)"
                )
            run.raised += unit.commit()
            run.commits += 1
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
        for observer in [*self._observers]:  # one of them may begin or end a recording
            try:
                observer(step)
            except Exception as error:
                run = _current_run.get()
                if run is None or run.finished:
                    raise
                run.failures.append(error)  # the caller gets it; what happened has happened

    def _tell_persisted(
        self, unit: UnitOfWork, message: Message | None, handler: str | None
    ) -> None:
        for aggregate, events in unit.persisted:
            self._tell(
                Step(
                    kind="removed" if unit.removed(aggregate) else "persisted",
                    message=message,
                    handler=handler,
                    stream=aggregate._stream,
                    aggregate=type(aggregate),
                    events=tuple(events),
                )
            )
