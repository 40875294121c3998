"""Layer 4. Processing: one message, one handler, one unit of work."""

import importlib
import inspect
import threading
import traceback
from collections import deque
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from typing import Any

from happened.dispatcher import raise_failures
from happened.elements import Reaction
from happened.errors import (
    ConcurrencyError,
    ConfigurationError,
    HappenedError,
    StorageError,
    note_committed,
)
from happened.faults import at
from happened.hooks import Observer, Step
from happened.messages import Command, Event, Message
from happened.registry import Registry
from happened.storage import Delivery, Storage, Transaction
from happened.streams import stream
from happened.tracing import current_trace, leave
from happened.unit_of_work import UnitOfWork, current_unit_of_work
from happened.writes import delivery_of

__all__ = ["Processor", "dead_letter", "failed", "in_a_line", "is_interrupt", "writable"]


class _Run:
    """What is raised and what fails while one call from outside is processed.

    At its end the events are dispatched, breadth first, and then what failed is raised. It belongs
    to its thread: another one that began with a copy of its context may go on after its end.
    """

    __slots__ = (
        *("commits", "failures", "finished", "given", "processor", "raised", "thread", "token"),
    )

    def __init__(self, processor: "Processor") -> None:
        self.processor = processor
        self.thread = threading.get_ident()
        self.finished = False
        self.commits = 0
        self.given: Event | None = None  # one that came from elsewhere, and is not stored
        self.raised: deque[Event] = deque()
        self.failures: list[Exception] = []

    def __enter__(self) -> "_Run":
        try:
            self.token = _current_run.set(self)
        except BaseException:  # an interrupt, after it was set
            self.finished = True
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None or isinstance(error, Exception):
                self._dispatch()
        finally:
            self.finished = True
            leave(_current_run, self.token)
        if error is not None:
            note_committed(error, committed=False)
        if self.failures:
            note_committed(*self.failures, committed=True)
            self._raise(error)

    def _dispatch(self) -> None:
        raised, processor = self.raised, self.processor
        while raised:
            event = raised.popleft()
            for reaction in processor.registry.handlers_of(event):
                stored = processor._settles and event is not self.given
                try:
                    at("dispatch: before a handler")
                    processor._call(reaction, event, self, settle=stored)
                    at("dispatch: after a handler")
                except Exception as error:  # noqa: BLE001  a failure must not stop the others
                    with suppress(Exception):  # it may be one that cannot be changed
                        error.add_note(
                            f"raised by event handler {reaction.handler.name} for "
                            f"{type(event).__name__}; the event stays recorded"
                        )
                    self.failures.append(error)
                    if stored and not self._is_cut_off(error):
                        self._keep(reaction, event, error)

    def _is_cut_off(self, error: Exception) -> bool:
        """Whether the storage broke off: then it stays pending, unless its commit was made."""
        return isinstance(error, StorageError) and error.storage == self.processor.storage.url

    def _keep(self, reaction: Reaction, event: Event, error: Exception) -> None:
        """Keep what failed as a dead letter; later events of the stream do not wait for it."""
        try:
            transaction = self.processor.storage.begin()
            transaction.settle(reaction.handler.name, event._metadata.id)
            transaction.defer(dead_letter(reaction, event, error))
            transaction.commit()
        except ConcurrencyError:  # somebody else has delivered it meanwhile
            return
        except HappenedError as other:  # then it stays pending, and is delivered again
            self.failures.append(other)

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
        commands_later: whether commands are stored, for a server to handle.
        events_later: whether events are left to a server.

    Attributes:
        registry: says which handlers there are.
        storage: where the units of work read and write.

    Example:
        >>> from happened import Domain
        >>> from happened.processing import Processor
        >>> isinstance(Domain("shelf").processor, Processor)
        True
    """

    def __init__(
        self,
        registry: Registry,
        storage: Storage,
        observers: list[Observer],
        *,
        commands_later: bool = False,
        events_later: bool = False,
    ) -> None:
        self.registry = registry
        self.storage = storage
        self._observers = observers
        self._commands_later = commands_later
        self._events_later = events_later
        self._claims = None if events_later else registry.names_of
        self._settles = storage.durable and not events_later

    def process(self, command: Command) -> Any:
        """Call the handler of a command, then the handlers of all that it leads to.

        Where commands are handled later, it is stored; inside a unit of work, with that.

        Args:
            command: a command of this domain.

        Returns:
            What the command's handler returned; or the command's id, where it is handled later.

        Raises:
            ConfigurationError: the command has no handler here.
            HappenedError: the unit of work that is open here has written already, and others
                would wait for it.
            Exception: what the handler raised.
            ExceptionGroup: several handlers failed, those of events included.
        """
        reaction = self.registry.commands.get(type(command))
        if reaction is None:
            raise ConfigurationError(
                f"domain {self.registry.name!r} has no handler for {command!r}; register its "
                "class with @domain.command, and its handler with @domain.command_handler"
            )
        metadata = command._metadata
        if metadata.stream is None:
            kind: Any = type(command)  # it knows its aggregate since `init`
            category = f"{kind._part_of._category}:command"
            position = 0 if self._commands_later else None
            command._place(stream(category, metadata.id), position)
        if self._observers:
            self._tell(Step(kind="received", message=command))
        if self._commands_later:
            with self.unit_of_work() as unit:
                unit.send(command)
            return metadata.id
        outer = current_unit_of_work.get()
        if outer is not None and outer is self._open() and outer.transaction.locking:
            outer.refused = True
            raise HappenedError(
                f"{type(command).__name__} cannot be processed here: the unit of work around it "
                "has written to the database already, or writes through a connection of yours, and "
                "the two could wait for each other; process it after the block"
            )
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
            run.given = event
            run.raised.append(event)

    @contextmanager
    def unit_of_work(self, connection: Any = None) -> Generator[UnitOfWork]:
        """Open a unit of work for a block; its events are dispatched after it has committed.

        Inside another one of the same storage, the block is a part of that one.

        Args:
            connection: one of the caller's own to write through, see `Domain.unit_of_work`.

        Yields:
            The unit of work.

        Raises:
            HappenedError: a connection is given inside of another unit of work.
        """
        current = self._open()
        if connection is not None:
            if current is not None:
                raise HappenedError(
                    "a unit of work is open here already, so none can be opened on a connection; "
                    "open it outside of handlers and other units of work"
                )
            with self._entered(self.storage.begin(connection)) as unit:
                yield unit  # its owner commits, so nothing can be dispatched here
            return
        if current is not None:
            try:
                yield current
            except BaseException:
                current.spoiled = True
                raise
            return
        with self._running() as run:
            with self._entered(self.storage.begin()) as unit:
                yield unit
            self._raised(unit.commit(), run)

    @contextmanager
    def _entered(self, transaction: Transaction) -> Generator[UnitOfWork]:
        """The current unit of work of a block, committed at its end."""
        unit, token = self.unit_in(transaction), None
        try:
            token = current_unit_of_work.set(unit)
            yield unit
            unit.commit()
        except BaseException:
            unit.rollback()
            raise
        finally:
            if token is not None:
                leave(current_unit_of_work, token)
        if self._observers:
            self._tell_persisted(unit, None, None)

    def unit_in(self, transaction: Transaction) -> UnitOfWork:
        """Return a unit of work in a transaction that somebody else commits, for `run_in`.

        Args:
            transaction: the transaction.
        """
        return UnitOfWork(self.storage, self._claims, transaction=transaction)

    def run_in(self, unit: UnitOfWork, reaction: Reaction, message: Message) -> None:
        """Call a handler inside of a unit of work that somebody else commits.

        Args:
            unit: the unit of work, which is written into its transaction in the end.
            reaction: the handler.
            message: what it handles.

        Raises:
            HappenedError: the handler called ``sys.exit``, or raised what is no `Exception`.
            Exception: what the handler raised, or why what it did cannot be stored.
        """
        trace = token = None
        try:  # what is set is set in here: an interrupt may come at any moment
            trace = current_trace.set(message._metadata)
            token = current_unit_of_work.set(unit)
            self._handle(reaction, message)
            unit.flush()
        except BaseException as error:
            unit.finished = True
            self._failed(reaction, message, error)
            if isinstance(error, Exception) or is_interrupt(error):
                raise
            did = "called sys.exit" if isinstance(error, SystemExit) else f"raised {error!r}"
            raise HappenedError(f"{reaction.handler.name} {did}") from error
        finally:
            if trace is None or token is None:
                _forget()
            else:
                current_unit_of_work.reset(token)
                current_trace.reset(trace)

    def committed(self, unit: UnitOfWork, reaction: Reaction, message: Message) -> None:
        """Take note that a unit of work of `run_in` was committed, and dispatch what it raised.

        Args:
            unit: the unit of work.
            reaction: the handler.
            message: what it handled.

        Raises:
            Exception: a handler of the events failed, where they are handled at once.
            ExceptionGroup: several did.
        """
        with self._running() as run:
            self._raised(unit.committed(), run)
            if self._observers:
                self._tell_persisted(unit, message, reaction.handler.name)
                self._tell(Step(kind="handled", message=message, handler=reaction.handler.name))

    def _raised(self, events: list[Event], run: _Run) -> None:
        if not self._events_later:
            run.raised += events

    def _open(self) -> UnitOfWork | None:
        """The unit of work that is open here, unless it is another storage's."""
        unit = current_unit_of_work.get()
        if unit is None or unit.finished or unit.storage is not self.storage:
            return None
        return unit

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

    def _call(
        self, reaction: Reaction, message: Message, run: _Run, *, settle: bool = False
    ) -> Any:
        """Call a handler, again after a conflict if it asks for that."""
        retries, commits = reaction.retries or 0, run.commits
        while True:
            try:
                return self._once(reaction, message, run, settle=settle)
            except ConcurrencyError:
                if settle and not self._waits(reaction, message):
                    return None  # somebody else has delivered it meanwhile
                if retries <= 0 or run.commits != commits:  # what was committed inside stays once
                    raise
                retries -= 1

    def _waits(self, reaction: Reaction, message: Message) -> bool:
        left = self.storage.deliveries(message_id=message._metadata.id)
        return any(delivery.handler == reaction.handler.name for delivery in left)

    def _once(self, reaction: Reaction, message: Message, run: _Run, *, settle: bool) -> Any:
        unit = UnitOfWork(self.storage, self._claims)
        trace = token = None
        try:  # what is set is set in here: an interrupt may come at any moment
            trace = current_trace.set(message._metadata)
            token = current_unit_of_work.set(unit)
            if settle:
                unit.transaction.settle(reaction.handler.name, message._metadata.id)
            result = self._handle(reaction, message)
            raised = unit.commit()
            if raised:
                self._raised(raised, run)
            run.commits += 1
        except BaseException as error:
            unit.rollback()
            self._failed(reaction, message, error)
            raise
        finally:
            if trace is None or token is None:
                _forget()
            else:
                current_unit_of_work.reset(token)
                current_trace.reset(trace)
        if self._observers:
            self._tell_persisted(unit, message, reaction.handler.name)
            self._tell(Step(kind="handled", message=message, handler=reaction.handler.name))
        return result

    def _handle(self, reaction: Reaction, message: Message) -> Any:
        handler = reaction.handler
        if self._observers:
            self._tell(Step(kind="handling", message=message, handler=handler.name))
        result = handler.call(message)
        if result is not None and inspect.isawaitable(result):
            result = importlib.import_module("happened.loops").run(result, handler.name)
        return result

    def _failed(self, reaction: Reaction, message: Message, error: BaseException) -> None:
        if self._observers:
            name = reaction.handler.name
            self._tell(Step(kind="failed", message=message, handler=name, error=error))

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


