"""Layer R. The domain: the root that composes the layers below it. It has no logic of its own."""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar, cast, overload

from happened.config import Config, load_config
from happened.declaration import field_specs
from happened.elements import Kind, with_options
from happened.errors import ConfigurationError
from happened.handlers import name_of
from happened.hooks import Observer
from happened.messages import Command, Event, Message
from happened.model import Aggregate, Entity, Projection
from happened.processing import Processor
from happened.registry import Registry
from happened.replay import Progress, categories_of, feeding, projection_named, rebuild
from happened.repository import Repository
from happened.storage import Collection, StoredMessage, open_storage
from happened.subscription import Deliverer, Subscription, subscriptions_of
from happened.tracing import leave
from happened.unit_of_work import UnitOfWork
from happened.waiting import wait_for

__all__ = ["Domain", "current_domain"]

_A = TypeVar("_A", bound=Aggregate)
_R = TypeVar("_R", bound=Repository[Any])
_T = TypeVar("_T", bound=type[Any])
_F = TypeVar("_F", bound=Callable[..., Any])

_active: ContextVar["Domain | None"] = ContextVar("happened.current_domain", default=None)


class Domain:
    """The root of an application: what belongs to its model, and how it runs.

    Elements are registered with decorators, then `init` checks the composition. The settings
    come from environment variables, from the arguments, or from ``pyproject.toml``; the nearest
    wins, in this order.

    Args:
        name: the name of the domain; the names of its messages begin with it.
        storage: the URL of the storage; ``"memory://"`` by default.
        event_processing: ``"sync"``, the default: handlers run before the call returns;
            ``"async"``: a server runs them.
        command_processing: ``"sync"``, the default, or ``"async"``, likewise.
        broker: the URL of a broker; none by default.
        **unknown: refused, with the nearest known name.

    Raises:
        ConfigurationError: a key or a value is not known, or the name is not one.

    Example:
        >>> from happened import Aggregate, Domain
        >>> shelf = Domain("shelf")
        >>> @shelf.aggregate
        ... class Book(Aggregate):
        ...     title: str
        >>> shelf.init(traverse=False)
        >>> shelf.repository_for(Book).query.count()
        0
    """

    def __init__(
        self,
        name: str,
        *,
        storage: str | None = None,
        event_processing: str | None = None,
        command_processing: str | None = None,
        broker: str | None = None,
        **unknown: Any,
    ) -> None:
        if not isinstance(name, str):
            raise ConfigurationError(f"Domain: the name of a domain is text, found {name!r}")
        given = {
            "storage": storage,
            "event_processing": event_processing,
            "command_processing": command_processing,
            "broker": broker,
            **unknown,
        }
        caller = _maker(self)
        place = caller.get("__file__")
        self.name = name
        self.config: Config = load_config(
            name,
            {key: value for key, value in given.items() if value is not None},
            folder=Path(place).resolve().parent if place else None,
        )
        self.registry = Registry(name)
        if not self.registry.prefix:
            raise ConfigurationError(f"domain {name!r}: name it with letters or digits, as 'shelf'")
        self.storage = open_storage(self.config["storage"])
        self._is_closed = False
        self.observers: list[Observer] = []
        self.processor = Processor(
            self.registry,
            self.storage,
            self.observers,
            commands_later=self.config["command_processing"] == "async",
            events_later=self.config["event_processing"] == "async",
        )
        self._package = (
            "" if caller.get("__name__") == "__main__" else caller.get("__package__") or ""
        )
        self._repositories: dict[type, Repository[Any]] = {}

    @overload
    def aggregate(self, cls: _T, /) -> _T: ...
    @overload
    def aggregate(self, /, *, stream_category: str | None = None) -> Callable[[_T], _T]: ...
    def aggregate(self, cls: Any = None, /, *, stream_category: str | None = None) -> Any:
        """Register an aggregate.

        Args:
            cls: the class; its base is added if it names none.
            stream_category: the category of its streams; by default the class name in small
                letters, its words joined by underscores.

        Returns:
            The class with its base; or, called with options, the decorator.

        Raises:
            ConfigurationError: an option is not what it should be.

        Example:
            >>> from happened import Aggregate, Domain
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate(stream_category="volume")
            ... class Book(Aggregate):
            ...     title: str
            >>> shelf.init(traverse=False)
            >>> Book(id="b1", title="Emma")._stream
            'volume-b1'
        """
        return self._registered("aggregate", cls, stream_category=stream_category)

    @overload
    def projection(self, cls: _T, /) -> _T: ...
    @overload
    def projection(self, /, *, stream_category: str | None = None) -> Callable[[_T], _T]: ...
    def projection(self, cls: Any = None, /, *, stream_category: str | None = None) -> Any:
        """Register a projection: a view for reading that event handlers keep up to date.

        Args:
            cls: the class; its base is added if it names none.
            stream_category: what its documents are kept under; by default the class name in small
                letters, its words joined by underscores.

        Returns:
            The class with its base; or, called with options, the decorator.

        Raises:
            ConfigurationError: an option is not what it should be.

        Example:
            >>> from happened import Aggregate, Domain, Event, Projection, current_domain, handle
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate): ...
            >>> @shelf.event(part_of=Book)
            ... class BookLent(Event):
            ...     book_id: str
            >>> @shelf.projection
            ... class Lent(Projection):
            ...     times: int = 0
            >>> @shelf.event_handler(part_of=Lent)
            ... class CountLent:
            ...     @handle(BookLent)
            ...     def count(self, event: BookLent) -> None:
            ...         lents = current_domain.repository_for(Lent)
            ...         lent = lents.get(event.book_id) if event.book_id in lents else None
            ...         lent = lent or Lent(id=event.book_id)
            ...         lent.times += 1
            ...         lents.add(lent)
            >>> shelf.init(traverse=False)
            >>> shelf.dispatch(BookLent(book_id="b1"))
            >>> shelf.repository_for(Lent).get("b1").times
            1
        """
        return self._registered("projection", cls, stream_category=stream_category)

    @overload
    def entity(self, cls: _T, /) -> _T: ...
    @overload
    def entity(self, /, *, part_of: type[Any] | str | None = None) -> Callable[[_T], _T]: ...
    def entity(self, cls: Any = None, /, *, part_of: type[Any] | str | None = None) -> Any:
        """Register an entity inside an aggregate.

        Args:
            cls: the class; its base is added if it names none.
            part_of: the aggregate that it belongs to, or its name.

        Returns:
            The class with its base; or, called with options, the decorator.

        Raises:
            ConfigurationError: an option is not what it should be.

        Example:
            >>> from happened import Aggregate, Domain
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate):
            ...     title: str
            >>> @shelf.entity(part_of="Book")
            ... class Chapter:
            ...     heading: str
            >>> Chapter(heading="I").heading
            'I'
        """
        return self._registered("entity", cls, part_of=part_of)

    @overload
    def value_object(self, cls: _T, /) -> _T: ...
    @overload
    def value_object(self, /) -> Callable[[_T], _T]: ...
    def value_object(self, cls: Any = None, /) -> Any:
        """Register a value object.

        Args:
            cls: the class; its base is added if it names none.

        Returns:
            The class with its base; or, called with options, the decorator.

        Raises:
            ConfigurationError: an option is not what it should be.

        Example:
            >>> from happened import Domain
            >>> shelf = Domain("shelf")
            >>> @shelf.value_object
            ... class Money:
            ...     cents: int
            >>> Money(cents=5)
            Money(cents=5)
        """
        return self._registered("value object", cls)

    @overload
    def command(self, cls: _T, /) -> _T: ...
    @overload
    def command(
        self,
        /,
        *,
        part_of: type[Any] | str | None = None,
        name: str | None = None,
        version: int = 1,
    ) -> Callable[[_T], _T]: ...
    def command(
        self,
        cls: Any = None,
        /,
        *,
        part_of: type[Any] | str | None = None,
        name: str | None = None,
        version: int = 1,
    ) -> Any:
        """Register a command; `init` wants exactly one handler for it.

        Args:
            cls: the class; its base is added if it names none.
            part_of: the aggregate that it belongs to, or its name.
            name: its stable name; by default ``"<Domain>.<Class>.v<version>"``.
            version: the version of its fields, from 1.

        Returns:
            The class with its base; or, called with options, the decorator.

        Raises:
            ConfigurationError: an option is not what it should be.

        Example:
            >>> from happened import Aggregate, Domain
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate):
            ...     title: str
            >>> @shelf.command(part_of=Book)
            ... class AddBook:
            ...     title: str
            >>> AddBook(title="Emma")
            AddBook(title='Emma')
        """
        return self._registered("command", cls, part_of=part_of, name=name, version=version)

    @overload
    def event(self, cls: _T, /) -> _T: ...
    @overload
    def event(
        self,
        /,
        *,
        part_of: type[Any] | str | None = None,
        name: str | None = None,
        version: int = 1,
    ) -> Callable[[_T], _T]: ...
    def event(
        self,
        cls: Any = None,
        /,
        *,
        part_of: type[Any] | str | None = None,
        name: str | None = None,
        version: int = 1,
    ) -> Any:
        """Register an event of an aggregate.

        Args:
            cls: the class; its base is added if it names none.
            part_of: the aggregate that it belongs to, or its name.
            name: its stable name; by default ``"<Domain>.<Class>.v<version>"``.
            version: the version of its fields, from 1.

        Returns:
            The class with its base; or, called with options, the decorator.

        Raises:
            ConfigurationError: an option is not what it should be.

        Example:
            >>> from happened import Aggregate, Domain
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate):
            ...     title: str
            >>> @shelf.event(part_of=Book, version=2)
            ... class BookAdded:
            ...     title: str
            >>> shelf.init(traverse=False)
            >>> BookAdded(title="Emma").event_type
            'Shelf.BookAdded.v2'
        """
        return self._registered("event", cls, part_of=part_of, name=name, version=version)

    @with_options
    def command_handler(
        self,
        *,
        part_of: type[Any] | str | None = None,
        name: str | None = None,
        retries: int | None = None,
        backoff: float = 1.0,
    ) -> Callable[[_T], _T]:
        """Register a class whose methods under `handle` handle commands.

        Args:
            part_of: the aggregate that the commands are for, or its name.
            name: as for `event_handler`.
            retries: how often a command is handled again, each time with the aggregate as it is
                then: when another writer was faster, at once; in asynchronous processing after
                any failure, later. By default not at all, which lets `ConcurrencyError` through,
                and 5 times in asynchronous processing.
            backoff: how long the first retry waits in asynchronous processing, in seconds; each
                next one waits twice as long, up to 5 minutes. 1 by default.

        Returns:
            The decorator; it returns the class unchanged.

        Raises:
            ConfigurationError: an option is not what it should be.

        Example:
            >>> from happened import Aggregate, Command, Domain, current_domain, handle
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate):
            ...     title: str
            >>> @shelf.command(part_of=Book)
            ... class AddBook(Command):
            ...     title: str
            >>> @shelf.command_handler(part_of=Book)
            ... class Books:
            ...     @handle(AddBook)
            ...     def add(self, command: AddBook) -> str:
            ...         book = Book(id="b1", title=command.title)
            ...         current_domain.repository_for(Book).add(book)
            ...         return book.id
            >>> shelf.init(traverse=False)
            >>> shelf.process(AddBook(title="Emma"))
            'b1'
        """
        return self._registering(
            "command handler", part_of=part_of, name=name, retries=retries, backoff=backoff
        )

    @with_options
    def event_handler(
        self,
        *,
        part_of: type[Any] | str | None = None,
        stream_category: str | None = None,
        source_stream: str | None = None,
        name: str | None = None,
        retries: int | None = None,
        backoff: float = 1.0,
        start_from: str = "beginning",
        on_dead_letter: str = "hold",
    ) -> Callable[[_T], _T]:
        """Register a class whose methods under `handle` handle events of one stream category.

        Args:
            part_of: the aggregate or projection that the handler keeps in step, or its name.
            stream_category: the category whose events it handles; by default that of `part_of`.
            source_stream: only events whose chain began in this category; all by default.
            name: what its checkpoints and dead letters are kept under; by default the name of the
                class. A class that is renamed goes on where it was if its old name is given here;
                a method, if its own is given to `handle`.
            retries: how often an event is handled again, each time with the state as it is then:
                when another writer was faster, at once; in asynchronous processing after any
                failure, later. By default not at all, and 5 times in asynchronous processing.
            backoff: how long the first retry waits in asynchronous processing, in seconds; each
                next one waits twice as long, up to 5 minutes. 1 by default.
            start_from: where a new handler begins in asynchronous processing:
                ``"beginning"``, the default, with the first event that is stored; ``"now"``, with
                the next one after ``happened storage init``, a server or `catch_up` has first found
                it. What is stored before that by an application that leaves its events to a server
                is never handled, so run one of them first.
            on_dead_letter: whether later events of a stream wait behind a dead letter,
                ``"hold"``, the default; or ``"go_on"``.

        Returns:
            The decorator; it returns the class unchanged.

        Raises:
            ConfigurationError: an option is not what it should be.

        Example:
            >>> from happened import Aggregate, Domain, Event, handle
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate):
            ...     title: str
            >>> @shelf.event(part_of=Book)
            ... class BookAdded(Event):
            ...     title: str
            >>> @shelf.event_handler(part_of=Book)
            ... class Slips:
            ...     @handle(BookAdded)
            ...     def print_slip(self, event: BookAdded) -> None:
            ...         print("new:", event.title)
            >>> shelf.init(traverse=False)
            >>> shelf.dispatch(BookAdded(title="Emma"))
            new: Emma
        """
        return self._registering(
            "event handler",
            part_of=part_of,
            stream_category=stream_category,
            source_stream=source_stream,
            name=name,
            retries=retries,
            backoff=backoff,
            start_from=start_from,
            on_dead_letter=on_dead_letter,
        )

    def on(
        self,
        *events: type[Event] | str,
        source_stream: str | None = None,
        name: str | None = None,
        retries: int | None = None,
        backoff: float = 1.0,
        start_from: str = "beginning",
        on_dead_letter: str = "hold",
    ) -> Callable[[_F], _F]:
        """Register a function as an event handler.

        Args:
            *events: the classes of the events that it handles, or their names.
            source_stream: only events whose chain began in this category; all by default.
            name: as for `event_handler`.
            retries: as for `event_handler`.
            backoff: as for `event_handler`.
            start_from: as for `event_handler`.
            on_dead_letter: as for `event_handler`.

        Returns:
            The decorator; it returns the function unchanged.

        Raises:
            ConfigurationError: no event is named, or something that is none; or an option is not
                what it should be.

        Example:
            >>> from happened import Aggregate, Domain, Event
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate): ...
            >>> @shelf.event(part_of=Book)
            ... class BookLost(Event): ...
            >>> @shelf.on(BookLost)
            ... def search(event: BookLost) -> None:
            ...     print("searching")
            >>> shelf.init(traverse=False)
            >>> shelf.dispatch(BookLost())
            searching
        """
        if not events or not all(
            isinstance(each, str) or (isinstance(each, type) and issubclass(each, Message))
            for each in events
        ):
            raise ConfigurationError(
                f"domain {self.name!r}: name the events that the function handles, as "
                "@domain.on(BookAdded)"
            )
        return self._registering(
            "event handler",
            messages=events,
            source_stream=source_stream,
            name=name,
            retries=retries,
            backoff=backoff,
            start_from=start_from,
            on_dead_letter=on_dead_letter,
        )

    @with_options
    def repository(self, *, part_of: type[Any] | str | None = None) -> Callable[[_T], _T]:
        """Register a class derived from `Repository`, with methods of your own.

        Args:
            part_of: the aggregate that it is for, or its name.

        Returns:
            The decorator; it returns the class, with `Repository` as a base if it named none.

        Raises:
            ConfigurationError: it is no class.

        Example:
            >>> from happened import Aggregate, Domain, Repository
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate):
            ...     title: str
            >>> @shelf.repository(part_of=Book)
            ... class Books(Repository[Book]):
            ...     def titled(self, title: str) -> Book:
            ...         return self.find_by(title=title)
            >>> shelf.init(traverse=False)
            >>> books = shelf.repository_for(Book)
            >>> books.add(Book(id="b1", title="Emma"))
            >>> books.titled("Emma").id
            'b1'
        """

        def register(cls: type[Any]) -> type[Any]:
            if not isinstance(cls, type):
                raise ConfigurationError(f"domain {self.name!r}: repository {cls!r} is no class")
            if not issubclass(cls, Repository):
                own = {
                    name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")
                }
                cls = type(cls.__name__, (cls, Repository), own)
            return self.registry.add("repository", cls, part_of=part_of)

        return register  # type: ignore[return-value]

    def _registering(self, kind: Kind, **options: Any) -> Callable[[Any], Any]:
        def register(target: Any) -> Any:
            return self.registry.add(kind, target, **options)

        return register

    def _registered(self, kind: Kind, cls: Any, **options: Any) -> Any:
        register = self._registering(kind, **options)
        return register if cls is None else register(cls)

    # ------------------------------------------------------------------- running

    def init(self, *, traverse: bool = True) -> None:
        """Complete the composition; to do so again, after more was registered, is fine.

        A domain that was closed is opened again.

        Args:
            traverse: whether to import first all modules of the package in which the domain was
                made, so that what they register is there. A domain made in a single file or in
                the main program has no such modules.

        Raises:
            ConfigurationError: with every mistake in the composition.
            StorageError: a SQLite file cannot be opened, or belongs to a domain of another name. A
                server is not asked before it is used.
        """
        if traverse and self._package:
            self._import_all()
        self.registry.resolve()
        if self._is_closed:
            self.storage = self.processor.storage = open_storage(self.config["storage"])
            self._is_closed = False
        try:
            collections = [
                Collection(
                    category,
                    tuple(name for name, spec in field_specs(kind).items() if spec.unique),
                    kind.__name__,
                    tuple(name for name, spec in field_specs(kind).items() if spec.index),
                    reusable=issubclass(kind, Projection),
                )
                for kind in self.registry.aggregates
                for category in categories_of(kind)
            ]
            self.storage.prepare(collections, self.name)
        except BaseException:
            self.registry.resolved = False
            raise
        self._repositories = {
            aggregate: self._repository(aggregate) for aggregate in self.registry.aggregates
        }
        self._repositories |= {
            type(own): own for own in self._repositories.values() if type(own) is not Repository
        }

    def _repository(self, aggregate: type[Aggregate]) -> Repository[Any]:
        """The repository of an aggregate: the one there is, or a new one."""
        kind: type[Repository[Any]] = self.registry.repositories.get(aggregate, Repository)
        found = self._repositories.get(aggregate)
        if found is None or type(found) is not kind:
            return kind(aggregate, self.storage, self.unit_of_work)
        found._storage = self.storage
        return found

    def process(self, command: Command) -> Any:
        """Call the handler of a command, then the handlers of all events that it leads to.

        With ``command_processing="async"`` it is stored, and a server calls its handler.

        Args:
            command: a command of this domain.

        Returns:
            What the command's handler returned; the command's id, if a server handles it.

        Raises:
            ConfigurationError: the command is not registered, or `init` was not called.
            HappenedError: the unit of work that is open here has written to the database already.
            Exception: what a handler raised. Every other handler has been called then, and what
                the failed one wrote is rolled back.
            ExceptionGroup: several handlers failed.
        """
        if not self.registry.resolved:
            self._not_ready()
        token = _active.set(self)
        try:
            return self.processor.process(command)
        finally:
            _active.reset(token)

    async def aprocess(self, command: Command) -> Any:
        """Do what `process` does, and let the event loop go on meanwhile.

        ``async def`` handlers run in the event loop, all others in a thread. Whoever is cancelled
        while waiting for it, as by a timeout, gives up the waiting alone: the command goes on.

        Args:
            command: a command of this domain.

        Returns:
            What `process` returns.

        Raises:
            Exception: as for `process`.

        Example:
            >>> import asyncio
            >>> from happened import Aggregate, Command, Domain, handle
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate): ...
            >>> @shelf.command(part_of=Book)
            ... class Dust(Command): ...
            >>> @shelf.command_handler(part_of=Book)
            ... class Books:
            ...     @handle(Dust)
            ...     async def dust(self, command: Dust) -> str:
            ...         await asyncio.sleep(0)
            ...         return "clean"
            >>> shelf.init(traverse=False)
            >>> asyncio.run(shelf.aprocess(Dust()))
            'clean'
        """
        loops = importlib.import_module("happened.loops")
        return await loops.call_in_thread(self.process, command)

    def catch_up(self) -> int:
        """Deliver what is left for handlers, in this process, until nothing is left to do now.

        That is what a server would do: in asynchronous processing all that was not handled yet; in
        synchronous processing what a process left behind that died after a commit, or what was
        committed through a connection of your own. What failed waits for its retry.

        Returns:
            How many messages were handled or put aside, counted for each handler class or function.

        Raises:
            ConfigurationError: `init` was not called.
            StorageError: the storage cannot be reached.

        Example:
            >>> from happened import Aggregate, Domain, Event
            >>> shelf = Domain("shelf", event_processing="async")
            >>> @shelf.aggregate
            ... class Book(Aggregate): ...
            >>> @shelf.event(part_of=Book)
            ... class BookLost(Event): ...
            >>> @shelf.on(BookLost)
            ... def search(event: BookLost) -> None:
            ...     print("searching")
            >>> shelf.init(traverse=False)
            >>> book = Book()
            >>> book.raise_(BookLost())
            >>> shelf.repository_for(Book).add(book)
            >>> shelf.catch_up()
            searching
            1
        """
        with self.domain_context():
            return Deliverer(self.processor).deliver_all(self.subscriptions)

    def rebuild(
        self,
        projection: type[Any] | str,
        *,
        restart: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Make a projection anew from the stored events, beside the one in use, and then switch.

        Only the handlers that are a part of the projection are called. The one in use stays as it
        is until the switch, which is one transaction. A rebuild that was killed goes on where it
        stopped.

        Args:
            projection: the class of the projection, or its name.
            restart: whether to begin again instead of going on with one that was killed.
            progress: called after each transaction with how many events were read, and how many
                are left; by default nothing is.

        Returns:
            How many events were read before the switch.

        Raises:
            ConfigurationError: there is no such projection, it has no handlers, or `init` was not
                called.
            HappenedError: a handler failed; the projection in use is as it was.
            StorageError: the storage cannot be reached.

        Example:
            >>> from happened import Aggregate, Domain, Event, Projection, current_domain, handle
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate): ...
            >>> @shelf.event(part_of=Book)
            ... class BookLost(Event): ...
            >>> @shelf.projection
            ... class Loss(Projection): ...
            >>> @shelf.event_handler(part_of=Loss)
            ... class NoteLosses:
            ...     @handle(BookLost)
            ...     def note(self, event: BookLost) -> None:
            ...         current_domain.repository_for(Loss).add(Loss(id=event.event_id))
            >>> shelf.init(traverse=False)
            >>> book = Book()
            >>> book.raise_(BookLost())
            >>> shelf.repository_for(Book).add(book)
            >>> shelf.rebuild(Loss)
            1
            >>> shelf.repository_for(Loss).query.count()
            1
        """
        found = projection_named(self.registry, projection)
        feeders = feeding(found, self.subscriptions, self.name)
        with self.domain_context():
            return rebuild(
                self.processor, found._category, feeders, restart=restart, progress=progress
            )

    def wait_for(
        self,
        message: Message | str,
        *,
        handler: type | Callable[..., object] | str | None = None,
        timeout: float = 10.0,
    ) -> None:
        """Return once asynchronous handlers have handled a message.

        Args:
            message: an event or a command, or its id; with nothing but the id, it takes longer to
                find in a large SQLite file.
            handler: the class or function to wait for, or its name, ``"Stock"``; by default all
                that handle the message.
            timeout: how long to wait at most, in seconds.

        Raises:
            ConfigurationError: no handler of that name handles it, or `init` was not called.
            MessageError: it is a dead letter.
            TimeoutError: it was not stored in time, or not handled.
            StorageError: the storage cannot be reached.

        Example:
            >>> from happened import Aggregate, Domain, Event
            >>> shelf = Domain("shelf", event_processing="async")
            >>> @shelf.aggregate
            ... class Book(Aggregate): ...
            >>> @shelf.event(part_of=Book)
            ... class BookLost(Event): ...
            >>> @shelf.on(BookLost)
            ... def search(event: BookLost) -> None: ...
            >>> shelf.init(traverse=False)
            >>> book, lost = Book(), BookLost()
            >>> book.raise_(lost)
            >>> shelf.repository_for(Book).add(book)
            >>> shelf.catch_up()
            1
            >>> shelf.wait_for(lost)
            >>> shelf.wait_for(lost, handler=search)
        """
        if isinstance(handler, str | None):
            name = handler
        else:
            elements = [each for each in self.registry.elements if each.target is handler]
            name = elements[0].subscription if elements else name_of(handler)
        known = self.subscriptions
        wait_for(self.storage, known, self.registry, message, handler=name, timeout=timeout)

    @property
    def subscriptions(self) -> list[Subscription]:
        """The subscriptions of the domain: one for each handler class and function.

        Raises:
            ConfigurationError: `init` was not called.
        """
        if not self.registry.resolved:
            self._not_ready()
        return subscriptions_of(self.registry)

    def read_stream(self, stream: str, start: int = 0, limit: int = 1000) -> list[Message]:
        """Return the messages of a stream, in order.

        Args:
            stream: its name, ``"order-7"``.
            start: the position of the first message to return, from 0.
            limit: how many to return at most.

        Returns:
            Events and commands with their metadata.

        Raises:
            MessageError: a message is of no registered type, or does not fit its type.
            StorageError: the storage cannot be reached.
            ValidationError: `start` or `limit` is no whole number, or less than 0.

        Example:
            >>> from happened import Domain
            >>> Domain("shelf").read_stream("book-b1")
            []
        """
        return self._restored(self.storage.read(stream, start, limit))

    def read_category(
        self, category: str | None = None, start: int = 0, limit: int = 1000
    ) -> list[Message]:
        """Return the messages of a stream category, in the order of their global positions.

        Args:
            category: the stream category, ``"order"``; by default the messages of all.
            start: the smallest global position to return, from 0.
            limit: how many to return at most.

        Returns:
            Events and commands with their metadata.

        Raises:
            MessageError: a message is of no registered type, or does not fit its type.
            StorageError: the storage cannot be reached.
            ValidationError: `start` or `limit` is no whole number, or less than 0.

        Example:
            >>> from happened import Domain
            >>> Domain("shelf").read_category("book")
            []
        """
        return self._restored(self.storage.read_category(category, start, limit))

    def _restored(self, messages: Sequence[StoredMessage]) -> list[Message]:
        return [self.registry.restore(each.metadata, each.data) for each in messages]

    def close(self) -> None:
        """Release what the storage of the domain holds; to do so again changes nothing.

        What was stored in memory is gone then. `init` opens the storage again.

        Example:
            >>> from happened import Aggregate, Domain
            >>> shelf = Domain("shelf", storage="memory://")
            >>> @shelf.aggregate
            ... class Book(Aggregate): ...
            >>> shelf.init(traverse=False)
            >>> shelf.repository_for(Book).add(Book(id="b1"))
            >>> shelf.close()
            >>> shelf.init(traverse=False)
            >>> "b1" in shelf.repository_for(Book)
            False
        """
        self.storage.close()
        self._is_closed = True

    def dispatch(self, event: Event) -> None:
        """Call the handlers of an event that came from elsewhere, and of all that it leads to.

        Events that aggregates raise are dispatched when they are persisted; do not do it again.
        Inside a handler the event waits its turn: its handlers run, and fail, after this call.

        Args:
            event: an event; it is not stored.

        Raises:
            ConfigurationError: the event is not registered, or `init` was not called.
            Exception: what a handler raised.
            ExceptionGroup: several handlers failed.
        """
        if not self.registry.resolved:
            self._not_ready()
        kind = type(event)
        if not isinstance(event, Event) or kind._registered_in is not self.registry:
            raise ConfigurationError(
                f"domain {self.name!r}: {event!r} is no event of this domain; register "
                f"{kind.__name__} with @domain.event(part_of=...)"
            )
        token = _active.set(self)
        try:
            self.processor.dispatch(event)
        finally:
            _active.reset(token)

    @overload
    def repository_for(self, wanted: type[_A], /) -> Repository[_A]: ...
    @overload
    def repository_for(self, wanted: type[_R], /) -> _R: ...
    def repository_for(self, wanted: type[Any], /) -> Any:
        """Return the repository of an aggregate.

        Args:
            wanted: the class of the aggregate; or the repository's own class, so that type
                checkers know its methods.

        Returns:
            The repository: the one registered for the class, or a plain `Repository`.

        Raises:
            ConfigurationError: it is neither an aggregate nor a repository of this domain, or
                `init` was not called.
        """
        found = self._repositories.get(wanted)
        if found is None:
            if not self.registry.resolved:
                self._not_ready()
            name = getattr(wanted, "__name__", repr(wanted))
            advice = (
                "an entity is reached through the aggregate that it is part of"
                if isinstance(wanted, type)
                and issubclass(wanted, Entity)
                and not issubclass(wanted, Aggregate)
                else "register it with @domain.aggregate"
            )
            raise ConfigurationError(
                f"domain {self.name!r}: {name} is no aggregate of this domain; {advice}"
            )
        return found

    @contextmanager
    def unit_of_work(self, *, connection: Any = None) -> Generator[UnitOfWork]:
        """Make all that a block does with repositories one transaction.

        The events that were raised are dispatched after it has committed. If the block raises,
        nothing of it is stored. Inside a handler, the block is a part of the handler's own.

        On a connection of your own, everything is written through it when the block ends, and
        becomes permanent when you commit. Nobody is told of that, so call `catch_up` after it, or
        leave the events to a server.

        Args:
            connection: an open connection to the domain's storage, of psycopg, sqlite3 or
                SQLAlchemy; by default one of the storage's.

        Yields:
            The unit of work.

        Raises:
            ConfigurationError: `init` was not called, or the storage cannot use the connection.
            HappenedError: a connection is given inside of another unit of work.
            ConcurrencyError: at the end of the block; another writer changed an aggregate.
            ExceptionGroup: several handlers of the events failed; if one failed, its exception.

        Example:
            >>> from happened import Aggregate, Domain
            >>> shelf = Domain("shelf")
            >>> @shelf.aggregate
            ... class Book(Aggregate):
            ...     title: str
            >>> shelf.init(traverse=False)
            >>> books = shelf.repository_for(Book)
            >>> with shelf.unit_of_work():
            ...     books.add(Book(title="Emma"))
            ...     books.add(Book(title="Persuasion"))
            >>> books.query.count()
            2
        """
        if not self.registry.resolved:
            self._not_ready()
        with self.domain_context(), self.processor.unit_of_work(connection) as unit:
            yield unit

    @contextmanager
    def domain_context(self) -> Generator["Domain"]:
        """Make `current_domain` mean this domain in a block.

        Yields:
            This domain.

        Example:
            >>> from happened import Domain, current_domain
            >>> with Domain("shelf").domain_context():
            ...     current_domain.name
            'shelf'
        """
        token = _active.set(self)
        try:
            yield self
        finally:
            leave(_active, token)

    def __repr__(self) -> str:
        return f"Domain({self.name!r})"

    def _import_all(self) -> None:
        """Import every module of the domain's package and of the packages in it."""
        package = sys.modules[self._package]
        for module in pkgutil.walk_packages(package.__path__, f"{self._package}."):
            if module.name.endswith(".__main__"):
                continue
            try:
                importlib.import_module(module.name)
            except Exception as error:
                raise ConfigurationError(
                    f"domain {self.name!r}: the module {module.name} cannot be imported: "
                    f"{type(error).__name__}: {error}"
                ) from error

    def _not_ready(self) -> None:
        raise ConfigurationError(
            f"domain {self.name!r} is not ready; call init() once everything is registered"
        )


def _maker(domain: Domain) -> dict[str, Any]:
    """The names of the module in which a domain is made: the first outside of its own methods."""
    frame = sys._getframe(2)
    while (
        frame.f_back is not None
        and (first := frame.f_code.co_varnames[:1])
        and frame.f_locals.get(first[0]) is domain
    ):
        frame = frame.f_back
    return frame.f_globals


class _CurrentDomain:
    """Stands for the domain that is active where it is used."""

    __slots__ = ()

    # Not `__getattr__`: that is asked after a search of its own has failed, which takes longer.
    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by doctest, inspect, copy and others, at any time
            return object.__getattribute__(self, name)
        domain = _active.get()
        if domain is None:
            raise ConfigurationError(
                "no domain is active; use current_domain inside a handler or "
                "`with domain.domain_context():`"
            )
        return getattr(domain, name)

    def __repr__(self) -> str:
        return f"<current_domain: {_active.get()!r}>"


current_domain: Domain = cast("Domain", _CurrentDomain())
"""The domain whose handler is running, or whose `Domain.domain_context` is open."""