def _forget() -> None:
    """Leave nothing set, after an interrupt; whoever is further out gives back what was there."""
    current_unit_of_work.set(None)
    current_trace.set(None)


def is_interrupt(error: BaseException) -> bool:
    """Return whether somebody interrupts this process, which can only be in its main thread.

    Args:
        error: what was raised.

    Example:
        >>> from happened.processing import is_interrupt
        >>> is_interrupt(SystemExit())
        False
    """
    is_main = threading.current_thread() is threading.main_thread()
    return isinstance(error, KeyboardInterrupt) and is_main


def dead_letter(reaction: Reaction, message: Message, error: Exception) -> Delivery:
    """Return what is kept of a message that a handler failed on, and was to handle at once.

    Args:
        reaction: the handler.
        message: what it was to handle.
        error: what it raised.

    Example:
        >>> from happened import Event
        >>> from happened.elements import Reaction
        >>> from happened.handlers import handler
        >>> from happened.processing import dead_letter
        >>> reaction = Reaction(handler=handler(print, (Event,)), accepts=(Event,))
        >>> dead_letter(reaction, Event(), KeyError("boom")).error
        "KeyError: 'boom'"
    """
    delivery = delivery_of(reaction.handler.name, message._metadata, "dead")
    return failed(delivery, error)._replace(attempts=1, blocks=False)


def failed(delivery: Delivery, error: BaseException) -> Delivery:
    """Return a delivery that tells of its last failure.

    Args:
        delivery: the delivery.
        error: what the handler raised.

    Example:
        >>> from happened import Event
        >>> from happened.processing import failed
        >>> from happened.writes import delivery_of
        >>> failed(delivery_of("slip", Event()._metadata, "held"), KeyError("boom")).error
        "KeyError: 'boom'"
    """
    told = writable("".join(traceback.format_exception(error)))
    return delivery._replace(error=in_a_line(error), traceback=told)


def in_a_line(error: BaseException) -> str:
    """Return what an exception says, with its class, in a line.

    Args:
        error: the exception.

    Example:
        >>> from happened.processing import in_a_line
        >>> in_a_line(ValueError("too  late"))
        'ValueError: too late'
    """
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - whatever its class does
        said = "(it cannot say what it is)"
    return writable(" ".join(f"{type(error).__name__}: {said}".split()))


def writable(text: str) -> str:
    r"""Return a text that every storage can write: without NUL, and without half characters.

    Args:
        text: the text.

    Example:
        >>> from happened.processing import writable
        >>> print(writable("a\0b \ud800"))
        a\x00b \ud800
    """
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
